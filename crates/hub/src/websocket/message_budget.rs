//! One budget of memory for the messages of all sessions.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use super::MessageError;

/// Bounds the memory of messages that have not ended or were not handled yet, over all sessions.
///
/// The first 16 KiB of a message do not count, so that small messages are never evicted. When the
/// budget is exceeded, it evicts messages until it is not. Each time it chooses the client address
/// that holds the most, so that a client that fills the budget from one address evicts only
/// messages of that address. Among these it evicts the message that costs the most: its size times
/// the number of bytes that all messages have grown since it last grew. A message that does not
/// grow therefore makes room for one that does, however many small ones there are. A connection
/// that holds more than half of the budget loses first.
#[derive(Debug)]
pub struct MessageBudget {
    bytes_max: usize,
    holdings: Mutex<Holdings>,
    /// Number of accounts created so far.
    accounts: AtomicU64,
}

/// Receives the evictions of an owner's messages. It is called with the budget locked, so it only
/// makes a note and wakes the owner.
pub trait OnEviction: fmt::Debug + Send + Sync {
    /// Notes that a message of the session `token` is evicted. The session has to end.
    fn evicted(&self, token: u64);
}

#[derive(Debug, Default)]
struct Holdings {
    /// Sum of the bytes of all holdings that are not evicted.
    bytes: usize,
    holdings: Slab<Holding>,
    /// The same sums for each client address that has holdings.
    by_address: HashMap<IpAddr, AddressHoldings>,
    /// Number of reservations made so far.
    made: u64,
    /// Number of bytes reserved so far: the time by which messages age.
    grown: u64,
}

/// The bytes of one client address.
#[derive(Debug, Default)]
struct AddressHoldings {
    bytes: usize,
    /// Bytes of each connection that has holdings, by the number of its account.
    by_connection: HashMap<u64, usize>,
}

/// The memory of one message.
#[derive(Debug)]
struct Holding {
    account: BudgetAccount,
    bytes: usize,
    /// Number of the reservation: older messages have smaller numbers.
    number: u64,
    /// [`Holdings::grown`] when the message last grew.
    grew: u64,
    is_evicted: Arc<AtomicBool>,
}

/// Whose messages a reservation is for, and how their eviction is reported.
#[derive(Debug, Clone)]
pub struct BudgetAccount {
    budget: Arc<MessageBudget>,
    address: IpAddr,
    /// Identifies the connection. Older connections have smaller numbers.
    connection: u64,
    token: u64,
    owner: Arc<dyn OnEviction>,
}

impl MessageBudget {
    /// Creates a budget of `bytes_max` bytes, which must be enough for one message of any size.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, holdings: Mutex::default(), accounts: AtomicU64::new(0) })
    }

    /// Returns the number of bytes that messages hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Holdings> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BudgetAccount {
    /// Creates the account of one connection. `address` identifies the client. `owner` receives
    /// `token` when a message of the connection is evicted.
    #[must_use]
    pub fn new(
        budget: Arc<MessageBudget>,
        address: IpAddr,
        token: u64,
        owner: Arc<dyn OnEviction>,
    ) -> Self {
        let connection = budget.accounts.fetch_add(1, Ordering::Relaxed);
        Self { budget, address, connection, token, owner }
    }

    /// Reserves memory for a message.
    ///
    /// # Errors
    /// If that exceeds the budget and the message is the one to evict.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reservation, MessageError> {
        let is_evicted = Arc::new(AtomicBool::new(false));
        let mut holdings = self.budget.lock();
        let number = holdings.made;
        holdings.made += 1;
        let slot = holdings.holdings.insert(Holding {
            account: self.clone(),
            bytes: 0,
            number,
            grew: 0,
            is_evicted: is_evicted.clone(),
        });
        drop(holdings);
        let reservation = Reservation { budget: self.budget.clone(), slot, is_evicted };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// The memory of one message in the budget. Dropping it returns the memory.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<MessageBudget>,
    slot: usize,
    is_evicted: Arc<AtomicBool>,
}

impl Reservation {
    /// Reserves more memory for the message.
    ///
    /// # Errors
    /// If the message is evicted.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), MessageError> {
        let mut holdings = self.budget.lock();
        if !self.is_evicted() {
            holdings.add(self.slot, bytes);
            holdings.evict_down_to(self.budget.bytes_max);
        }
        if self.is_evicted() { Err(MessageError::Evicted) } else { Ok(()) }
    }

    /// Returns whether the message is evicted.
    pub(super) fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut holdings = self.budget.lock();
        holdings.release(self.slot);
        holdings.holdings.remove(self.slot);
    }
}

impl Holdings {
    fn add(&mut self, slot: usize, bytes: usize) {
        let holding = &mut self.holdings[slot];
        holding.bytes += bytes;
        self.bytes += bytes;
        self.grown += bytes as u64;
        holding.grew = self.grown;
        let BudgetAccount { address, connection, .. } = holding.account;
        let of_address = self.by_address.entry(address).or_default();
        of_address.bytes += bytes;
        *of_address.by_connection.entry(connection).or_default() += bytes;
    }

    /// Removes the bytes of a holding from the sums.
    fn release(&mut self, slot: usize) {
        let holding = &mut self.holdings[slot];
        let bytes = std::mem::take(&mut holding.bytes);
        self.bytes -= bytes;
        let BudgetAccount { address, connection, .. } = &holding.account;
        let Some(of_address) = self.by_address.get_mut(address) else { return };
        of_address.bytes -= bytes;
        if let Some(sum) = of_address.by_connection.get_mut(connection) {
            *sum -= bytes;
            if *sum == 0 {
                of_address.by_connection.remove(connection);
            }
        }
        if of_address.bytes == 0 {
            self.by_address.remove(address);
        }
    }

    fn evict_down_to(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some(slot) = self.message_to_evict(bytes_max)
        {
            self.release(slot);
            let Holding { account, is_evicted, .. } = &self.holdings[slot];
            is_evicted.store(true, Ordering::Relaxed);
            account.owner.evicted(account.token);
        }
    }

    /// Returns the message that costs the most, within the address that holds the most.
    fn message_to_evict(&self, bytes_max: usize) -> Option<usize> {
        let by_address = self.by_address.iter();
        let (address, of_address) = by_address.max_by_key(|(_, held)| held.bytes)?;
        let connections = of_address.by_connection.iter();
        let greedy = connections.max_by_key(|(_, bytes)| **bytes);
        let greedy = greedy.filter(|(_, bytes)| **bytes > bytes_max / 2);
        let is_choice = |held: &Holding| match greedy {
            Some((connection, _)) => held.account.connection == *connection,
            None => held.account.address == *address,
        };
        let messages = self.holdings.iter().filter(|(_, held)| held.bytes > 0 && is_choice(held));
        let costliest =
            messages.max_by_key(|(_, held)| (self.cost(held), held.bytes, Reverse(held.number)))?;
        Some(costliest.0)
    }

    /// Returns what a message costs: bytes times the time since it last grew.
    fn cost(&self, held: &Holding) -> u128 {
        held.bytes as u128 * u128::from(self.grown - held.grew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records the tokens of evicted messages.
    #[derive(Debug, Default)]
    struct Owner(Mutex<Vec<u64>>);

    impl OnEviction for Owner {
        fn evicted(&self, token: u64) {
            self.0.lock().unwrap().push(token);
        }
    }

    struct Harness {
        budget: Arc<MessageBudget>,
        owner: Arc<Owner>,
    }

    impl Harness {
        fn new(bytes_max: usize) -> Self {
            Self { budget: MessageBudget::new(bytes_max), owner: Arc::default() }
        }

        fn account(&self, address: u8, token: u64) -> BudgetAccount {
            let address = IpAddr::from([192, 0, 2, address]);
            BudgetAccount::new(self.budget.clone(), address, token, self.owner.clone())
        }

        fn evicted(&self) -> Vec<u64> {
            std::mem::take(&mut self.owner.0.lock().unwrap())
        }
    }

    #[test]
    fn dropped_reservation_returns_its_memory() {
        let harness = Harness::new(100);
        let first = harness.account(1, 1).reserve(60).unwrap();
        first.grow(30).unwrap();
        assert_eq!(harness.budget.bytes(), 90);
        drop(first);
        assert_eq!(harness.budget.bytes(), 0);
        let all = harness.account(2, 2).reserve(100).unwrap();
        assert!(harness.evicted().is_empty());
        drop(all);
        let holdings = harness.budget.lock();
        assert!(holdings.by_address.is_empty());
        assert!(holdings.holdings.is_empty());
    }

    #[test]
    fn largest_message_is_evicted() {
        let harness = Harness::new(100);
        let small = harness.account(1, 1).reserve(20).unwrap();
        let large = harness.account(1, 2).reserve(60).unwrap();
        let new = harness.account(1, 3).reserve(30).unwrap();
        assert_eq!(harness.evicted(), [2]);
        assert!(large.is_evicted());
        assert_eq!(large.grow(1), Err(MessageError::Evicted));
        assert!(!small.is_evicted() && !new.is_evicted());
        assert_eq!(harness.budget.bytes(), 50);
        drop(large);
        assert_eq!(harness.budget.bytes(), 50, "an evicted message is returned once");
    }

    #[test]
    fn message_that_is_itself_the_largest_is_refused() {
        let harness = Harness::new(100);
        let other = harness.account(1, 1).reserve(40).unwrap();
        let growing = harness.account(1, 2).reserve(40).unwrap();
        assert_eq!(growing.grow(40), Err(MessageError::Evicted));
        assert!(harness.account(1, 3).reserve(70).is_err());
        assert!(!other.is_evicted());
        drop(growing);
        assert_eq!(harness.budget.bytes(), 40);
    }

    #[test]
    fn oldest_of_equal_messages_is_evicted() {
        let harness = Harness::new(100);
        let held: Vec<_> =
            (0..5).map(|token| harness.account(1, token).reserve(25).unwrap()).collect();
        assert_eq!(harness.evicted(), [0]);
        assert!(held[0].is_evicted());
        assert!(!held[4].is_evicted());
    }

    #[test]
    fn connection_with_the_most_memory_loses_its_own_message() {
        let harness = Harness::new(100);
        let greedy = harness.account(1, 1);
        let halves: Vec<_> = (0..3).map(|_| greedy.reserve(20).unwrap()).collect();
        let honest = harness.account(1, 2).reserve(35).unwrap();
        let more = greedy.reserve(10);
        assert_eq!(harness.evicted(), [1]);
        assert!(halves[0].is_evicted() && !halves[1].is_evicted() && more.is_ok());
        assert!(!honest.is_evicted(), "although it is the largest message of the address");
        drop((halves, more, honest));
        assert!(harness.budget.lock().by_address.is_empty());
    }

    #[test]
    fn message_that_grows_outlives_many_small_ones_that_do_not() {
        let harness = Harness::new(1_000);
        let small: Vec<_> =
            (1..=95).map(|token| harness.account(1, token).reserve(10).unwrap()).collect();
        let large = harness.account(1, 100).reserve(10).unwrap();
        for _ in 0..40 {
            large.grow(10).unwrap();
        }
        assert!(!large.is_evicted());
        assert_eq!(harness.evicted(), (1..=36).collect::<Vec<_>>(), "the oldest first");
        drop((small, large));
        assert_eq!(harness.budget.bytes(), 0);
    }

    #[test]
    fn address_with_the_most_memory_loses_its_own_message() {
        let harness = Harness::new(100);
        let flood: Vec<_> =
            (0..9).map(|token| harness.account(1, token).reserve(10).unwrap()).collect();
        let honest = harness.account(2, 50).reserve(40).unwrap();
        assert!(!honest.is_evicted(), "although it is the largest message");
        assert_eq!(harness.evicted(), [0, 1, 2]);
        drop(flood);
        assert_eq!(harness.budget.bytes(), 40);
    }
}

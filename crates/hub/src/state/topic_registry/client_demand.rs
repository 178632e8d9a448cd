//! Demand by client, while the source of a publisher has no room for all names.
//!
//! Only shards know which client wants a name. Each shard reads its sessions piece by piece and
//! stores what it found here, once when a source becomes full and again after changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tickwire_protocol::{SubscriptionSet, Symbol};

use crate::fanout::{CLIENT_NAMES_MAX, ClientId, FeedId, TopicInterest};

/// Maximum number of clients in a report.
const CLIENTS_MAX: usize = 4_096;
/// Maximum number of names in a report. With [`CLIENTS_MAX`] it keeps the report below a mebibyte.
const NAMES_MAX: usize = 16_384;

/// The names that each client of a shard wants, of all feeds.
pub(crate) type ClientNames = HashMap<ClientId, BTreeSet<TopicInterest>>;

/// A shard: the index of its timeline, and its own in the timeline.
pub(crate) type ShardIndex = (usize, usize);

/// The names that clients want, by shard.
#[derive(Debug, Default)]
pub(super) struct ClientDemand {
    /// Which names the shards have to read: odd while a source is full, and incremented whenever
    /// the first one becomes full or the last one has room.
    round: AtomicU64,
    sources: Mutex<Sources>,
}

#[derive(Debug, Default)]
struct Sources {
    /// Number of publishers whose source is full.
    full: usize,
    /// What each shard found in this round; `None` until it has found something.
    found: HashMap<ShardIndex, Option<ClientNames>>,
}

impl ClientDemand {
    /// Returns the number of the round, if the names of clients are wanted.
    pub(super) fn round(&self) -> Option<u64> {
        let round = self.round.load(Ordering::Acquire);
        (round % 2 == 1).then_some(round)
    }

    pub(super) fn add_shard(&self, shard: ShardIndex) {
        self.lock().found.insert(shard, None);
    }

    /// Adds a publisher whose source is full.
    pub(super) fn add_full(&self) {
        let mut sources = self.lock();
        sources.full += 1;
        if sources.full == 1 {
            self.round.fetch_add(1, Ordering::Release);
        }
    }

    /// Removes a publisher whose source was full.
    pub(super) fn remove_full(&self) {
        let mut sources = self.lock();
        sources.full -= 1;
        if sources.full == 0 {
            self.round.fetch_add(1, Ordering::Release);
            sources.found.values_mut().for_each(|found| *found = None);
        }
    }

    /// Stores what a shard found in a round. Returns whether it has changed.
    pub(super) fn store(&self, shard: ShardIndex, round: u64, names: ClientNames) -> bool {
        let mut sources = self.lock();
        if self.round() != Some(round) {
            return false;
        }
        let names = Some(names);
        let found = sources.found.entry(shard).or_default();
        let has_changed = *found != names;
        *found = names;
        has_changed
    }

    /// Returns the names of a feed that each client wants, limited to `symbols`; `None` until every
    /// shard has found them.
    pub(super) fn of_feed(
        &self,
        feed: FeedId,
        symbols: Option<&[Symbol]>,
    ) -> Option<Vec<SubscriptionSet>> {
        let sources = self.lock();
        let mut clients: HashMap<ClientId, BTreeSet<TopicInterest>> = HashMap::new();
        for found in sources.found.values() {
            for (client, names) in found.as_ref()? {
                let names = names.iter().filter(|name| name.feed == feed);
                let mut names = names.flat_map(|name| allowed(*name, symbols)).peekable();
                if names.peek().is_some()
                    && (clients.len() < CLIENTS_MAX || clients.contains_key(client))
                {
                    clients.entry(*client).or_default().extend(names);
                }
            }
        }
        drop(sources);
        Some(report(clients))
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the names that a publisher may see of a name: all of its symbols for a `"*"`.
fn allowed(name: TopicInterest, symbols: Option<&[Symbol]>) -> Vec<TopicInterest> {
    match (symbols, name.symbol) {
        (None, _) => vec![name],
        (Some(symbols), Some(symbol)) if symbols.binary_search(&symbol).is_ok() => vec![name],
        (Some(_), Some(_)) => Vec::new(),
        (Some(symbols), None) => {
            let named = |symbol: &Symbol| TopicInterest { symbol: Some(*symbol), ..name };
            symbols.iter().take(CLIENT_NAMES_MAX).map(named).collect()
        }
    }
}

/// Converts the names of clients to the sets of a report, sorted by client.
fn report(clients: HashMap<ClientId, BTreeSet<TopicInterest>>) -> Vec<SubscriptionSet> {
    let names_max = NAMES_MAX / clients.len().max(1);
    let mut clients: Vec<_> = clients.into_iter().collect();
    clients.sort_unstable_by_key(|(client, _)| *client);
    let set = |(_, names): (ClientId, BTreeSet<TopicInterest>)| {
        let mut set = SubscriptionSet::default();
        for TopicInterest { channel, symbol, .. } in names.into_iter().take(names_max) {
            match symbol {
                Some(symbol) => set[channel].symbols.push(symbol),
                None => set[channel].all = true,
            }
        }
        set
    };
    clients.into_iter().map(set).collect()
}

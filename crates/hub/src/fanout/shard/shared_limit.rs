//! Limits that leave room for every client.

use rustc_hash::FxHashMap;

use super::super::ClientId;

/// A limit on a number that all sessions add up to. A client may hold at most half of what the
/// other clients leave, so that none can exhaust it. Sessions without a client are limited only
/// together.
#[derive(Debug)]
pub(super) struct SharedLimit {
    max: usize,
    used: usize,
    by_client: FxHashMap<ClientId, usize>,
}

/// Error: a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LimitReached {
    /// How many a client may hold now, if its own share is used up.
    pub(super) share: Option<usize>,
    /// The limit of all sessions together.
    pub(super) max: usize,
}

impl SharedLimit {
    pub(super) fn new(max: usize) -> Self {
        Self { max, used: 0, by_client: FxHashMap::default() }
    }

    /// Returns the sum over all sessions.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Checks whether a client may add a number.
    ///
    /// # Errors
    /// Fails if that would exceed the limit of all sessions, or the share of the client.
    pub(super) fn check(&self, client: Option<ClientId>, count: usize) -> Result<(), LimitReached> {
        if count == 0 {
            return Ok(());
        }
        let reached = |share| Err(LimitReached { share, max: self.max });
        if let Some(client) = client {
            let own = self.of(client);
            let share = self.max.saturating_sub(self.used - own).div_ceil(2);
            if own + count > share {
                return reached(Some(share));
            }
        }
        if self.used + count > self.max { reached(None) } else { Ok(()) }
    }

    fn of(&self, client: ClientId) -> usize {
        self.by_client.get(&client).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, client: Option<ClientId>, count: usize) {
        self.used += count;
        if let Some(client) = client.filter(|_| count > 0) {
            *self.by_client.entry(client).or_default() += count;
        }
    }

    pub(super) fn remove(&mut self, client: Option<ClientId>, count: usize) {
        self.used -= count;
        if let Some(client) = client.filter(|_| count > 0) {
            let left = self.of(client) - count;
            if left > 0 {
                self.by_client.insert(client, left);
            } else {
                self.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_may_hold_half_of_what_others_leave() {
        let mut limit = SharedLimit::new(100);
        let one = Some(ClientId(1));
        let other = Some(ClientId(2));
        limit.add(one, 50);
        assert_eq!(limit.check(one, 1), Err(LimitReached { share: Some(50), max: 100 }));
        assert_eq!(limit.check(other, 25), Ok(()));
        limit.add(other, 25);
        assert_eq!(limit.check(other, 1), Err(LimitReached { share: Some(25), max: 100 }));
        assert_eq!(limit.check(Some(ClientId(3)), 13), Ok(()));
        assert_eq!(limit.check(None, 25), Ok(()));
        assert_eq!(limit.check(None, 26), Err(LimitReached { share: None, max: 100 }));
        limit.remove(one, 50);
        limit.remove(other, 25);
        assert_eq!((limit.used(), limit.by_client.len()), (0, 0));
    }
}

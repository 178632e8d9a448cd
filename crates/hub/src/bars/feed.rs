//! Where a feed stands.

use std::collections::BTreeMap;

use super::{CLOSE_DELAY, MINUTE};

/// Where the trades of a feed are in time, and what the feed supplies itself.
#[derive(Debug, Default)]
pub(super) struct FeedClock {
    /// Latest event time of its trades.
    pub(super) newest: u64,
    /// When the hub received that.
    pub(super) seen: u64,
    /// Series by the minute they have opened. They may have closed it meanwhile.
    pub(super) open: BTreeMap<u64, Vec<u32>>,
    pub(super) supplies: Supplies,
}

/// Bars a publisher sends itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Supplies {
    pub(super) minutes: bool,
    pub(super) days: bool,
}

impl FeedClock {
    /// The time it is in this feed, in event time: that of its newest trade and what has passed since.
    const fn time(&self, now: u64) -> u64 {
        self.newest.saturating_add(now.saturating_sub(self.seen))
    }

    pub(super) fn is_due(&self, now: u64) -> bool {
        let first = self.open.first_key_value();
        first.is_some_and(|(start, _)| start + MINUTE + CLOSE_DELAY <= self.time(now))
    }
}

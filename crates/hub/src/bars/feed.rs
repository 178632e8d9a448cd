//! The clock of a feed, and which bars it publishes itself.

use std::collections::BTreeMap;

use super::{CLOSE_DELAY, MINUTE};

/// Event time of one feed, its open minutes, and the bars it publishes itself.
#[derive(Debug, Default)]
pub(super) struct FeedClock {
    /// Latest event time of the feed's trades, in nanoseconds.
    pub(super) newest: u64,
    /// When the hub received the trade with the time `newest`, in nanoseconds.
    pub(super) seen: u64,
    /// Series by the start of the minute they opened; the minute may have been closed since.
    pub(super) open: BTreeMap<u64, Vec<u32>>,
    pub(super) supplied: SuppliedBars,
}

/// Kinds of bars that a publisher sends itself, so that the hub makes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SuppliedBars {
    pub(super) minutes: bool,
    pub(super) days: bool,
}

impl FeedClock {
    /// Returns the current event time of the feed: that of its newest trade plus the time passed
    /// since its receipt.
    const fn time(&self, now: u64) -> u64 {
        self.newest.saturating_add(now.saturating_sub(self.seen))
    }

    /// Returns whether the earliest open minute has ended and waited [`CLOSE_DELAY`].
    pub(super) fn is_due(&self, now: u64) -> bool {
        let first = self.open.first_key_value();
        first.is_some_and(|(start, _)| start + MINUTE + CLOSE_DELAY <= self.time(now))
    }
}

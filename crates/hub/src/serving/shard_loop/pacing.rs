//! Rests between rounds of writing.
//!
//! A write costs the kernel some microseconds, however little it holds. Under load the shard could
//! write without end, each time what little has come since. After a long round of small writes it
//! rests for a fraction of what the round took: the next round carries that much more in as many
//! writes, so the same ticks cost less and those who share the machine get their turn.

use std::time::{Duration, Instant};

/// Rest after a round, in hundredths of the time of the turn it was part of.
const REST_PERCENT: u32 = 16;
/// No rest is longer, whatever the round took.
const REST_MAX: Duration = Duration::from_millis(5);
/// Writes of so many bytes or more carry much already: there is little to gain from waiting.
const LARGE_WRITE_BYTES: u64 = 2 * 1024;

/// Part of the time of a round that reading, and then sessions that catch up, may take beside it.
const SHARE_OF_ROUND: u32 = 4;

/// What a round of writing came to, and the rest it calls for.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    writes: u64,
    bytes: u64,
    resting_until: Option<Instant>,
    /// How long the last round of writing to live sessions took.
    round: Duration,
}

impl Pacing {
    /// A write of ticks was made.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.writes += 1;
        self.bytes += bytes as u64;
    }

    /// All live sessions have been written.
    pub(super) fn round_took(&mut self, round: Duration) {
        self.round = round;
    }

    /// The time that something else may take in a turn: `least` while rounds are short, a share of
    /// them when they are long. A fixed time would be next to nothing beside a round of thousands of
    /// writes, and whoever comes back at once with thousands would wait for minutes.
    pub(super) fn share(&self, least: Duration) -> Duration {
        least.max(self.round / SHARE_OF_ROUND)
    }

    /// A round has ended at `now`. Without `all_written` sessions wait for their next share, and there
    /// is no time to rest.
    pub(super) fn end_round(&mut self, now: Instant, took: Duration, all_written: bool) {
        let large = self.bytes >= self.writes * LARGE_WRITE_BYTES;
        (self.writes, self.bytes) = (0, 0);
        // Whole milliseconds: that is how exactly the poll can sleep.
        let rest = (took * REST_PERCENT / 100 + Duration::from_micros(500)).min(REST_MAX);
        let rest = Duration::from_millis(u64::try_from(rest.as_millis()).unwrap_or(0));
        self.resting_until = (all_written && !large && !rest.is_zero()).then(|| now + rest);
    }

    /// What is left of a rest.
    pub(super) fn rest(&mut self, now: Instant) -> Option<Duration> {
        let left = self.resting_until?.saturating_duration_since(now);
        if left.is_zero() {
            self.resting_until = None;
            return None;
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn rest_after(writes: usize, bytes: usize, took_ms: u64, all_written: bool) -> Option<u128> {
        let mut pacing = Pacing::default();
        (0..writes).for_each(|_| pacing.wrote(bytes));
        let now = clock::monotonic();
        pacing.end_round(now, Duration::from_millis(took_ms), all_written);
        pacing.rest(now).map(|rest| rest.as_millis())
    }

    #[test]
    fn only_long_rounds_of_small_writes_are_followed_by_a_rest() {
        assert_eq!(rest_after(1_000, 100, 10, true), Some(2));
        assert_eq!(rest_after(1_000, 100, 1_000, true), Some(5));
        assert_eq!(rest_after(100, 100, 1, true), None, "a short round");
        assert_eq!(rest_after(1_000, 20_000, 10, true), None, "large writes");
        assert_eq!(rest_after(1_000, 100, 10, false), None, "somebody waits");
        assert_eq!(rest_after(0, 0, 10, true), None, "nothing was written");
    }

    #[test]
    fn what_goes_on_beside_writing_gets_a_share_of_long_rounds() {
        let mut pacing = Pacing::default();
        let least = Duration::from_millis(5);
        assert_eq!(pacing.share(least), least);
        pacing.round_took(Duration::from_millis(100));
        assert_eq!(pacing.share(least), Duration::from_millis(25));
        pacing.round_took(Duration::from_millis(10));
        assert_eq!(pacing.share(least), least);
    }

    #[test]
    fn a_rest_ends_by_itself() {
        let mut pacing = Pacing::default();
        pacing.wrote(10);
        let now = clock::monotonic();
        pacing.end_round(now, Duration::from_millis(20), true);
        assert_eq!(pacing.rest(now + Duration::from_millis(1)), Some(Duration::from_millis(2)));
        assert_eq!(pacing.rest(now + Duration::from_millis(3)), None);
        assert_eq!(pacing.rest(now), None, "it has ended");
    }
}

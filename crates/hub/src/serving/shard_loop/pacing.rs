//! Rests between rounds of writing.
//!
//! A write costs the kernel some microseconds, however few bytes it carries. Under load a shard
//! could write without a pause, a few new ticks each time. After a long round of small writes it
//! rests for a fraction of the duration of the round: the next round carries more ticks in the same
//! number of writes, so each tick costs less and other processes on the machine get time.

use std::time::{Duration, Instant};

/// Rest after a round, as a percentage of the duration of its turn.
const REST_PERCENT: u32 = 16;
/// Longest rest, however long the round took.
const REST_MAX: Duration = Duration::from_millis(5);
/// Mean size of the writes of a round, in bytes, from which there is no rest: large writes gain
/// little from waiting.
const LARGE_WRITE_BYTES: u64 = 2 * 1024;

/// Divisor of the duration of a round. The result is the time that reading may take in a turn, and
/// the time for sessions that catch up.
const ROUND_DIVISOR: u32 = 4;

/// Counts the writes of a round and decides how long the shard rests after it.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    writes: u64,
    bytes: u64,
    resting_until: Option<Instant>,
    /// Duration of the last round of writing to live sessions.
    round: Duration,
}

impl Pacing {
    /// Counts a write of ticks with a size of `bytes`.
    pub(super) fn record_write(&mut self, bytes: usize) {
        self.writes += 1;
        self.bytes += bytes as u64;
    }

    /// Records how long the round of writing to all live sessions took.
    pub(super) fn record_round(&mut self, round: Duration) {
        self.round = round;
    }

    /// Returns the time that another phase may take in a turn: `least` while rounds are short, a
    /// share of the last round when it was long. A fixed time would be negligible next to a round
    /// of thousands of writes, and thousands of clients that reconnect at once would wait for
    /// minutes.
    pub(super) fn share(&self, least: Duration) -> Duration {
        least.max(self.round / ROUND_DIVISOR)
    }

    /// Ends a round at `now`, after a turn of duration `took`. Unless `all_written`, some sessions
    /// still have ticks to be written, and there is no rest.
    pub(super) fn end_round(&mut self, now: Instant, took: Duration, all_written: bool) {
        let large = self.bytes >= self.writes * LARGE_WRITE_BYTES;
        (self.writes, self.bytes) = (0, 0);
        // The poll sleeps for whole milliseconds.
        let rest = (took * REST_PERCENT / 100 + Duration::from_micros(500)).min(REST_MAX);
        let rest = Duration::from_millis(u64::try_from(rest.as_millis()).unwrap_or(0));
        self.resting_until = (all_written && !large && !rest.is_zero()).then(|| now + rest);
    }

    /// Returns the remaining time of a rest; `None` outside of rests.
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
        (0..writes).for_each(|_| pacing.record_write(bytes));
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
        assert_eq!(rest_after(1_000, 100, 10, false), None, "sessions are waiting");
        assert_eq!(rest_after(0, 0, 10, true), None, "nothing was written");
    }

    #[test]
    fn other_phases_get_a_share_of_long_rounds() {
        let mut pacing = Pacing::default();
        let least = Duration::from_millis(5);
        assert_eq!(pacing.share(least), least);
        pacing.record_round(Duration::from_millis(100));
        assert_eq!(pacing.share(least), Duration::from_millis(25));
        pacing.record_round(Duration::from_millis(10));
        assert_eq!(pacing.share(least), least);
    }

    #[test]
    fn rest_ends_by_itself() {
        let mut pacing = Pacing::default();
        pacing.record_write(10);
        let now = clock::monotonic();
        pacing.end_round(now, Duration::from_millis(20), true);
        assert_eq!(pacing.rest(now + Duration::from_millis(1)), Some(Duration::from_millis(2)));
        assert_eq!(pacing.rest(now + Duration::from_millis(3)), None);
        assert_eq!(pacing.rest(now), None, "the rest is over");
    }
}

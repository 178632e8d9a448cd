//! The reconnect policy of clients and feeds.

use std::time::Duration;

/// The reconnect policy of clients and feeds: how long to wait before the next attempt.
///
/// - **Exponential backoff with jitter.** A delay is drawn evenly between a minimum, zero by
///   default, and a ceiling that doubles with every attempt up to a maximum. Clients that lost
///   their connections together therefore do not return together.
/// - **Reset after one healthy minute.** A connection that worked for [`Backoff::HEALTHY_AFTER`]
///   moves the ceiling back to its first value. A server that accepts connections only to close
///   them does not reset it.
/// - **The hub's own wish comes first.** A hub that shuts down puts `retry_ms=N` into the reason of
///   its close frame ([`requested_delay`]). The delay is then that time, at most
///   [`Backoff::REQUESTED_MAX`], and up to [`Backoff::REQUESTED_SPREAD`] more; the ceiling stays as
///   it is.
///
/// The policy has neither a clock nor a source of randomness: callers pass in both.
///
/// ```
/// use std::time::Duration;
/// use tickwire_protocol::{Backoff, requested_delay};
///
/// let mut backoff = Backoff::default();
/// assert_eq!(backoff.next_delay(None, 1.0), Duration::from_millis(500));
/// assert_eq!(backoff.next_delay(None, 0.5), Duration::from_millis(500)); // half of one second
/// let requested = requested_delay("shutdown retry_ms=6000");
/// assert_eq!(backoff.next_delay(requested, 0.0), Duration::from_secs(6));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    first: Duration,
    max: Duration,
    /// Invariant: `first <= ceiling <= max`.
    ceiling: Duration,
}

impl Default for Backoff {
    /// Creates the policy of subscribers: [`Backoff::FIRST`] and [`Backoff::MAX`].
    fn default() -> Self {
        Self::new(Self::FIRST, Self::MAX)
    }
}

impl Backoff {
    /// The first ceiling of subscribers: 0.5 s.
    pub const FIRST: Duration = Duration::from_millis(500);

    /// The highest ceiling of subscribers: 30 s.
    pub const MAX: Duration = Duration::from_secs(30);

    /// How long a connection must work to reset the policy: one minute.
    pub const HEALTHY_AFTER: Duration = Duration::from_secs(60);

    /// The longest delay a hub can request; longer requests are cut to it: 300 s.
    pub const REQUESTED_MAX: Duration = Duration::from_secs(300);

    /// Clients that were requested to wait equally long return within this time: one second.
    pub const REQUESTED_SPREAD: Duration = Duration::from_secs(1);

    /// Creates a policy whose ceiling starts at `first` and doubles up to `max`. A `first` above
    /// `max` counts as `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.min(max);
        Self { min: Duration::ZERO, first, max, ceiling: first }
    }

    /// Sets the shortest delay, for servers that must not be called again at once. A `min` above
    /// the ceiling counts as the ceiling.
    #[must_use]
    pub const fn with_min(mut self, min: Duration) -> Self {
        self.min = min;
        self
    }

    /// Tells the policy that a connection has ended, and how long it worked.
    pub fn on_connection_lost(&mut self, healthy_for: Duration) {
        if healthy_for >= Self::HEALTHY_AFTER {
            self.ceiling = self.first;
        }
    }

    /// Returns the delay before the next attempt.
    ///
    /// `requested` is the delay that the closing hub asked for, if it did. `random` must be
    /// uniformly distributed over 0 to 1; values outside count as the nearer end.
    pub fn next_delay(&mut self, requested: Option<Duration>, random: f64) -> Duration {
        let random = random.clamp(0.0, 1.0);
        if let Some(requested) = requested {
            return requested.min(Self::REQUESTED_MAX) + Self::REQUESTED_SPREAD.mul_f64(random);
        }
        let min = self.min.min(self.ceiling);
        let delay = min + (self.ceiling - min).mul_f64(random);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        delay
    }
}

/// Reads the delay that a hub requests from the reason of its close frame: a label, then
/// `key=value` pairs separated by blanks, of which `retry_ms` counts. Other pairs are ignored.
/// Returns `None` if there is no such pair or its value is not a whole number.
#[must_use]
pub fn requested_delay(reason: &str) -> Option<Duration> {
    let mut pairs = reason.split_ascii_whitespace().skip(1);
    let wait_ms = pairs.find_map(|pair| pair.strip_prefix("retry_ms=")?.parse().ok())?;
    Some(Duration::from_millis(wait_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(1);

    /// Returns the delays of six attempts, in milliseconds.
    fn delays(mut backoff: Backoff, random: f64) -> Vec<u128> {
        (0..6).map(|_| backoff.next_delay(None, random).as_millis()).collect()
    }

    #[test]
    fn ceiling_doubles_up_to_the_maximum() {
        assert_eq!(delays(Backoff::new(FIRST, MAX), 1.0), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(delays(Backoff::new(FIRST, MAX), 0.5), [50, 100, 200, 400, 500, 500]);
        assert_eq!(delays(Backoff::new(FIRST, MAX), 0.0), [0; 6]);
        assert_eq!(delays(Backoff::new(MAX * 5, MAX), 1.0), [1000; 6]);
    }

    #[test]
    fn subscribers_wait_for_half_a_second_to_half_a_minute() {
        let expected = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        let mut backoff = Backoff::default();
        assert_eq!(expected.map(|_| backoff.next_delay(None, 1.0).as_millis()), expected);
    }

    #[test]
    fn delays_never_fall_below_the_minimum() {
        let backoff = Backoff::new(FIRST, MAX).with_min(FIRST / 2);
        assert_eq!(delays(backoff.clone(), 0.0), [50; 6]);
        assert_eq!(delays(backoff, 1.0), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(delays(Backoff::new(FIRST, MAX).with_min(MAX * 9), 0.0)[0], 100);
    }

    #[test]
    fn only_a_healthy_minute_resets_the_ceiling() {
        let mut backoff = Backoff::new(FIRST, MAX);
        backoff.next_delay(None, 1.0);
        backoff.on_connection_lost(Duration::from_millis(59_999));
        assert_eq!(backoff.next_delay(None, 1.0), FIRST * 2);
        backoff.on_connection_lost(Duration::from_secs(60));
        assert_eq!(backoff.next_delay(None, 1.0), FIRST);
    }

    #[test]
    fn delays_never_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::MAX);
        for _ in 0..200 {
            backoff.next_delay(None, 0.25);
        }
        assert!(backoff.next_delay(None, 0.25) > Duration::from_secs(1));
    }

    #[test]
    fn requested_delay_is_capped_and_leaves_the_ceiling_alone() {
        let mut backoff = Backoff::new(FIRST, MAX);
        let mut after =
            |reason, random| backoff.next_delay(requested_delay(reason), random).as_millis();
        assert_eq!(after("shutdown retry_ms=2500", 0.0), 2_500);
        assert_eq!(after("shutdown retry_ms=2500", 0.5), 3_000);
        assert_eq!(after("shutdown node=7  retry_ms=40 x", 1.0), 1_040);
        assert_eq!(after("shutdown retry_ms=300001", 0.0), 300_000);
        assert_eq!(after("shutdown retry_ms=18446744073709551615", 0.0), 300_000);
        assert_eq!(after("slow_client", 1.0), FIRST.as_millis());
    }

    #[test]
    fn clients_cut_off_together_are_spread_evenly() {
        for tenth in 0..=10 {
            let random = f64::from(tenth) / 10.0;
            let mut backoff = Backoff::new(MAX, MAX);
            let cut = backoff.next_delay(None, random).as_secs_f64();
            let requested = backoff.next_delay(Some(MAX * 2), random).as_secs_f64();
            assert!((cut - random).abs() < 1e-6, "{cut} at {random}");
            assert!((requested - 2.0 - random).abs() < 1e-6, "{requested} at {random}");
        }
    }

    #[test]
    fn reason_without_a_whole_number_requests_nothing() {
        for reason in ["", "shutdown", "retry_ms=5", "shutdown retry_ms=", "shutdown retry_ms=-1"] {
            assert_eq!(requested_delay(reason), None, "{reason:?}");
        }
        let most = "shutdown retry_ms=18446744073709551616";
        assert_eq!(requested_delay(most), None);
    }
}

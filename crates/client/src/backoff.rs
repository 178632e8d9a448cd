//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential backoff with full jitter: each delay lies anywhere between zero and a ceiling that
/// doubles from attempt to attempt. Clients cut off together then do not come back together.
///
/// ```
/// use std::time::Duration;
/// use tickwire_client::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
/// assert_eq!(backoff.delay(1.0), Duration::from_millis(100));
/// assert_eq!(backoff.delay(0.5), Duration::from_millis(100));
/// assert_eq!(backoff.delay(0.0), Duration::ZERO);
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    /// Invariant: `first <= ceiling <= max`, unless `max < first`; then it is `max`.
    ceiling: Duration,
}

impl Backoff {
    /// Starts with a ceiling of `first`, which doubles up to `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, ceiling: first.min(max) }
    }

    /// The next delay. `random` is the place between zero and the ceiling, 0 to 1.
    pub fn delay(&mut self, random: f64) -> Duration {
        let delay = self.ceiling.mul_f64(random.clamp(0.0, 1.0));
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        delay
    }

    /// Tells how long the last connection lasted. One that outlived the longest delay was a good
    /// one, so the delays start small again; a hub that takes connections only to close them does not
    /// reset them.
    pub fn lasted(&mut self, connection: Duration) {
        if connection >= self.max {
            self.ceiling = self.first.min(self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(1);

    #[test]
    fn ceiling_doubles_to_its_limit() {
        let mut backoff = Backoff::new(FIRST, MAX);
        let delays: Vec<u128> = (0..6).map(|_| backoff.delay(1.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn only_a_lasting_connection_starts_over() {
        let mut backoff = Backoff::new(FIRST, MAX);
        backoff.delay(1.0);
        backoff.lasted(MAX / 2);
        assert_eq!(backoff.delay(1.0), FIRST * 2);
        backoff.lasted(MAX);
        assert_eq!(backoff.delay(1.0), FIRST);
    }

    #[test]
    fn delays_never_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::MAX);
        for _ in 0..200 {
            backoff.delay(0.25);
        }
        assert!(backoff.delay(0.25) > Duration::from_secs(1));
    }
}

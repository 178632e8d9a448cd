//! How long to wait before the next attempt.

use std::time::Duration;

/// The longest wait a hub can ask for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Clients that were asked to wait equally long come back within this time.
const WAIT_SPREAD: Duration = Duration::from_secs(1);

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

    /// The delay before the attempt that follows a close of the hub: if its `reason` says how long to
    /// wait (`shutdown retry_ms=2500`), so long and up to a second more, and else the next delay. `random` is the
    /// place within what is left to chance, 0 to 1.
    pub fn delay_after(&mut self, reason: &str, random: f64) -> Duration {
        match asked_to_wait(reason) {
            Some(wait) => wait + WAIT_SPREAD.mul_f64(random.clamp(0.0, 1.0)),
            None => self.delay(random),
        }
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

/// How long the reason of a close asks to wait: behind its label stand tokens, of which unknown ones
/// are passed over.
fn asked_to_wait(reason: &str) -> Option<Duration> {
    let mut tokens = reason.split_ascii_whitespace().skip(1);
    let wait_ms = tokens.find_map(|token| token.strip_prefix("retry_ms=")?.parse().ok())?;
    Some(Duration::from_millis(wait_ms).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

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

    /// How many of many clients come back in each tenth of `spread`, `least` after they were cut off.
    fn tenths(seed: u64, reason: &str, least: Duration, spread: Duration) -> [usize; 10] {
        let mut random = StdRng::seed_from_u64(seed);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let mut backoff = Backoff::new(spread, MAX * 10);
            let delay = backoff.delay_after(reason, random.random());
            let place = (delay - least).as_secs_f64() / spread.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 10, and beyond it the index is wrong on purpose"
            )]
            let tenth = (place * 10.0) as usize;
            tenths[tenth] += 1;
        }
        tenths
    }

    #[test]
    fn clients_cut_off_together_come_back_evenly_spread() {
        let zero = Duration::ZERO;
        for seed in 0..20 {
            let cut = tenths(seed, "", zero, Duration::from_millis(500));
            let told = "shutdown retry_ms=2500";
            let told = tenths(seed, told, Duration::from_millis(2500), WAIT_SPREAD);
            for count in cut.into_iter().chain(told) {
                assert!((800..1200).contains(&count), "seed {seed}: {cut:?} {told:?}");
            }
        }
    }

    #[test]
    fn a_hub_that_says_how_long_to_wait_is_heeded_within_limits() {
        let mut backoff = Backoff::new(FIRST, MAX);
        let mut after = |reason| backoff.delay_after(reason, 0.0).as_millis();
        assert_eq!(after("shutdown retry_ms=2500"), 2500);
        assert_eq!(after("shutdown node=7 retry_ms=40 x"), 40);
        assert_eq!(after("shutdown retry_ms=18446744073709551615"), WAIT_MAX.as_millis());
        for reason in ["", "shutdown", "retry_ms=5", "shutdown retry_ms=", "shutdown retry_ms=-1"] {
            assert_eq!(after(reason), 0, "{reason}");
        }
    }
}

//! How long to wait before connecting again.

use std::time::Duration;

/// Before the first repetition at most so long.
const FIRST: Duration = Duration::from_millis(200);

/// The longest wait a hub can ask for.
const TOLD_MAX: Duration = Duration::from_secs(60);
/// Publishers that were told the same come back spread over so long.
const TOLD_SPREAD: Duration = Duration::from_secs(1);

/// How long to wait as a hub's close reason has it: after the label, tokens between blanks, of which
/// `retry_ms=N` is the one that matters here.
pub(super) fn told(reason: &str) -> Option<Duration> {
    let mut tokens = reason.split_ascii_whitespace().skip(1);
    let wait = tokens.find_map(|token| token.strip_prefix("retry_ms="))?.parse().ok()?;
    Some(Duration::from_millis(wait).min(TOLD_MAX))
}

/// Exponential with full jitter: anywhere between nothing and a bound that doubles, so that many
/// publishers do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    most: Duration,
    bound: Duration,
}

impl Backoff {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, bound: FIRST.min(most) }
    }

    /// The next wait; `chance` is uniform from 0 to 1.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let wait = self.bound.mul_f64(chance);
        self.bound = (self.bound * 2).min(self.most);
        wait
    }

    /// The wait the hub has asked for, and a little more; `chance` is uniform from 0 to 1.
    pub(super) fn after(&mut self, told: Duration, chance: f64) -> Duration {
        self.reset();
        told + TOLD_SPREAD.mul_f64(chance)
    }

    /// It worked: begins anew.
    pub(super) fn reset(&mut self) {
        self.bound = FIRST.min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_doubles_up_to_the_limit_and_begins_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let waits: Vec<_> = (0..5).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1_000, 1_000]);
        backoff.reset();
        assert_eq!(backoff.next(0.5).as_millis(), 100);
    }

    #[test]
    fn wait_that_the_hub_asks_for_is_read_from_the_reason() {
        let ms = |reason| told(reason).map(|wait| wait.as_millis());
        assert_eq!(ms("shutdown retry_ms=2500"), Some(2_500));
        assert_eq!(ms("shutdown  more=1 retry_ms=0 other"), Some(0));
        assert_eq!(ms("shutdown retry_ms=99999999"), Some(60_000));
        for silent in ["", "shutdown", "retry_ms=5", "shutdown retry_ms=soon", "x retry_ms=-1"] {
            assert_eq!(ms(silent), None, "{silent:?}");
        }
        let mut backoff = Backoff::new(Duration::from_secs(1));
        assert_eq!(backoff.after(Duration::from_secs(2), 0.5).as_millis(), 2_500);
    }
}

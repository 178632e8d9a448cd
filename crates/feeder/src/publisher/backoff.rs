//! How long to wait before connecting again.

use std::time::Duration;

/// Before the first repetition at most so long.
const FIRST: Duration = Duration::from_millis(200);

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
}

//! How long to stay away from an upstream.

use std::time::Duration;

use tickwire_protocol::UnixNanos;

/// A connection that was of use for so long makes the next one begin with short waits again.
const HEALTHY: Duration = Duration::from_secs(60);

/// Why there is no connection, or no longer; with what people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It may work at once: the connection failed or was given up.
    Lost(String),
    /// Another connection holds the key's place.
    Occupied(String),
    /// The upstream does not want us; somebody has to mend something.
    Refused(String),
}

impl End {
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Lost(reason) | Self::Occupied(reason) | Self::Refused(reason) => reason,
        }
    }
}

/// Waits between a least one and a bound that doubles, anywhere between the two, so that many relays
/// do not come back at once and none comes back at once again and again.
#[derive(Debug)]
struct Backoff {
    least: Duration,
    most: Duration,
    bound: Duration,
}

impl Backoff {
    const fn new(least_secs: u64, most_secs: u64) -> Self {
        let (least, most) = (Duration::from_secs(least_secs), Duration::from_secs(most_secs));
        Self { least, most, bound: Duration::from_secs(least_secs * 2) }
    }

    fn next(&mut self, chance: f64) -> Duration {
        let wait = self.least + (self.bound - self.least).mul_f64(chance);
        self.bound = (self.bound * 2).min(self.most);
        wait
    }

    fn reset(&mut self) {
        self.bound = self.least * 2;
    }
}

/// What the next wait is.
#[derive(Debug)]
pub(super) struct Retry {
    lost: Backoff,
    occupied: Backoff,
    refused: Backoff,
}

impl Retry {
    pub(super) const fn new() -> Self {
        Self {
            lost: Backoff::new(1, 60),
            occupied: Backoff::new(5, 60),
            refused: Backoff::new(30, 300),
        }
    }

    /// The wait after a connection that was of use since `ready`, if it ever was; `chance` is uniform
    /// from 0 to 1.
    pub(super) fn wait(
        &mut self,
        end: &End,
        ready: Option<UnixNanos>,
        now: UnixNanos,
        chance: f64,
    ) -> Duration {
        if ready.is_some_and(|ready| now.since(ready) >= HEALTHY) {
            for backoff in [&mut self.lost, &mut self.occupied, &mut self.refused] {
                backoff.reset();
            }
        }
        match end {
            End::Lost(_) => self.lost.next(chance),
            End::Occupied(_) => self.occupied.next(chance),
            End::Refused(_) => self.refused.next(chance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(end: &End, chance: f64) -> Vec<u64> {
        let mut retry = Retry::new();
        (0..8).map(|_| retry.wait(end, None, UnixNanos(0), chance).as_secs()).collect()
    }

    #[test]
    fn waits_grow_within_the_bounds_of_their_reason() {
        let (lost, occupied, refused) =
            (End::Lost(String::new()), End::Occupied(String::new()), End::Refused(String::new()));
        assert_eq!(waits(&lost, 1.0), [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(waits(&lost, 0.0), [1; 8]);
        assert_eq!(waits(&occupied, 1.0), [10, 20, 40, 60, 60, 60, 60, 60]);
        assert_eq!(waits(&occupied, 0.0), [5; 8]);
        assert_eq!(waits(&refused, 1.0), [60, 120, 240, 300, 300, 300, 300, 300]);
        assert_eq!(waits(&refused, 0.0), [30; 8]);
    }

    #[test]
    fn only_a_minute_of_health_makes_waits_short_again() {
        let mut retry = Retry::new();
        let lost = End::Lost(String::new());
        let at = |secs: u64| UnixNanos(secs * 1_000_000_000);
        for _ in 0..5 {
            retry.wait(&lost, None, at(0), 1.0);
        }
        assert_eq!(retry.wait(&lost, Some(at(100)), at(159), 1.0).as_secs(), 60);
        assert_eq!(retry.wait(&lost, Some(at(100)), at(160), 1.0).as_secs(), 2);
    }
}

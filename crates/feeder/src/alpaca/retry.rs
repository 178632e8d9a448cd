//! How long to stay away from an upstream.

use std::time::Duration;

use tickwire_protocol::{Backoff, UnixNanos};

/// Why there is no connection to the upstream, with a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The connection failed or was given up; the next attempt may succeed.
    Lost(String),
    /// The upstream is a hub that shuts down and asks for this delay.
    ShuttingDown(String, Duration),
    /// The upstream allows no further connection with this key while another one uses it.
    Occupied(String),
    /// The upstream rejects the relay for a reason that only a person can remove, such as a wrong
    /// key.
    Refused(String),
}

impl End {
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Lost(reason)
            | Self::ShuttingDown(reason, _)
            | Self::Occupied(reason)
            | Self::Refused(reason) => reason,
        }
    }
}

/// The reconnect policies of a relay, one for each kind of end. Each has a minimum, so that a relay
/// never floods an upstream with logins.
#[derive(Debug)]
pub(super) struct Retry {
    lost: Backoff,
    occupied: Backoff,
    refused: Backoff,
}

/// Returns a policy with delays from `min_secs` to `max_secs`; the ceiling starts at twice the
/// minimum.
fn backoff(min_secs: u64, max_secs: u64) -> Backoff {
    let min = Duration::from_secs(min_secs);
    Backoff::new(min * 2, Duration::from_secs(max_secs)).with_min(min)
}

impl Retry {
    pub(super) fn new() -> Self {
        Self { lost: backoff(1, 60), occupied: backoff(5, 60), refused: backoff(30, 300) }
    }

    /// Returns the delay before the next attempt. `ready` is the time at which the last connection
    /// was authenticated, if it was; `random` is uniform from 0 to 1.
    pub(super) fn wait(
        &mut self,
        end: &End,
        ready: Option<UnixNanos>,
        now: UnixNanos,
        random: f64,
    ) -> Duration {
        if let Some(ready) = ready {
            for backoff in [&mut self.lost, &mut self.occupied, &mut self.refused] {
                backoff.on_connection_lost(now.since(ready));
            }
        }
        match end {
            End::Lost(_) => self.lost.next_delay(None, random),
            End::ShuttingDown(_, requested) => self.lost.next_delay(Some(*requested), random),
            End::Occupied(_) => self.occupied.next_delay(None, random),
            End::Refused(_) => self.refused.next_delay(None, random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(end: &End, random: f64) -> Vec<u64> {
        let mut retry = Retry::new();
        (0..8).map(|_| retry.wait(end, None, UnixNanos(0), random).as_secs()).collect()
    }

    #[test]
    fn waits_grow_within_the_bounds_of_their_reason() {
        let lost = End::Lost(String::new());
        let occupied = End::Occupied(String::new());
        let refused = End::Refused(String::new());
        assert_eq!(waits(&lost, 1.0), [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(waits(&lost, 0.0), [1; 8]);
        assert_eq!(waits(&occupied, 1.0), [10, 20, 40, 60, 60, 60, 60, 60]);
        assert_eq!(waits(&occupied, 0.0), [5; 8]);
        assert_eq!(waits(&refused, 1.0), [60, 120, 240, 300, 300, 300, 300, 300]);
        assert_eq!(waits(&refused, 0.0), [30; 8]);
    }

    #[test]
    fn only_a_healthy_minute_resets_the_waits() {
        let mut retry = Retry::new();
        let lost = End::Lost(String::new());
        let at = |secs: u64| UnixNanos(secs * 1_000_000_000);
        for _ in 0..5 {
            retry.wait(&lost, None, at(0), 1.0);
        }
        assert_eq!(retry.wait(&lost, Some(at(100)), at(159), 1.0).as_secs(), 60);
        assert_eq!(retry.wait(&lost, Some(at(100)), at(160), 1.0).as_secs(), 2);
    }

    #[test]
    fn upstream_that_shuts_down_says_how_long_to_wait() {
        let end = End::ShuttingDown(String::new(), Duration::from_secs(7));
        assert_eq!(waits(&end, 0.0), [7; 8]);
        assert_eq!(waits(&end, 1.0), [8; 8]);
    }
}

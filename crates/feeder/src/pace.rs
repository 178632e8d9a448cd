//! The pace of a feed: maps event times to the times at which ticks are due.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tickwire_protocol::UnixNanos;

/// Speed of market time relative to the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// A multiple of real time, above 0 and finite.
    Times(f64),
    /// As fast as ticks can be sent; there is no schedule.
    Max,
}

/// Error for a text that is not a speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number above 0 such as 1, 60 or 0.5, or max")]
pub struct SpeedError;

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.parse().map_err(|_| SpeedError)?;
        let sensible = (1e-6..=1e9).contains(&times);
        sensible.then_some(Self::Times(times)).ok_or(SpeedError)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// The pace of a feed: how the event times of a source become the times at which its ticks are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Speed of market time.
    pub speed: Speed,
    /// Whether event times are replaced by the scheduled times, starting now. With [`Speed::Max`],
    /// which has no schedule, each tick gets the time at which it is taken.
    pub restamp: bool,
}

/// The schedule of a source, whose first tick is due at once. A feed that falls behind the schedule
/// sends all overdue ticks at once; with `restamp` their event times still tell when each was due.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    /// Event time of the first tick, and the time at which it was due; `None` before the first
    /// tick.
    origin: Option<(UnixNanos, UnixNanos)>,
}

/// The time at which a tick is due, and the event time with which it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: UnixNanos,
    pub(crate) stamp: UnixNanos,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, origin: None }
    }

    /// Returns when a tick with this event time is due. The first call starts the schedule.
    pub(crate) fn due(&mut self, time: UnixNanos, now: UnixNanos) -> Due {
        let at = match self.pace.speed {
            Speed::Max => now,
            Speed::Times(times) => {
                let (first, start) = *self.origin.get_or_insert((time, now));
                let scaled = |gap: Duration| {
                    // The usual speed, computed exactly: a float would round long gaps.
                    let far = Duration::from_nanos(UnixNanos::MAX.0);
                    if times == 1.0 { gap } else { scale(gap, times).unwrap_or(far) }
                };
                if time >= first {
                    start + scaled(time.since(first))
                } else {
                    let early = u64::try_from(scaled(first.since(time)).as_nanos());
                    UnixNanos(start.0.saturating_sub(early.unwrap_or(u64::MAX)))
                }
            }
        };
        Due { at, stamp: if self.pace.restamp { at } else { time } }
    }
}

fn scale(gap: Duration, times: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(gap.as_secs_f64() / times).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixNanos = UnixNanos(1_000_000_000_000);

    fn pacer(speed: Speed, restamp: bool) -> Pacer {
        Pacer::new(Pace { speed, restamp })
    }

    #[test]
    fn schedule_is_fixed_by_the_first_tick_however_late_the_rest_is_taken() {
        let mut pacer = pacer(Speed::Times(2.0), true);
        assert_eq!(pacer.due(UnixNanos(5_000), NOON), Due { at: NOON, stamp: NOON });
        for late in [0, 1, 1_000_000_000] {
            let due = pacer.due(UnixNanos(7_000), UnixNanos(NOON.0 + late));
            let at = UnixNanos(NOON.0 + 1_000);
            assert_eq!(due, Due { at, stamp: at });
        }
    }

    #[test]
    fn event_times_stay_unless_restamped() {
        let mut pacer = pacer(Speed::Times(1.0), false);
        pacer.due(UnixNanos(5_000), NOON);
        let due = pacer.due(UnixNanos(5_007), NOON);
        assert_eq!(due, Due { at: UnixNanos(NOON.0 + 7), stamp: UnixNanos(5_007) });
    }

    #[test]
    fn tick_that_goes_back_in_time_was_due_before_the_first() {
        let mut pacer = pacer(Speed::Times(0.5), true);
        pacer.due(UnixNanos(5_000), NOON);
        assert_eq!(pacer.due(UnixNanos(4_000), NOON).at, UnixNanos(NOON.0 - 2_000));
    }

    #[test]
    fn everything_is_due_at_once_without_a_speed() {
        let mut plain = pacer(Speed::Max, false);
        assert_eq!(plain.due(UnixNanos(9), NOON), Due { at: NOON, stamp: UnixNanos(9) });
        let mut restamped = pacer(Speed::Max, true);
        restamped.due(UnixNanos(9), UnixNanos(1));
        assert_eq!(restamped.due(UnixNanos(10), NOON), Due { at: NOON, stamp: NOON });
    }

    #[test]
    fn gaps_at_speed_one_are_exact_over_centuries() {
        let mut pacer = pacer(Speed::Times(1.0), true);
        pacer.due(UnixNanos(1), UnixNanos(2));
        let far = (1 << 61) + 1;
        assert_eq!(pacer.due(UnixNanos(far), NOON).at, UnixNanos(far + 1));
    }

    #[test]
    fn speeds_are_read_and_others_refused() {
        assert_eq!("60".parse(), Ok(Speed::Times(60.0)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        for text in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert_eq!(text.parse::<Speed>(), Err(SpeedError), "{text}");
        }
    }
}

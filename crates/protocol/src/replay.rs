//! Replays: subscriptions that begin with past ticks and then continue live.
//!
//! Source: `docs/protocol/subscriber.md`, section "Replay".

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::excerpt;
use crate::thousandths::Thousandths;
use crate::{UnixNanos, ValueError};

/// A request for past ticks before live ones: the fields `from` and `speed` of a subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The time at which the replay starts.
    pub from: ReplayStart,
    /// The speed of the replay.
    pub speed: ReplaySpeed,
}

/// The start of a replay, compared with the times at which the hub received the ticks.
///
/// On the wire it is a string: a time in RFC 3339, or a duration with a minus sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStart {
    /// An absolute time: `2026-01-02T14:30:00Z`.
    At(UnixNanos),
    /// A duration before now: `-5m`. The wire keeps milliseconds.
    Ago(Duration),
}

/// Units of a duration before now with their length in milliseconds, largest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for ReplayStart {
    /// Writes the start as on the wire: `2026-01-02T14:30:00Z` or `-5m`. A duration has the largest
    /// unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time) => time.fmt(f),
            Self::Ago(ago) => {
                let ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                let divides = |(_, unit_ms): &(&str, u64)| ms > 0 && ms % unit_ms == 0;
                let (unit, unit_ms) = UNITS.into_iter().find(divides).unwrap_or(("s", 1000));
                write!(f, "-{}{unit}", ms / unit_ms)
            }
        }
    }
}

impl FromStr for ReplayStart {
    type Err = ValueError;

    /// Parses a time in RFC 3339, or a duration before now: `-`, an integer, and `h`, `m`, `s` or
    /// `ms`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(ago) = text.strip_prefix('-') else {
            return text.parse().map(Self::At).map_err(|_| invalid_start(text));
        };
        let digits = ago.len() - ago.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, unit) = ago.split_at(digits);
        let unit = UNITS.into_iter().find(|(name, _)| *name == unit);
        let ms = unit.and_then(|(_, ms)| count.parse::<u64>().ok()?.checked_mul(ms));
        ms.map(|ms| Self::Ago(Duration::from_millis(ms))).ok_or_else(|| invalid_start(text))
    }
}

fn invalid_start(text: &str) -> ValueError {
    ValueError::Invalid(format!(
        "{:?}: expected a time such as \"2026-01-02T14:30:00Z\", or how long ago such as \"-5m\" \
         (h, m, s, ms)",
        excerpt(text)
    ))
}

/// The speed of a replay.
///
/// On the wire it is `"max"` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplaySpeed {
    /// As fast as the subscriber reads.
    #[default]
    Max,
    /// A multiple of the speed at which the hub received the ticks.
    Factor(SpeedFactor),
}

impl ReplaySpeed {
    /// Returns the speed for a multiple of the original speed, rounded to thousandths.
    ///
    /// # Errors
    /// Fails unless the factor is within 0.01 to 100,000.
    pub fn factor(factor: f64) -> Result<Self, ValueError> {
        SpeedFactor::new(factor).map(Self::Factor)
    }
}

impl fmt::Display for ReplaySpeed {
    /// Writes `max` or the factor, such as `20` or `0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Factor(factor) => factor.as_f64().fmt(f),
        }
    }
}

impl FromStr for ReplaySpeed {
    type Err = ValueError;

    /// Parses `max` or a factor.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.parse() {
            _ if text == "max" => Ok(Self::Max),
            Ok(factor) => Self::factor(factor),
            Err(_) => Err(ValueError::Invalid(format!("{:?}: expected {SPEEDS}", excerpt(text)))),
        }
    }
}

/// A multiple of the original speed of a replay: 0.01 to 100,000, rounded to thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpeedFactor(Thousandths);

const SPEEDS: &str = "\"max\" or a number from 0.01 to 100000";

impl SpeedFactor {
    const MIN: Thousandths = Thousandths(10);
    const MAX: Thousandths = Thousandths(100_000_000);

    fn new(factor: f64) -> Result<Self, ValueError> {
        Thousandths::within(factor, Self::MIN, Self::MAX)
            .map(Self)
            .ok_or_else(|| ValueError::Invalid(format!("{factor}: expected {SPEEDS}")))
    }

    /// Returns the factor in thousandths, 10 to 100,000,000.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0.0
    }

    /// Returns the factor.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0.as_f64()
    }
}

impl Serialize for ReplaySpeed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Max => serializer.serialize_str("max"),
            Self::Factor(SpeedFactor(thousandths)) => thousandths.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ReplaySpeed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpeedVisitor)
    }
}

struct SpeedVisitor;

impl Visitor<'_> for SpeedVisitor {
    type Value = ReplaySpeed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SPEEDS)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<ReplaySpeed, E> {
        match word {
            "max" => Ok(ReplaySpeed::Max),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, factor: f64) -> Result<ReplaySpeed, E> {
        ReplaySpeed::factor(factor).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, factor: u64) -> Result<ReplaySpeed, E> {
        self.visit_f64(factor as f64)
    }

    fn visit_i64<E: de::Error>(self, factor: i64) -> Result<ReplaySpeed, E> {
        self.visit_f64(factor as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replay_start_is_a_time_or_a_duration_before_now() {
        for text in ["2026-01-02T14:30:00.5Z", "-5m", "-1h", "-90s", "-250ms", "-0s"] {
            assert_eq!(text.parse::<ReplayStart>().unwrap().to_string(), text);
        }
        assert_eq!("-120m".parse::<ReplayStart>().unwrap().to_string(), "-2h");
        let malformed =
            ["", "-", "5m", "-5", "-m", "-1.5h", "--5m", "-5d", "-99999999999999999999s"];
        for text in malformed.into_iter().chain(["-18446744073709551615h", "now", "-5 m"]) {
            let error = text.parse::<ReplayStart>().unwrap_err().to_string();
            assert!(error.contains("expected a time such as"), "{text}: {error}");
        }
    }

    #[test]
    fn speeds_are_limited_and_rounded_to_thousandths() {
        for text in ["max", "1", "0.01", "20.5", "100000"] {
            assert_eq!(text.parse::<ReplaySpeed>().unwrap().to_string(), text);
        }
        assert_eq!(ReplaySpeed::factor(2.0004), ReplaySpeed::factor(2.0));
        for text in ["0.009", "100000.1", "-1", "NaN", "inf", "", "fast"] {
            let error = text.parse::<ReplaySpeed>().unwrap_err().to_string();
            assert!(error.ends_with("expected \"max\" or a number from 0.01 to 100000"), "{error}");
        }
    }
}

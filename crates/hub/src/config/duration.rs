//! Lengths of time, written with their unit: `10s`.

use std::fmt;
use std::time::Duration;

use serde::{Deserializer, Serializer, de};

/// Units in which lengths of time are written, from the largest to the smallest, in milliseconds.
const UNITS: [(&str, u128); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The text is not a length of time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}; expected a time with its unit such as 500ms, 30s or 5m")]
pub struct DurationError(humantime::DurationError);

/// Reads a length of time such as `500ms`, `30s`, `5m`, `24h` or `7d`.
///
/// # Errors
/// Fails if the text is no number with a unit of time.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    humantime::parse_duration(text).map_err(DurationError)
}

/// Writes a length of time in the largest unit that divides it: `7d`, but `25h`. Fractions of a
/// millisecond are cut off.
#[must_use]
pub fn format_duration(time: Duration) -> String {
    let millis = time.as_millis();
    let divides = |(_, unit): &&(&str, u128)| millis != 0 && millis.is_multiple_of(*unit);
    let (name, unit) = UNITS.iter().find(divides).unwrap_or(&("s", 1_000));
    format!("{}{name}", millis / unit)
}

/// Deserialises the text form, for `#[serde(with = "duration")]`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_str(Visitor)
}

/// Serialises into the text form, for `#[serde(with = "duration")]`.
pub(super) fn serialize<S: Serializer>(time: &Duration, into: S) -> Result<S::Ok, S::Error> {
    into.serialize_str(&format_duration(*time))
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time with its unit such as \"500ms\", \"10s\" or \"24h\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        let unexpected = |_| E::invalid_value(de::Unexpected::Str(text), &self);
        humantime::parse_duration(text).map_err(unexpected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_read_back_as_the_same_time() {
        for (millis, text) in [
            (0, "0s"),
            (7 * 86_400_000, "7d"),
            (90_000_000, "25h"),
            (900_000, "15m"),
            (1_500, "1500ms"),
            (10_000, "10s"),
        ] {
            let time = Duration::from_millis(millis);
            assert_eq!(format_duration(time), text);
            assert_eq!(parse_duration(text), Ok(time));
        }
    }

    #[test]
    fn times_without_a_unit_are_refused() {
        for wrong in ["", "10", "5 parsecs", "-1s"] {
            let text = parse_duration(wrong).unwrap_err().to_string();
            assert!(
                text.ends_with("expected a time with its unit such as 500ms, 30s or 5m"),
                "{text}"
            );
        }
    }
}

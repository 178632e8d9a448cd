//! Points in time, in nanoseconds.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::ValueError;
use crate::error::excerpt;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, at most [`UnixNanos::MAX`].
///
/// JSON carries it as an RFC 3339 string in UTC, MessagePack as an integer or as a timestamp
/// extension (`docs/protocol/ticks.md`, section "Fields and types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The latest time, 2262-04-11T23:47:16.854775807Z: the largest `i64` of nanoseconds.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Creates a time from nanoseconds since the Unix epoch. Returns `None` if it is later than
    /// [`UnixNanos::MAX`].
    #[must_use]
    pub fn new(nanos: u64) -> Option<Self> {
        (nanos <= Self::MAX.0).then_some(Self(nanos))
    }

    /// Returns the time that has passed since `earlier`; zero if `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Appends the time as RFC 3339 in UTC, with as few fraction digits as are needed to be exact:
    /// `2026-01-02T14:30:00.5Z`.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let nanos = i128::from(self.0.min(Self::MAX.0));
        let stamp = Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::UNIX_EPOCH);
        let printed = PRINTER.print_timestamp(&stamp, Bytes(out));
        debug_assert!(printed.is_ok(), "appending to a vector cannot fail");
    }
}

static PRINTER: jiff::fmt::temporal::DateTimePrinter = jiff::fmt::temporal::DateTimePrinter::new();

/// Lets jiff print into a byte buffer.
struct Bytes<'a>(&'a mut Vec<u8>);

impl jiff::fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> Result<(), jiff::Error> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl From<SystemTime> for UnixNanos {
    /// Converts a system time. Times before 1970 become 0, times after [`UnixNanos::MAX`] become
    /// it.
    fn from(time: SystemTime) -> Self {
        let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self(u64::try_from(nanos).unwrap_or(Self::MAX.0).min(Self::MAX.0))
    }
}

impl std::ops::Add<Duration> for UnixNanos {
    type Output = Self;

    /// Adds a duration, saturating at [`UnixNanos::MAX`].
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos).min(Self::MAX.0))
    }
}

impl fmt::Display for UnixNanos {
    /// Writes the time as [`write_rfc3339`](UnixNanos::write_rfc3339) does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(30);
        self.write_rfc3339(&mut text);
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for UnixNanos {
    type Err = ValueError;

    /// Parses RFC 3339 with `Z` or a numeric offset, from 1970 to [`UnixNanos::MAX`].
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let invalid = || {
            ValueError::Invalid(format!(
                "time {:?}: expected RFC 3339 such as 2026-01-02T14:30:00.5Z, 1970 to 2262",
                excerpt(text)
            ))
        };
        let stamp: Timestamp = text.parse().map_err(|_| invalid())?;
        u64::try_from(stamp.as_nanosecond()).ok().and_then(Self::new).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trips_without_trailing_zeros() {
        for text in [
            "2026-01-02T14:30:00Z",
            "2026-01-02T14:30:00.5Z",
            "2026-01-02T14:30:00.123456789Z",
            "1970-01-01T00:00:00.000000001Z",
        ] {
            assert_eq!(text.parse::<UnixNanos>().unwrap().to_string(), text);
        }
        assert_eq!(UnixNanos::MAX.to_string(), "2262-04-11T23:47:16.854775807Z");
    }

    #[test]
    fn malformed_times_and_times_outside_1970_to_2262_are_rejected() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2300-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<UnixNanos>().is_err(), "{text}");
        }
    }
}

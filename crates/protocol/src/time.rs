//! Points in time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::ValueError;

/// Nanoseconds since the Unix epoch, UTC; good until the year 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The largest time: what fits an `i64` of nanoseconds.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Checks that a number of nanoseconds is within [`UnixNanos::MAX`].
    #[must_use]
    pub fn new(nanos: u64) -> Option<Self> {
        (nanos <= Self::MAX.0).then_some(Self(nanos))
    }

    /// How much later this is than `earlier`; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Appends RFC 3339 in UTC with the fraction digits it needs: `2026-01-02T14:30:00.5Z`.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let nanos = i128::from(self.0.min(Self::MAX.0));
        let stamp = Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::UNIX_EPOCH);
        let printed = PRINTER.print_timestamp(&stamp, Bytes(out));
        debug_assert!(printed.is_ok(), "appending to a vector cannot fail");
    }
}

static PRINTER: jiff::fmt::temporal::DateTimePrinter = jiff::fmt::temporal::DateTimePrinter::new();

/// A byte buffer as a target of jiff.
struct Bytes<'a>(&'a mut Vec<u8>);

impl jiff::fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> Result<(), jiff::Error> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl From<SystemTime> for UnixNanos {
    fn from(time: SystemTime) -> Self {
        let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self(u64::try_from(nanos).unwrap_or(Self::MAX.0).min(Self::MAX.0))
    }
}

impl std::ops::Add<Duration> for UnixNanos {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        let nanos = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos).min(Self::MAX.0))
    }
}

impl fmt::Display for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(30);
        self.write_rfc3339(&mut text);
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for UnixNanos {
    type Err = ValueError;

    /// Reads RFC 3339, with `Z` or a numeric offset.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || {
            let shown: String = text.chars().take(40).collect();
            ValueError::Invalid(format!(
                "time {shown:?}: expected RFC 3339 such as 2026-01-02T14:30:00.5Z, 1970 to 2262"
            ))
        };
        let stamp: Timestamp = text.parse().map_err(|_| bad())?;
        u64::try_from(stamp.as_nanosecond()).ok().and_then(Self::new).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_trimmed_and_round_trips() {
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
    fn what_is_no_time_is_refused() {
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

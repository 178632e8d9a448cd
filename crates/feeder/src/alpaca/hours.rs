//! Market hours: when ticks are expected.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use tickwire_protocol::UnixNanos;

/// Hours in which ticks are expected. Holidays are not taken into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarketHours {
    /// At any time.
    Always,
    /// From Monday to Friday in New York, between two times of the day.
    Weekdays {
        /// Minutes since midnight at which the market opens.
        open: u16,
        /// Minutes since midnight at which it closes.
        close: u16,
    },
}

/// Error for a text that does not describe market hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected HH:MM-HH:MM within a day in New York, such as 09:30-16:00 or 04:00-20:00, or always"
)]
pub struct MarketHoursError;

impl MarketHours {
    /// The regular session: 09:30 to 16:00.
    pub const REGULAR: Self = Self::Weekdays { open: 9 * 60 + 30, close: 16 * 60 };

    /// Returns the time at which the market opened on this day, or `None` while it is closed. A
    /// market that never closes opened at the Unix epoch.
    pub(super) fn open_since(&self, now: UnixNanos) -> Option<UnixNanos> {
        let (open, close) = match self {
            Self::Always => return Some(UnixNanos(0)),
            Self::Weekdays { open, close } => (*open, *close),
        };
        let zone = TimeZone::get("America/New_York").ok()?;
        let local = Timestamp::from_nanosecond(i128::from(now.0)).ok()?.to_zoned(zone.clone());
        let weekend = matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday);
        let at = |minutes: u16| {
            let minutes = i64::from(minutes);
            let time = local.date().at(0, 0, 0, 0).checked_add(jiff::Span::new().minutes(minutes));
            let time = zone.to_timestamp(time.ok()?).ok()?.as_nanosecond();
            u64::try_from(time).ok().map(UnixNanos)
        };
        let open = at(open)?;
        let close = at(close)?;
        (!weekend && open <= now && now < close).then_some(open)
    }
}

impl FromStr for MarketHours {
    type Err = MarketHoursError;

    fn from_str(text: &str) -> Result<Self, MarketHoursError> {
        if text == "always" {
            return Ok(Self::Always);
        }
        let (open, close) = text.split_once('-').ok_or(MarketHoursError)?;
        let open = minutes(open)?;
        let close = minutes(close)?;
        (open < close).then_some(Self::Weekdays { open, close }).ok_or(MarketHoursError)
    }
}

/// Parses a time from 00:00 to 24:00 as minutes since midnight.
fn minutes(time: &str) -> Result<u16, MarketHoursError> {
    let number = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u16>().ok()).flatten().ok_or(MarketHoursError)
    };
    let (hour, minute) = time.split_once(':').ok_or(MarketHoursError)?;
    let hour = number(hour)?;
    let minute = number(minute)?;
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= 24 * 60).then_some(minutes).ok_or(MarketHoursError)
}

impl fmt::Display for MarketHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Weekdays { open, close } => {
                write!(f, "{:02}:{:02}-", open / 60, open % 60)?;
                write!(f, "{:02}:{:02}", close / 60, close % 60)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(hours: &str, now: &str) -> Option<String> {
        let hours: MarketHours = hours.parse().unwrap();
        hours.open_since(now.parse().unwrap()).map(|since| since.to_string())
    }

    #[test]
    fn regular_session_follows_new_york_in_summer_and_in_winter() {
        for (now, open) in [
            ("2026-01-02T14:29:59.999Z", None),
            ("2026-01-02T14:30:00Z", Some("2026-01-02T14:30:00Z")),
            ("2026-01-02T20:59:59Z", Some("2026-01-02T14:30:00Z")),
            ("2026-01-02T21:00:00Z", None),
            ("2026-07-01T13:29:59Z", None),
            ("2026-07-01T13:30:00Z", Some("2026-07-01T13:30:00Z")),
            ("2026-07-01T20:00:00Z", None),
            ("2026-01-03T15:00:00Z", None),
            ("2026-01-04T15:00:00Z", None),
        ] {
            assert_eq!(since("09:30-16:00", now).as_deref(), open, "{now}");
        }
        assert_eq!(MarketHours::REGULAR.to_string(), "09:30-16:00");
    }

    #[test]
    fn day_ends_with_its_midnight_in_new_york() {
        let open = Some("2026-01-02T05:00:00Z");
        assert_eq!(since("00:00-24:00", "2026-01-03T04:59:59Z").as_deref(), open);
        assert_eq!(since("00:00-24:00", "2026-01-03T05:00:00Z"), None);
        assert!(since("always", "2026-01-03T05:00:00Z").is_some());
    }

    #[test]
    fn invalid_hours_are_refused() {
        for text in
            ["", "9:30-16:00", "09:30", "16:00-09:30", "09:30-24:01", "09:60-16:00", "+9:30-16:00"]
        {
            assert_eq!(text.parse::<MarketHours>(), Err(MarketHoursError), "{text}");
        }
    }
}

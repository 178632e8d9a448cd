//! The days of a market in its time zone.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// One day of a market. All times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Day {
    /// Start of the day: midnight.
    pub(super) start: u64,
    /// End of the day: the next midnight.
    pub(super) end: u64,
    /// Start of the session whose prices form the daily bar.
    open: u64,
    /// End of that session, exclusive.
    close: u64,
}

impl Day {
    /// Returns whether a price at this time counts for the daily bar.
    pub(super) const fn in_session(&self, time: u64) -> bool {
        self.open <= time && time < self.close
    }
}

/// Maps times to days.
#[derive(Debug)]
pub(crate) struct Calendar {
    zone: TimeZone,
    /// Start and end of the session, in minutes since midnight.
    session: (u16, u16),
    /// The day returned last, which is nearly always the next answer too.
    last: Day,
}

/// An invalid time zone or session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CalendarError {
    #[error("expected a name of the tz database such as America/New_York")]
    Zone,
    #[error("expected HH:MM-HH:MM within one day, such as 09:30-16:00 or 00:00-24:00")]
    Session,
}

const DAY_MINUTES: u16 = 24 * 60;

impl Calendar {
    /// Creates a calendar of a time zone (a name of the tz database) and a session such as
    /// `09:30-16:00`.
    pub(crate) fn new(zone: &str, session: &str) -> Result<Self, CalendarError> {
        let zone = TimeZone::get(zone).map_err(|_| CalendarError::Zone)?;
        let session = read_session(session).ok_or(CalendarError::Session)?;
        Ok(Self { zone, session, last: Day::default() })
    }

    /// Returns the day that contains a time.
    pub(super) fn day(&mut self, time: u64) -> Day {
        if time < self.last.start || time >= self.last.end {
            self.last = self.find(time);
        }
        self.last
    }

    fn find(&self, time: u64) -> Day {
        let stamp = Timestamp::from_nanosecond(i128::from(time)).unwrap_or(Timestamp::MAX);
        let date = stamp.to_zoned(self.zone.clone()).date();
        let (open, close) = self.session;
        Day {
            start: self.nanos(date, 0),
            end: self.nanos(date, DAY_MINUTES),
            open: self.nanos(date, open),
            close: self.nanos(date, close),
        }
    }

    /// Returns a time of the day given in minutes since midnight; 24:00 is the next midnight.
    fn nanos(&self, date: Date, minutes: u16) -> u64 {
        let (date, minutes) = match date.tomorrow() {
            Ok(tomorrow) if minutes == DAY_MINUTES => (tomorrow, 0),
            _ => (date, minutes.min(DAY_MINUTES - 1)),
        };
        let hour = minutes / 60;
        let minute = minutes % 60;
        let small = |number: u16| i8::try_from(number).unwrap_or(i8::MAX);
        let zoned = date.at(small(hour), small(minute), 0, 0).to_zoned(self.zone.clone());
        zoned.map_or(0, |zoned| u64::try_from(zoned.timestamp().as_nanosecond()).unwrap_or(0))
    }
}

fn read_session(text: &str) -> Option<(u16, u16)> {
    let (open, close) = text.split_once('-')?;
    let minutes = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let two = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let hour = two(hour)?;
        let minute = two(minute)?;
        (minute < 60 && hour * 60 + minute <= DAY_MINUTES).then_some(hour * 60 + minute)
    };
    let session = (minutes(open)?, minutes(close)?);
    (session.0 < session.1).then_some(session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_protocol::UnixNanos;

    fn at(text: &str) -> u64 {
        text.parse::<UnixNanos>().unwrap().0
    }

    #[test]
    fn days_begin_at_midnight_of_the_zone_in_winter_and_summer() {
        let mut calendar = Calendar::new("America/New_York", "09:30-16:00").unwrap();
        let winter = calendar.day(at("2018-01-03T04:59:59.999Z"));
        assert_eq!(
            (winter.start, winter.end),
            (at("2018-01-02T05:00:00Z"), at("2018-01-03T05:00:00Z"))
        );
        assert_eq!(
            (winter.open, winter.close),
            (at("2018-01-02T14:30:00Z"), at("2018-01-02T21:00:00Z"))
        );
        let summer = calendar.day(at("2018-07-03T04:00:00Z"));
        assert_eq!(
            (summer.start, summer.open),
            (at("2018-07-03T04:00:00Z"), at("2018-07-03T13:30:00Z"))
        );
    }

    #[test]
    fn days_of_a_clock_change_have_23_and_25_hours() {
        let mut calendar = Calendar::new("America/New_York", "00:00-24:00").unwrap();
        for (noon, hours) in [("2018-03-11T16:00:00Z", 23), ("2018-11-04T16:00:00Z", 25)] {
            let day = calendar.day(at(noon));
            assert_eq!(day.end - day.start, hours * 3_600_000_000_000);
            assert!(day.in_session(day.start) && day.in_session(day.end - 1));
            assert!(!day.in_session(day.end));
        }
    }

    #[test]
    fn every_time_there_is_has_a_day() {
        for zone in ["America/New_York", "Asia/Kolkata", "UTC", "Pacific/Kiritimati"] {
            let mut calendar = Calendar::new(zone, "09:30-16:00").unwrap();
            for time in [0, 1, at("2026-01-02T14:30:00Z"), UnixNanos::MAX.0] {
                let day = calendar.day(time);
                assert!(day.start <= time && time < day.end, "{zone} {time} {day:?}");
            }
        }
    }

    #[test]
    fn unknown_zones_and_impossible_sessions_are_refused() {
        let error = |zone, session| Calendar::new(zone, session).unwrap_err();
        assert_eq!(error("Mars/Base", "09:30-16:00"), CalendarError::Zone);
        for session in
            ["", "9:30-16:00", "09:30", "16:00-09:30", "09:30-24:01", "09:60-16:00", "+9:30-16:00"]
        {
            assert_eq!(error("UTC", session), CalendarError::Session, "{session:?}");
        }
    }
}

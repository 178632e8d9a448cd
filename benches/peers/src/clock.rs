//! The clocks, read here only.

use std::time::{Duration, Instant, SystemTime};

/// The monotonic clock, for durations.
#[expect(clippy::disallowed_methods, reason = "a driver: times what it measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall clock in nanoseconds since the Unix epoch, which two processes can compare.
#[expect(clippy::disallowed_methods, reason = "a driver: compares with stamps of other processes")]
pub(crate) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// When each of a series of ticks is due: one every `1/rate` seconds from the start on.
///
/// A tick is stamped with the time it was due, so that a server that holds its publisher back
/// is not measured kindly for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    started: Instant,
    started_unix_ns: u64,
    /// Ticks per second.
    rate: u64,
}

impl Schedule {
    pub(crate) fn start(rate: u64) -> Self {
        Self { started: now(), started_unix_ns: unix_ns(), rate }
    }

    /// How many ticks are due by now.
    pub(crate) fn due(&self) -> u64 {
        let due = self.started.elapsed().as_nanos() * u128::from(self.rate) / 1_000_000_000;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since the Unix epoch at which tick `number` is due, from 0.
    pub(crate) const fn stamp_ns(&self, number: u64) -> u64 {
        self.started_unix_ns + (number + 1) * 1_000_000_000 / self.rate
    }

    /// How long it is until tick `number` is due.
    pub(crate) fn until(&self, number: u64) -> Duration {
        let due = Duration::from_secs_f64((number + 1) as f64 / self.rate as f64);
        due.saturating_sub(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_as_far_apart_as_the_rate_says() {
        let schedule = Schedule { started: now(), started_unix_ns: 1_000, rate: 2_000 };
        assert_eq!(schedule.stamp_ns(0), 501_000);
        assert_eq!(schedule.stamp_ns(1_999), 1_000_001_000);
    }
}

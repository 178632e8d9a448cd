//! The wall clock, the monotonic clock, and the schedule of ticks. No other module reads a clock.

use std::time::{Duration, Instant, SystemTime};

/// Reads the monotonic clock, for durations.
#[expect(clippy::disallowed_methods, reason = "a driver: times what it measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Reads the wall clock, in nanoseconds since the Unix epoch. Processes can compare its times.
#[expect(clippy::disallowed_methods, reason = "a driver: compares with stamps of other processes")]
pub(crate) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// When each tick of a publisher is due: one every `1/rate` seconds.
///
/// A tick carries the time it was due, not the time it was sent. A server that slows its publisher
/// down therefore shows a higher latency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    started: Instant,
    started_unix_ns: u64,
    /// Ticks per second.
    rate: u64,
}

impl Schedule {
    /// Starts a schedule of `rate` ticks per second now.
    pub(crate) fn start(rate: u64) -> Self {
        Self { started: now(), started_unix_ns: unix_ns(), rate }
    }

    /// Returns how many ticks are due by now.
    pub(crate) fn due(&self) -> u64 {
        let due = self.started.elapsed().as_nanos() * u128::from(self.rate) / 1_000_000_000;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// Returns when tick `number`, counted from 0, is due, in nanoseconds since the Unix epoch.
    pub(crate) const fn stamp_ns(&self, number: u64) -> u64 {
        self.started_unix_ns + (number + 1) * 1_000_000_000 / self.rate
    }

    /// Returns how long it is until tick `number` is due; zero if it is overdue.
    pub(crate) fn until(&self, number: u64) -> Duration {
        let due = Duration::from_secs_f64((number + 1) as f64 / self.rate as f64);
        due.saturating_sub(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_are_one_interval_apart() {
        let schedule = Schedule { started: now(), started_unix_ns: 1_000, rate: 2_000 };
        assert_eq!(schedule.stamp_ns(0), 501_000);
        assert_eq!(schedule.stamp_ns(1_999), 1_000_001_000);
    }
}

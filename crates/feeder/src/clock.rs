//! The only place that reads a clock.

use std::time::{Duration, SystemTime};

use tickwire_protocol::UnixNanos;
use tokio::time::Instant;

/// Wall-clock time that never jumps: read once, then carried on by the monotonic clock, so that a
/// corrected clock neither floods nor stalls a schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    wall: UnixNanos,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the drivers' clock")]
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), wall: SystemTime::now().into() }
    }

    #[expect(clippy::disallowed_methods, reason = "the drivers' clock")]
    pub(crate) fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Nanoseconds since the Unix epoch.
    pub(crate) fn now(&self) -> UnixNanos {
        self.wall + self.instant().duration_since(self.started)
    }

    /// The instant of a time, as far as it lies ahead; at most a day.
    pub(crate) fn instant_of(&self, time: UnixNanos) -> Instant {
        self.instant() + time.since(self.now()).min(Duration::from_secs(86_400))
    }
}

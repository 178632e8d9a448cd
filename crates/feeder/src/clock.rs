//! The only code of this crate that reads a clock.

use std::time::{Duration, SystemTime};

use tickwire_protocol::UnixNanos;
use tokio::time::Instant;

/// Wall-clock time that never jumps: read once, then advanced by the monotonic clock. A clock
/// adjustment therefore neither floods nor stalls a schedule.
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

    /// Returns the current time.
    pub(crate) fn now(&self) -> UnixNanos {
        self.wall + self.instant().duration_since(self.started)
    }

    /// Returns the monotonic instant at which the clock will show this time, at most one day from
    /// now.
    pub(crate) fn instant_of(&self, time: UnixNanos) -> Instant {
        self.instant() + time.since(self.now()).min(Duration::from_secs(86_400))
    }
}

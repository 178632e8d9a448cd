//! The hub's only view of the clocks.

use std::time::{Instant, SystemTime};

use tickwire_protocol::UnixNanos;

/// Wall-clock time, for receive times and for people.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the wall clock")]
pub(crate) fn wall() -> UnixNanos {
    SystemTime::now().into()
}

/// Monotonic time, for timers.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

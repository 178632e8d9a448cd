//! The only access to the system's clocks.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use tickwire_protocol::UnixNanos;

/// Returns the time of day, for receive times and for display.
///
/// The wall clock is read once, at the first call. Later times are that reading plus elapsed
/// monotonic time: setting the wall clock must not make a session count as late, or stop its
/// backlog from ageing.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the wall clock")]
pub(crate) fn wall() -> UnixNanos {
    static START: OnceLock<(Instant, UnixNanos)> = OnceLock::new();
    let (started, started_at) = START.get_or_init(|| (monotonic(), SystemTime::now().into()));
    *started_at + started.elapsed()
}

/// Returns monotonic time, for timers.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

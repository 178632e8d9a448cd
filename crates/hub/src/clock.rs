//! The hub's only view of the clocks.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use tickwire_protocol::UnixNanos;

/// Time of day, for receive times and for people: the wall clock as it was when first asked, gone on
/// by the monotonic clock. Somebody who sets the wall clock must not make a session late, or stop its
/// ageing.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the wall clock")]
pub(crate) fn wall() -> UnixNanos {
    static START: OnceLock<(Instant, UnixNanos)> = OnceLock::new();
    let (began, at) = START.get_or_init(|| (monotonic(), SystemTime::now().into()));
    *at + began.elapsed()
}

/// Monotonic time, for timers.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

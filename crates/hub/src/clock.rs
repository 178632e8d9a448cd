//! The hub's only view of the clocks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tickwire_protocol::UnixNanos;

/// Time of day, for receive times and for people: the wall clock as it was when first asked, gone on
/// by the monotonic clock. Somebody who sets the wall clock must not make a session late, or stop its
/// ageing.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the wall clock")]
pub(crate) fn wall() -> UnixNanos {
    static START: OnceLock<(Instant, UnixNanos)> = OnceLock::new();
    let (began, at) = START.get_or_init(|| (monotonic(), SystemTime::now().into()));
    *at + began.elapsed() + Duration::from_nanos(AHEAD.load(Ordering::Relaxed))
}

/// How much later [`wall`] is than the wall clock said at the start, in nanoseconds.
static AHEAD: AtomicU64 = AtomicU64::new(0);

/// Makes it later than a time from an earlier life of the hub: receive times never go back, not even if
/// somebody has set the wall clock back since.
pub(crate) fn go_on_from(time: UnixNanos) {
    let ahead = time.since(wall()).as_nanos();
    AHEAD.fetch_add(u64::try_from(ahead).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Monotonic time, for timers.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

//! The time at which a check begins. All later times are counted from it.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "only differences of times matter")]
pub(super) fn start() -> Instant {
    Instant::now()
}

//! Waiting for a condition.

use std::thread;
use std::time::Duration;

/// How long a test waits for a condition before it fails: far longer than any condition takes on a
/// busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How long [`until`] and [`holds_in_time`] sleep between two checks of the condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Blocks until `holds` returns true.
///
/// # Panics
/// Panics if `holds` has not returned true within about [`PATIENCE`]; the message names
/// `condition`.
pub fn until(condition: &str, mut holds: impl FnMut() -> bool) {
    assert!(holds_in_time(&mut holds), "not within {} s: {condition}", PATIENCE.as_secs());
}

/// Blocks until `holds` returns true, for tests that report more than a name when it does not.
///
/// Returns false if `holds` has not returned true within about [`PATIENCE`].
#[must_use]
pub fn holds_in_time(mut holds: impl FnMut() -> bool) -> bool {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if holds() {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_returns_once_the_condition_holds() {
        let mut looks = 0;
        until("the third look", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }
}

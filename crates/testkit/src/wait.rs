//! Waiting for a condition.

use std::thread;
use std::time::Duration;

/// How long a test waits for a condition before it fails: far longer than any condition takes on a
/// busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long [`eventually`] sleeps between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Calls `look` until it returns a value, and returns the value.
///
/// # Panics
/// If there is no value after [`PATIENCE`]; the message names `condition`.
pub fn eventually<T>(condition: &str, mut look: impl FnMut() -> Option<T>) -> T {
    // Counts pauses rather than time: a machine that was suspended has not been patient.
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if let Some(value) = look() {
            return value;
        }
        thread::sleep(PAUSE);
    }
    panic!("not within {} s: {condition}", PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eventually_returns_the_first_value() {
        let mut looks = 0;
        let value = eventually("the third look", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value, 3);
    }
}

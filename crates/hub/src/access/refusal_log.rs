//! Lines of the log about sessions that are refused.
//!
//! Most clients show little of what they are told: without these nobody sees why one of them gets nothing.
//! Clients that are refused come again and again, so only so many lines are written in a time.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines in [`WITHIN`] at the most.
const LINES_MAX: u32 = 20;
const WITHIN: Duration = Duration::from_secs(10);

/// How many lines there were lately. One for the process, as the log is.
static RATE_LIMIT: Mutex<LogRateLimit> =
    Mutex::new(LogRateLimit { since: None, lines: 0, left_out: 0 });

#[derive(Debug)]
struct LogRateLimit {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl LogRateLimit {
    /// Whether there may be a line now; if so, how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WITHIN) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines == LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Says who is refused and why; `key` is the name of the key that was shown, if one was that is right.
pub(crate) fn note(now: Instant, peer: IpAddr, view: &str, key: Option<&str>, why: &str) {
    let taken = RATE_LIMIT.lock().unwrap_or_else(PoisonError::into_inner).take(now);
    let Some(left_out) = taken else { return };
    let view: String = view.chars().take(64).collect();
    let key = key.unwrap_or("(none)");
    match left_out {
        0 => tracing::info!(%peer, view, key, why, "refused"),
        lines => tracing::info!(%peer, view, key, why, lines_left_out = lines, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_again_and_again_does_not_fill_the_log() {
        let start = crate::clock::monotonic();
        let mut limit = LogRateLimit { since: None, lines: 0, left_out: 0 };
        let written = (0..1_000).filter(|_| limit.take(start).is_some()).count();
        assert_eq!(written, LINES_MAX as usize);
        assert_eq!(limit.take(start + WITHIN), Some(1_000 - u64::from(LINES_MAX)));
        assert_eq!(limit.take(start + WITHIN), Some(0));
    }
}

//! Log lines about refused sessions and commands.
//!
//! Most client programs hide the errors that the hub sends them. Without these lines an operator
//! could not see why a client receives nothing. Refused clients tend to retry without end, so the
//! number of lines is limited.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of lines written per [`WINDOW`].
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// One limit for the whole process, since the process has one log.
static RATE_LIMIT: Mutex<LogRateLimit> =
    Mutex::new(LogRateLimit { window_start: None, lines: 0, suppressed: 0 });

/// Limits the rate of log lines, in windows of fixed length.
#[derive(Debug)]
struct LogRateLimit {
    window_start: Option<Instant>,
    /// Lines written in this window.
    lines: u32,
    /// Lines suppressed since the last line that was written.
    suppressed: u64,
}

impl LogRateLimit {
    /// Asks to write a line. Returns how many lines were suppressed since the last one, or `None`
    /// if this line has to be suppressed too.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.window_start.is_none_or(|start| now.saturating_duration_since(start) >= WINDOW) {
            self.window_start = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES_MAX {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// Logs that a client was refused, and why. `key` is the name of its key, if it presented a valid
/// one.
pub(crate) fn note(now: Instant, peer: IpAddr, view: &str, key: Option<&str>, why: &str) {
    let taken = RATE_LIMIT.lock().unwrap_or_else(PoisonError::into_inner).take(now);
    let Some(suppressed) = taken else { return };
    let view: String = view.chars().take(64).collect();
    let key = key.unwrap_or("(none)");
    match suppressed {
        0 => tracing::info!(%peer, view, key, why, "refused"),
        suppressed => tracing::info!(%peer, view, key, why, suppressed, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_refusals_do_not_flood_the_log() {
        let start = crate::clock::monotonic();
        let mut limit = LogRateLimit { window_start: None, lines: 0, suppressed: 0 };
        let written = (0..1_000).filter(|_| limit.take(start).is_some()).count();
        assert_eq!(written, LINES_MAX as usize);
        assert_eq!(limit.take(start + WINDOW), Some(1_000 - u64::from(LINES_MAX)));
        assert_eq!(limit.take(start + WINDOW), Some(0));
    }
}

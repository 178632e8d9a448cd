//! Limits how many log lines one cause may write.

use std::time::{Duration, Instant};

/// Limits the rate of log lines, in windows of fixed length.
#[derive(Debug)]
pub(crate) struct LogRateLimit {
    /// Maximum number of lines in a window.
    lines_max: u32,
    window: Duration,
    window_start: Option<Instant>,
    /// Lines written in this window.
    lines: u32,
    /// Lines suppressed since the last line that was written.
    suppressed: u64,
}

impl LogRateLimit {
    /// Creates a limit of `lines_max` lines in each `window`.
    pub(crate) const fn new(lines_max: u32, window: Duration) -> Self {
        Self { lines_max, window, window_start: None, lines: 0, suppressed: 0 }
    }

    /// Asks to write a line. Returns how many lines were suppressed since the last one, or `None`
    /// if this line has to be suppressed too.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        let is_over = |start| now.saturating_duration_since(start) >= self.window;
        if self.window_start.is_none_or(is_over) {
            self.window_start = Some(now);
            self.lines = 0;
        }
        if self.lines == self.lines_max {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_suppressed_and_counted() {
        const WINDOW: Duration = Duration::from_secs(10);
        let start = crate::clock::monotonic();
        let mut limit = LogRateLimit::new(20, WINDOW);
        let written = (0..1_000).filter(|_| limit.take(start).is_some()).count();
        assert_eq!(written, 20);
        assert_eq!(limit.take(start + WINDOW), Some(980));
        assert_eq!(limit.take(start + WINDOW), Some(0));
    }
}

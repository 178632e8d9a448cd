//! Detects that the process was suspended, from timers that run far too late.
//!
//! A stopped process (SIGSTOP, a paused container, a frozen virtual machine) reads nothing. What
//! clients sent meanwhile waits in the kernel, so the silence of that time is the hub's own and
//! must not count against them.

use std::time::{Duration, Instant};

/// Least delay of a timer that counts as a suspension. A busy machine delays timers by less; a
/// longer delay for that reason has the same consequences.
const DELAY_MIN: Duration = Duration::from_secs(1);

/// Returns how long the process was suspended before `now` if a timer was due at `due`.
pub(crate) fn suspended_for(due: Instant, now: Instant) -> Option<Duration> {
    let delay = now.saturating_duration_since(due);
    (delay >= DELAY_MIN).then_some(delay)
}

/// A check that is due at regular intervals and notices suspensions.
#[derive(Debug)]
pub(crate) struct RegularCheck {
    interval: Duration,
    next: Instant,
}

impl RegularCheck {
    /// Starts at `now`.
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, next: now + interval }
    }

    /// Returns when the next check is due.
    pub(crate) const fn next(&self) -> Instant {
        self.next
    }

    /// Notes that the check is made. Returns for how long the process was suspended before it.
    pub(crate) fn on_check(&mut self, now: Instant) -> Option<Duration> {
        let suspended = suspended_for(self.next, now);
        self.next = now + self.interval;
        suspended
    }
}

/// Judges whether a peer is silent, at regular checks.
#[derive(Debug)]
pub(crate) struct IdleTimeout {
    timeout: Duration,
    /// When the peer was heard last, moved forward by suspensions.
    heard: Instant,
    checks: RegularCheck,
}

impl IdleTimeout {
    /// Starts at `now`. Checks are due at `check_interval`.
    pub(crate) fn new(timeout: Duration, check_interval: Duration, now: Instant) -> Self {
        Self { timeout, heard: now, checks: RegularCheck::new(check_interval, now) }
    }

    /// Restarts the timeout when something was received.
    pub(crate) fn on_input(&mut self, at: Instant) {
        self.heard = self.heard.max(at);
    }

    /// Returns whether the peer has been silent for longer than the timeout, without the time in
    /// which this was not checked: input of that time may still be waiting to be read.
    pub(crate) fn check(&mut self, now: Instant) -> bool {
        if let Some(time) = self.checks.on_check(now) {
            self.heard = (self.heard + time).min(now);
        }
        now.saturating_duration_since(self.heard) > self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);
    const INTERVAL: Duration = Duration::from_secs(15);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn peer_is_silent_after_the_timeout() {
        let start = crate::clock::monotonic();
        let mut idle = IdleTimeout::new(TIMEOUT, INTERVAL, start);
        let silent: Vec<_> = (1..=5).map(|check| idle.check(at(start, 15 * check))).collect();
        assert_eq!(silent, [false, false, false, false, true]);
    }

    #[test]
    fn suspension_does_not_count_as_silence_of_the_peer() {
        let start = crate::clock::monotonic();
        let mut idle = IdleTimeout::new(TIMEOUT, INTERVAL, start);
        assert!(!idle.check(at(start, 15)));
        assert!(!idle.check(at(start, 15 + 62)), "suspended for 62 s");
        idle.on_input(at(start, 78));
        assert!(!idle.check(at(start, 92)));
        // A peer that stays silent after the suspension is noticed in time.
        let silent: Vec<_> = (1..=4).map(|check| idle.check(at(start, 92 + 15 * check))).collect();
        assert_eq!(silent, [false, false, false, true]);
    }

    #[test]
    fn earlier_input_does_not_shorten_the_timeout() {
        let start = crate::clock::monotonic();
        let mut idle = IdleTimeout::new(TIMEOUT, INTERVAL, start);
        idle.on_input(at(start, 20));
        idle.on_input(at(start, 10));
        let silent: Vec<_> = (1..=6).map(|check| idle.check(at(start, 15 * check))).collect();
        assert_eq!(silent, [false, false, false, false, false, true]);
    }

    #[test]
    fn silence_before_a_suspension_counts() {
        let start = crate::clock::monotonic();
        let mut idle = IdleTimeout::new(TIMEOUT, INTERVAL, start);
        for check in 1..=3 {
            assert!(!idle.check(at(start, 15 * check)));
        }
        assert!(!idle.check(at(start, 45 + 3_600)), "suspended for an hour");
        assert!(idle.check(at(start, 45 + 3_600 + 15)));
    }
}

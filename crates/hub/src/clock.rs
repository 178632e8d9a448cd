//! The only access to the system's clocks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use tickwire_protocol::UnixNanos;

/// Difference from the system's wall clock up to which [`wall`] does not follow it.
const DIFFERENCE_MAX_NS: u64 = 1_000_000_000;
/// While [`wall`] is ahead, it is slower than the system's clocks by one part in this many.
const SLOWER_BY: u64 = 10;

/// Returns the time of day, for receive times and for display.
///
/// It advances with the monotonic clock, and stays within a second of the system's wall clock. If
/// that jumps forward, as after the sleep of a laptop, in which the monotonic clock stands still,
/// this clock follows at once. It never goes back: if the system's clock is set back, this one runs
/// a tenth slower until both agree. Setting the wall clock back therefore makes no session count as
/// late, and stops no backlog from ageing.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the wall clock")]
pub(crate) fn wall() -> UnixNanos {
    static CLOCK: OnceLock<(Instant, WallClock)> = OnceLock::new();
    let system = || UnixNanos::from(SystemTime::now());
    let (started, clock) = CLOCK.get_or_init(|| (monotonic(), WallClock::new(system())));
    let elapsed = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    clock.read(elapsed, system())
}

/// Returns monotonic time, for timers.
#[expect(clippy::disallowed_methods, reason = "the driver's one reading of the monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// A clock that follows two others: one that is monotonic, and one that may be set.
#[derive(Debug)]
struct WallClock {
    /// The time at which the monotonic clock stood at zero.
    offset: AtomicU64,
    /// Monotonic time of the newest read while this clock is ahead; 0 while it is not.
    slowed: AtomicU64,
}

impl WallClock {
    const fn new(now: UnixNanos) -> Self {
        Self { offset: AtomicU64::new(now.0), slowed: AtomicU64::new(0) }
    }

    /// Returns the time when the monotonic clock stands at `elapsed` nanoseconds and the system's
    /// wall clock at `system`.
    fn read(&self, elapsed: u64, system: UnixNanos) -> UnixNanos {
        let offset = self.offset.load(Ordering::Relaxed);
        let now = offset + elapsed;
        if system.0 > now + DIFFERENCE_MAX_NS {
            let offset = system.0 - elapsed;
            let before = self.offset.fetch_max(offset, Ordering::Relaxed);
            return UnixNanos(before.max(offset) + elapsed);
        }
        if now > system.0 + DIFFERENCE_MAX_NS {
            let less = match self.slowed.fetch_max(elapsed, Ordering::Relaxed) {
                0 => 0,
                slowed => elapsed.saturating_sub(slowed) / SLOWER_BY,
            };
            let before = self.offset.fetch_sub(less, Ordering::Relaxed);
            return UnixNanos(before - less + elapsed);
        }
        if self.slowed.load(Ordering::Relaxed) > 0 {
            self.slowed.store(0, Ordering::Relaxed);
        }
        UnixNanos(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: u64 = 1_700_000_000_000;

    /// Returns the time. All times are in milliseconds since the start.
    fn read(clock: &WallClock, elapsed: u64, system: u64) -> u64 {
        let now = clock.read(elapsed * 1_000_000, UnixNanos((START_MS + system) * 1_000_000));
        now.0 / 1_000_000 - START_MS
    }

    fn clock() -> WallClock {
        WallClock::new(UnixNanos(START_MS * 1_000_000))
    }

    #[test]
    fn small_differences_are_ignored() {
        let clock = clock();
        for (elapsed, system) in [(1_000, 1_000), (2_000, 2_900), (3_000, 2_100), (4_000, 4_000)] {
            assert_eq!(read(&clock, elapsed, system), elapsed);
        }
    }

    #[test]
    fn jump_forward_is_followed_at_once() {
        let clock = clock();
        assert_eq!(read(&clock, 10_000, 10_000), 10_000);
        assert_eq!(read(&clock, 10_500, 3_610_500), 3_610_500, "after a sleep of an hour");
        assert_eq!(read(&clock, 11_000, 3_611_000), 3_611_000);
        assert_eq!(read(&clock, 12_000, 3_612_300), 3_612_000);
    }

    #[test]
    fn clock_that_is_ahead_runs_slower_and_never_goes_back() {
        let clock = clock();
        let mut before = 0;
        for step in 1..=10_000 {
            let elapsed = 100_000 + step * 100;
            let now = read(&clock, elapsed, elapsed - 60_000);
            assert!(now > before, "{before} {now}");
            if step == 101 {
                assert_eq!(now, 109_100, "nine seconds of ten");
            }
            before = now;
        }
        let ahead = before - (1_100_000 - 60_000);
        assert!(ahead <= 1_000, "{ahead}");
    }
}

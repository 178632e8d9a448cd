//! The timers of sessions: send times of `latest`, and playback of replays.

use tickwire_protocol::UnixNanos;

use super::super::SessionId;

/// A step takes 2^20 nanoseconds, about a millisecond.
const STEP_BITS: u32 = 20;
/// Steps of a lap, about a second.
const STEPS: u64 = 1024;
const WORDS: usize = 1024 / 64;

/// A timing wheel: a bucket for each step of a lap. A timer that is due laps later stays in its
/// bucket until its lap.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    buckets: Box<[Vec<Timer>]>,
    /// A bit for each bucket that holds any timer.
    occupied: [u64; WORDS],
    /// All timers up to this step have expired.
    now: u64,
}

/// A timer of a session. It cannot be cancelled: when it expires, the session may not need it any
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) id: SessionId,
    pub(crate) due: TimerStep,
}

/// A step of the wheel: a time rounded up to about a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerStep(u64);

impl TimerStep {
    /// Returns the first step that begins after a time.
    pub(crate) const fn after(time: UnixNanos) -> Self {
        Self((time.0 >> STEP_BITS) + 1)
    }

    const fn bucket(self) -> usize {
        (self.0 % STEPS) as usize
    }
}

impl TimerWheel {
    pub(crate) fn new() -> Self {
        let buckets = (0..STEPS).map(|_| Vec::new()).collect();
        Self { buckets, occupied: [0; WORDS], now: 0 }
    }

    /// Sets a timer. A timer that is due already expires with the next step.
    pub(crate) fn schedule(&mut self, timer: Timer) {
        let bucket = TimerStep(timer.due.0.max(self.now + 1)).bucket();
        self.buckets[bucket].push(timer);
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
    }

    /// Advances to a time, and passes every timer that is due by then to `on_expired`.
    pub(crate) fn advance(&mut self, time: UnixNanos, mut on_expired: impl FnMut(Timer)) {
        let to = time.0 >> STEP_BITS;
        if to <= self.now {
            return;
        }
        for step in self.now + 1..=to.min(self.now + STEPS) {
            let bucket = TimerStep(step).bucket();
            if self.occupied[bucket / 64] & 1 << (bucket % 64) == 0 {
                continue;
            }
            let timers = &mut self.buckets[bucket];
            timers.retain(|timer| {
                let is_later = timer.due.0 > to;
                if !is_later {
                    on_expired(*timer);
                }
                is_later
            });
            if timers.is_empty() {
                timers.shrink_to(64);
                self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            }
        }
        self.now = to;
    }

    /// Returns when to advance next, if any timer is set: never later than the first timer is due,
    /// and at worst a lap too early.
    pub(crate) fn next(&self) -> Option<UnixNanos> {
        let ahead = |distance: u64| TimerStep(self.now + distance);
        (1..=STEPS)
            .map(ahead)
            .find(|step| self.occupied[step.bucket() / 64] & 1 << (step.bucket() % 64) != 0)
            .map(|step| UnixNanos(step.0 << STEP_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Advances to a time and returns the sessions whose timers have expired.
    fn expired(wheel: &mut TimerWheel, ms: u64) -> Vec<u32> {
        let mut ids = Vec::new();
        wheel.advance(UnixNanos(ms * MS), |timer| ids.push(timer.id.0));
        ids.sort_unstable();
        ids
    }

    fn set(wheel: &mut TimerWheel, id: u32, ms: u64) {
        let due = TimerStep::after(UnixNanos(ms * MS));
        wheel.schedule(Timer { id: SessionId(id), due });
    }

    #[test]
    fn timers_expire_in_their_step_however_far_ahead_they_were_set() {
        let mut wheel = TimerWheel::new();
        assert!(expired(&mut wheel, 50_000).is_empty());
        for (id, ms) in [(0, 50_001), (1, 50_100), (2, 50_100), (3, 51_900), (4, 60_000)] {
            set(&mut wheel, id, ms);
        }
        set(&mut wheel, 5, 49_000); // due already
        let mut at = [0; 6];
        for ms in 50_000..60_100 {
            let next = wheel.next();
            for id in expired(&mut wheel, ms) {
                at[id as usize] = ms;
                let is_in_time = next.is_some_and(|next| next.0 <= ms * MS);
                assert!(is_in_time, "a sleep until {next:?} misses the timer of {ms} ms");
            }
        }
        assert!(wheel.next().is_none());
        for (id, due) in [50_001, 50_100, 50_100, 51_900, 60_000].into_iter().enumerate() {
            assert!((due..=due + 2).contains(&at[id]), "{id} was due at {due}: {}", at[id]);
        }
        assert!(at[5] <= 50_002);
    }

    #[test]
    fn all_timers_expire_when_time_jumps() {
        let mut wheel = TimerWheel::new();
        expired(&mut wheel, 1_000);
        (0..3_000).for_each(|id| set(&mut wheel, id, 1_000 + u64::from(id)));
        assert_eq!(expired(&mut wheel, 20_000), (0..3_000).collect::<Vec<_>>());
        assert!(wheel.next().is_none());
    }
}

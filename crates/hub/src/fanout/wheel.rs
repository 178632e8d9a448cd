//! When paced sessions have their slots.

use tickwire_protocol::UnixNanos;

use super::SessionId;

/// Two to the power of this many nanoseconds are one step: about a millisecond.
const STEP_BITS: u32 = 20;
/// Steps of a lap, about a second.
const STEPS: u64 = 1024;
const WORDS: usize = 1024 / 64;

/// A timing wheel: a place per step of time, around which the present moves. What is due laps later
/// stays in its place until its lap has come.
#[derive(Debug)]
pub(crate) struct Wheel {
    places: Box<[Vec<Timer>]>,
    /// A bit for each place that holds anything.
    occupied: [u64; WORDS],
    /// Every step up to this one has been handed out.
    now: u64,
}

/// A session's alarm. It may be outdated by the time it goes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) id: SessionId,
    pub(crate) due: Due,
}

/// A step of the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due(u64);

impl Due {
    /// The step that begins at or after a time.
    pub(crate) const fn at(time: UnixNanos) -> Self {
        Self((time.0 >> STEP_BITS) + 1)
    }

    const fn place(self) -> usize {
        (self.0 % STEPS) as usize
    }
}

impl Wheel {
    pub(crate) fn new() -> Self {
        let places = (0..STEPS).map(|_| Vec::new()).collect();
        Self { places, occupied: [0; WORDS], now: 0 }
    }

    /// Sets an alarm; what is due already goes off with the next step.
    pub(crate) fn schedule(&mut self, timer: Timer) {
        let place = Due(timer.due.0.max(self.now + 1)).place();
        self.places[place].push(timer);
        self.occupied[place / 64] |= 1 << (place % 64);
    }

    /// Moves on to a time and takes out what is due by then.
    pub(crate) fn advance(&mut self, time: UnixNanos, mut ring: impl FnMut(Timer)) {
        let to = time.0 >> STEP_BITS;
        if to <= self.now {
            return;
        }
        for step in self.now + 1..=to.min(self.now + STEPS) {
            let place = Due(step).place();
            if self.occupied[place / 64] & 1 << (place % 64) == 0 {
                continue;
            }
            let timers = &mut self.places[place];
            timers.retain(|timer| {
                let later = timer.due.0 > to;
                if !later {
                    ring(*timer);
                }
                later
            });
            if timers.is_empty() {
                timers.shrink_to(64);
                self.occupied[place / 64] &= !(1 << (place % 64));
            }
        }
        self.now = to;
    }

    /// When to look next, if anything is set: never too late, and a lap too early at worst.
    pub(crate) fn next(&self) -> Option<UnixNanos> {
        let ahead = |distance: u64| Due(self.now + distance);
        (1..=STEPS)
            .map(ahead)
            .find(|step| self.occupied[step.place() / 64] & 1 << (step.place() % 64) != 0)
            .map(|step| UnixNanos(step.0 << STEP_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rung(wheel: &mut Wheel, ms: u64) -> Vec<u32> {
        let mut ids = Vec::new();
        wheel.advance(UnixNanos(ms * MS), |timer| ids.push(timer.id.0));
        ids.sort_unstable();
        ids
    }

    fn set(wheel: &mut Wheel, id: u32, ms: u64) {
        let due = Due::at(UnixNanos(ms * MS));
        wheel.schedule(Timer { id: SessionId(id), due });
    }

    #[test]
    fn alarms_go_off_in_their_step_however_far_ahead_they_were_set() {
        let mut wheel = Wheel::new();
        assert!(rung(&mut wheel, 50_000).is_empty());
        for (id, ms) in [(0, 50_001), (1, 50_100), (2, 50_100), (3, 51_900), (4, 60_000)] {
            set(&mut wheel, id, ms);
        }
        set(&mut wheel, 5, 49_000); // due already
        let mut at = [0; 6];
        for ms in 50_000..60_100 {
            let next = wheel.next();
            for id in rung(&mut wheel, ms) {
                at[id as usize] = ms;
                assert!(
                    next.is_some_and(|next| next.0 <= ms * MS),
                    "it would have been slept over"
                );
            }
        }
        assert!(wheel.next().is_none());
        for (id, due) in [50_001, 50_100, 50_100, 51_900, 60_000].into_iter().enumerate() {
            assert!((due..=due + 2).contains(&at[id]), "{id} was due at {due}: {}", at[id]);
        }
        assert!(at[5] <= 50_002);
    }

    #[test]
    fn nothing_is_forgotten_when_time_jumps() {
        let mut wheel = Wheel::new();
        rung(&mut wheel, 1_000);
        (0..3_000).for_each(|id| set(&mut wheel, id, 1_000 + u64::from(id)));
        assert_eq!(rung(&mut wheel, 20_000), (0..3_000).collect::<Vec<_>>());
        assert!(wheel.next().is_none());
    }
}

//! How far apart the connections get the same tick.

use std::time::Duration;

/// One tick of this many is followed.
pub(crate) const SAMPLE_ONE_IN: u64 = 16;

/// How many ticks are followed at a time.
const SLOTS: usize = 4096;

/// A tick nobody has got for so long is complete.
const SETTLED_NS: u64 = 1_000_000_000;

/// How many complete ticks are kept; later ones are not followed.
const SPREADS_MAX: usize = 1 << 16;

/// First and last arrival of one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    /// Which tick. Invariant: 0 only in a slot that is free.
    key: u64,
    first_ns: u64,
    last_ns: u64,
    arrivals: u32,
}

/// Follows a sample of the ticks, the same on every thread.
#[derive(Debug)]
pub(crate) struct Skew {
    slots: Vec<Spread>,
    complete: Vec<Spread>,
}

const FREE: Spread = Spread { key: 0, first_ns: 0, last_ns: 0, arrivals: 0 };

impl Default for Skew {
    fn default() -> Self {
        Self { slots: vec![FREE; SLOTS], complete: Vec::new() }
    }
}

impl Skew {
    /// A tick has arrived on some connection.
    #[inline]
    pub(crate) fn arrived(&mut self, topic: usize, seq: u64, now_ns: u64) {
        // Unique up to 2^24 topics and 2^40 ticks each; more would only make samples collide.
        let key = ((topic as u64) << 40 | (seq & 0xff_ffff_ffff)).wrapping_add(1);
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if hash >> 32 & (SAMPLE_ONE_IN - 1) == 0 {
            self.follow(key, hash, now_ns);
        }
    }

    fn follow(&mut self, key: u64, hash: u64, now_ns: u64) {
        let place = usize::try_from(hash >> 40).unwrap_or(0) % SLOTS;
        let slot = &mut self.slots[place];
        if slot.key == key {
            slot.last_ns = slot.last_ns.max(now_ns);
            slot.arrivals += 1;
            return;
        }
        let settled = now_ns.saturating_sub(slot.last_ns) >= SETTLED_NS;
        if slot.key != 0 && !settled {
            return;
        }
        let done =
            std::mem::replace(slot, Spread { key, first_ns: now_ns, last_ns: now_ns, arrivals: 1 });
        self.keep(done);
    }

    fn keep(&mut self, spread: Spread) {
        if spread.key != 0 && self.complete.len() < SPREADS_MAX {
            self.complete.push(spread);
        }
    }

    /// All ticks that are complete at the end of the measurement.
    pub(crate) fn finish(mut self, now_ns: u64) -> Vec<Spread> {
        for slot in std::mem::take(&mut self.slots) {
            if now_ns.saturating_sub(slot.last_ns) >= SETTLED_NS {
                self.keep(slot);
            }
        }
        self.complete
    }
}

/// From first to last arrival, over the connections of all threads; ticks that arrived once have no
/// skew.
pub(crate) fn merge(mut spreads: Vec<Spread>) -> Vec<Duration> {
    spreads.sort_unstable_by_key(|spread| spread.key);
    let ticks = spreads.chunk_by(|a, b| a.key == b.key);
    let several = ticks.filter(|same| same.iter().map(|spread| spread.arrivals).sum::<u32>() > 1);
    several
        .map(|same| {
            let first_ns = same.iter().map(|spread| spread.first_ns).min().unwrap_or(0);
            let last_ns = same.iter().map(|spread| spread.last_ns).max().unwrap_or(0);
            Duration::from_nanos(last_ns - first_ns)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_is_from_first_to_last_over_all_threads() {
        let (mut one, mut two) = (Skew::default(), Skew::default());
        let ticks = 16_000;
        for seq in 1..=ticks {
            one.arrived(3, seq, 100 + seq);
            two.arrived(3, seq, 150 + seq);
            one.arrived(3, seq, 130 + seq);
        }
        let end = 10 * SETTLED_NS;
        let skews = merge([one.finish(end), two.finish(end)].concat());
        let expected = ticks / SAMPLE_ONE_IN;
        assert!((expected / 2..=expected * 2).contains(&(skews.len() as u64)), "{}", skews.len());
        assert!(skews.iter().all(|skew| *skew == Duration::from_nanos(50)));
    }

    #[test]
    fn tick_still_arriving_at_the_end_is_left_out() {
        let mut skew = Skew::default();
        for seq in 0..1000 {
            skew.arrived(0, seq, SETTLED_NS);
            skew.arrived(0, seq, SETTLED_NS + 1);
        }
        assert!(merge(skew.finish(SETTLED_NS + 2)).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut skew = Skew::default();
        for seq in 0..4_000_000 {
            skew.arrived(0, seq, seq * SETTLED_NS);
        }
        assert_eq!(skew.slots.len(), SLOTS);
        assert_eq!(skew.finish(u64::MAX).len(), SPREADS_MAX);
    }
}

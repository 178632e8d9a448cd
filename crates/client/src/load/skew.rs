//! Skew: the time between the first and the last connection that receives the same tick.

use std::time::Duration;

/// One tick in this many is sampled.
pub(crate) const SAMPLE_ONE_IN: u64 = 16;

/// The most sampled ticks that are still arriving at the same time.
const SLOTS: usize = 4096;

/// A sampled tick that no connection has received for this long counts as received by all of them,
/// in nanoseconds.
const SETTLED_NS: u64 = 1_000_000_000;

/// The most samples to keep; later ticks are not sampled.
const SAMPLES_MAX: usize = 1 << 16;

/// The first and the last arrival of one tick, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TickArrivals {
    /// Identifies the tick. Invariant: 0 only in a free slot.
    key: u64,
    first_ns: u64,
    last_ns: u64,
    arrivals: u32,
}

/// Records the arrivals of a sample of the ticks. Every thread samples the same ticks.
#[derive(Debug)]
pub(crate) struct SkewTracker {
    slots: Vec<TickArrivals>,
    complete: Vec<TickArrivals>,
}

const FREE: TickArrivals = TickArrivals { key: 0, first_ns: 0, last_ns: 0, arrivals: 0 };

impl Default for SkewTracker {
    fn default() -> Self {
        Self { slots: vec![FREE; SLOTS], complete: Vec::new() }
    }
}

impl SkewTracker {
    /// Records that a tick has arrived on a connection, if the tick is sampled.
    #[inline]
    pub(crate) fn record(&mut self, topic: usize, seq: u64, now_ns: u64) {
        // Unique up to 2^24 topics and 2^40 ticks each; more would only make samples collide.
        let key = ((topic as u64) << 40 | (seq & 0xff_ffff_ffff)).wrapping_add(1);
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if hash >> 32 & (SAMPLE_ONE_IN - 1) == 0 {
            self.record_sample(key, hash, now_ns);
        }
    }

    fn record_sample(&mut self, key: u64, hash: u64, now_ns: u64) {
        let place = usize::try_from(hash >> 40).unwrap_or(0) % SLOTS;
        let slot = &mut self.slots[place];
        if slot.key == key {
            slot.last_ns = slot.last_ns.max(now_ns);
            slot.arrivals += 1;
            return;
        }
        let is_settled = now_ns.saturating_sub(slot.last_ns) >= SETTLED_NS;
        if slot.key != 0 && !is_settled {
            return;
        }
        let first = TickArrivals { key, first_ns: now_ns, last_ns: now_ns, arrivals: 1 };
        let complete = std::mem::replace(slot, first);
        self.keep(complete);
    }

    fn keep(&mut self, arrivals: TickArrivals) {
        if arrivals.key != 0 && self.complete.len() < SAMPLES_MAX {
            self.complete.push(arrivals);
        }
    }

    /// Returns the sampled ticks, without those that may still have been arriving when the
    /// measurement ended.
    pub(crate) fn finish(mut self, now_ns: u64) -> Vec<TickArrivals> {
        for slot in std::mem::take(&mut self.slots) {
            if now_ns.saturating_sub(slot.last_ns) >= SETTLED_NS {
                self.keep(slot);
            }
        }
        self.complete
    }
}

/// Merges the samples of all threads and returns the skew of each tick: the time from its first to
/// its last arrival. Ticks that arrived only once have none.
pub(crate) fn skews(mut samples: Vec<TickArrivals>) -> Vec<Duration> {
    samples.sort_unstable_by_key(|sample| sample.key);
    let ticks = samples.chunk_by(|a, b| a.key == b.key);
    let repeated = ticks.filter(|same| same.iter().map(|tick| tick.arrivals).sum::<u32>() > 1);
    repeated
        .map(|same| {
            let first_ns = same.iter().map(|tick| tick.first_ns).min().unwrap_or(0);
            let last_ns = same.iter().map(|tick| tick.last_ns).max().unwrap_or(0);
            Duration::from_nanos(last_ns - first_ns)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_is_from_the_first_to_the_last_arrival_over_all_threads() {
        let mut one = SkewTracker::default();
        let mut two = SkewTracker::default();
        let ticks = 16_000;
        for seq in 1..=ticks {
            one.record(3, seq, 100 + seq);
            two.record(3, seq, 150 + seq);
            one.record(3, seq, 130 + seq);
        }
        let end = 10 * SETTLED_NS;
        let skews = skews([one.finish(end), two.finish(end)].concat());
        let expected = ticks / SAMPLE_ONE_IN;
        assert!((expected / 2..=expected * 2).contains(&(skews.len() as u64)), "{}", skews.len());
        assert!(skews.iter().all(|skew| *skew == Duration::from_nanos(50)));
    }

    #[test]
    fn tick_still_arriving_at_the_end_is_not_counted() {
        let mut skew = SkewTracker::default();
        for seq in 0..1000 {
            skew.record(0, seq, SETTLED_NS);
            skew.record(0, seq, SETTLED_NS + 1);
        }
        assert!(skews(skew.finish(SETTLED_NS + 2)).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut skew = SkewTracker::default();
        for seq in 0..4_000_000 {
            skew.record(0, seq, seq * SETTLED_NS);
        }
        assert_eq!(skew.slots.len(), SLOTS);
        assert_eq!(skew.finish(u64::MAX).len(), SAMPLES_MAX);
    }
}

//! What is counted while the load runs.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::load::skew::Skew;

/// Event times further from now than this belong to another day: no latency is taken from them.
pub(crate) const LATENCY_MAX_NS: u64 = 600_000_000_000;

/// Latencies are told apart from here up, to three digits.
const LATENCY_MIN_NS: u64 = 1_000;

/// Nanoseconds, from a microsecond to ten minutes, to three digits.
pub(crate) fn nanos_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_MIN_NS, LATENCY_MAX_NS, 3).expect("the bounds are constants")
}

/// When bytes came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) unix_ns: u64,
    /// Whether the measurement is on; sequence numbers are always checked.
    pub(crate) measured: bool,
}

/// What came in one interval of the measurement.
#[derive(Debug)]
pub(crate) struct Interval {
    /// Live ticks.
    pub(crate) ticks: u64,
    pub(crate) messages: u64,
    /// On the wire, frame headers included.
    pub(crate) bytes: u64,
    /// Of every tick, from its event time.
    pub(crate) latency: Histogram<u64>,
    /// Ticks whose event time is not near now.
    pub(crate) untimed: u64,
    /// Ticks that delivery latest left out.
    pub(crate) skipped: u64,
}

impl Default for Interval {
    fn default() -> Self {
        Self { ticks: 0, messages: 0, bytes: 0, latency: nanos_histogram(), untimed: 0, skipped: 0 }
    }
}

impl Interval {
    pub(crate) fn add(&mut self, other: &Self) {
        self.ticks += other.ticks;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.untimed += other.untimed;
        self.skipped += other.skipped;
        merge(&mut self.latency, &other.latency);
    }
}

/// Adds one of [`nanos_histogram`] to another.
pub(crate) fn merge(total: &mut Histogram<u64>, part: &Histogram<u64>) {
    total.add(part).expect("both have the same bounds");
}

/// What went wrong over the whole run, and what the hub said would be missing.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Holes in the numbers of a topic on a connection, and how many ticks they are.
    pub(crate) gaps: u64,
    pub(crate) gap_ticks: u64,
    /// Gaps that the hub named, which is no fault, and the ticks in those whose ends are known.
    pub(crate) named_gaps: u64,
    pub(crate) named_gap_ticks: u64,
    /// Ticks that were not newer than one before.
    pub(crate) duplicates: u64,
    /// Ticks nobody asked for.
    pub(crate) unasked: u64,
    /// Error elements by code and text.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Connections that ended by themselves once open, by close code or cause.
    pub(crate) closes: BTreeMap<String, u64>,
    /// Connections that did not open, by cause.
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Faults {
    pub(crate) fn add(&mut self, other: Self) {
        self.gaps += other.gaps;
        self.gap_ticks += other.gap_ticks;
        self.named_gaps += other.named_gaps;
        self.named_gap_ticks += other.named_gap_ticks;
        self.duplicates += other.duplicates;
        self.unasked += other.unasked;
        for (mine, theirs) in [
            (&mut self.errors, other.errors),
            (&mut self.closes, other.closes),
            (&mut self.refused, other.refused),
        ] {
            for (cause, count) in theirs {
                *mine.entry(cause).or_default() += count;
            }
        }
    }
}

/// What one thread counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) interval: Interval,
    pub(crate) faults: Faults,
    pub(crate) skew: Skew,
}

impl Tally {
    pub(crate) fn message(&mut self, bytes: usize, arrival: Arrival) {
        if arrival.measured {
            self.interval.messages += 1;
            self.interval.bytes += bytes as u64;
        }
    }

    #[inline]
    pub(crate) fn live_tick(&mut self, topic: usize, seq: u64, time_ns: u64, arrival: Arrival) {
        if !arrival.measured {
            return;
        }
        self.interval.ticks += 1;
        if arrival.unix_ns.abs_diff(time_ns) > LATENCY_MAX_NS {
            self.interval.untimed += 1;
        } else {
            // A clock that is a little ahead of ours makes a latency of zero.
            self.interval.latency.saturating_record(arrival.unix_ns.saturating_sub(time_ns));
        }
        self.skew.arrived(topic, seq, arrival.unix_ns);
    }

    /// Compares a number with the last of its topic on its connection; 0 is none yet. Where the topic is
    /// delivered latest, numbers may jump.
    #[inline]
    pub(crate) fn check(&mut self, last: &mut u32, seq: u64, latest: bool, measured: bool) {
        // Only the low half is kept, of which there are millions; a difference tells them apart.
        let seq = low_half(seq);
        let ahead = seq.wrapping_sub(*last);
        if *last == 0 || ahead == 1 {
            *last = seq;
        } else if ahead == 0 || ahead > u32::MAX / 2 {
            self.faults.duplicates += 1;
        } else if latest {
            self.interval.skipped += u64::from(ahead - 1) * u64::from(measured);
            *last = seq;
        } else {
            self.faults.gaps += 1;
            self.faults.gap_ticks += u64::from(ahead - 1);
            *last = seq;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
pub(crate) const fn low_half(seq: u64) -> u32 {
    seq as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(seqs: &[u64]) -> (u64, u64, u64) {
        let (mut tally, mut last) = (Tally::default(), 0);
        seqs.iter().for_each(|seq| tally.check(&mut last, *seq, false, true));
        (tally.faults.gaps, tally.faults.gap_ticks, tally.faults.duplicates)
    }

    #[test]
    fn gaps_and_duplicates_are_counted() {
        assert_eq!(checked(&[5, 6, 7]), (0, 0, 0));
        assert_eq!(checked(&[5, 9, 10, 12]), (2, 4, 0));
        assert_eq!(checked(&[5, 5, 6, 4, 7]), (0, 0, 2));
        let top = u64::from(u32::MAX);
        assert_eq!(checked(&[top - 1, top]), (0, 0, 0));
        assert_eq!(checked(&[top, top + 3]), (1, 2, 0));
    }

    #[test]
    fn latest_may_jump_but_not_repeat() {
        let (mut tally, mut last) = (Tally::default(), 0);
        for seq in [5, 6, 9, 9, 8, 20] {
            tally.check(&mut last, seq, true, true);
        }
        tally.check(&mut last, 30, true, false);
        assert_eq!((tally.faults.gaps, tally.faults.duplicates), (0, 2));
        assert_eq!(tally.interval.skipped, 2 + 10, "what was measured");
    }

    #[test]
    fn only_what_is_measured_is_counted() {
        let mut tally = Tally::default();
        let arrival = |measured| Arrival { unix_ns: 5_000_000, measured };
        tally.message(10, arrival(false));
        tally.live_tick(0, 1, 1, arrival(false));
        tally.message(10, arrival(true));
        tally.live_tick(0, 2, 3_000_000, arrival(true));
        let interval = tally.interval;
        assert_eq!((interval.messages, interval.bytes, interval.ticks), (1, 10, 1));
        let p50 = interval.latency.value_at_quantile(0.5);
        assert!((1_999_000..=2_001_000).contains(&p50), "{p50}");
    }

    #[test]
    fn event_times_of_another_day_have_no_latency() {
        let mut tally = Tally::default();
        let now = 1_000_000_000_000_000_000;
        for time in [now - 2 * LATENCY_MAX_NS, now + 2 * LATENCY_MAX_NS, now + 5] {
            tally.live_tick(0, 1, time, Arrival { unix_ns: now, measured: true });
        }
        assert_eq!((tally.interval.ticks, tally.interval.untimed), (3, 2));
        assert_eq!(tally.interval.latency.len(), 1);
    }
}

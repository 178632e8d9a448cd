//! The counters of a running load test.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::load::skew::SkewTracker;

/// The largest difference between event time and arrival that counts as a latency, in nanoseconds.
/// A larger one means a tick of another day.
pub(crate) const LATENCY_MAX_NS: u64 = 600_000_000_000;

/// The smallest latency that the histogram resolves, in nanoseconds.
const LATENCY_MIN_NS: u64 = 1_000;

/// Returns a histogram of nanoseconds from one microsecond to ten minutes, with three digits.
pub(crate) fn nanos_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_MIN_NS, LATENCY_MAX_NS, 3).expect("the bounds are constants")
}

/// When received bytes arrived, and whether the measurement counts them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Nanoseconds since the Unix epoch.
    pub(crate) unix_ns: u64,
    /// Whether the measurement has begun. Sequence numbers are checked even before it.
    pub(crate) measured: bool,
}

/// Counts of one interval of the measurement.
#[derive(Debug)]
pub(crate) struct IntervalCounts {
    /// Live ticks received.
    pub(crate) ticks: u64,
    pub(crate) messages: u64,
    /// Bytes of the frames, headers included; without TLS.
    pub(crate) bytes: u64,
    /// Latency of every tick, from its event time to its arrival, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Ticks whose event time is more than ten minutes from their arrival.
    pub(crate) untimed: u64,
    /// Ticks that delivery `latest` left out, counted by the jumps of their numbers.
    pub(crate) skipped: u64,
}

impl Default for IntervalCounts {
    fn default() -> Self {
        Self { ticks: 0, messages: 0, bytes: 0, latency: nanos_histogram(), untimed: 0, skipped: 0 }
    }
}

impl IntervalCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.ticks += other.ticks;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.untimed += other.untimed;
        self.skipped += other.skipped;
        merge_histogram(&mut self.latency, &other.latency);
    }
}

/// Adds a histogram of [`nanos_histogram`] to another.
pub(crate) fn merge_histogram(total: &mut Histogram<u64>, part: &Histogram<u64>) {
    total.add(part).expect("both have the same bounds");
}

/// Faults of the whole run. Also counts the gaps that the hub announced, which are no faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Jumps of the sequence numbers of a topic on a connection that the hub did not announce.
    pub(crate) gaps: u64,
    /// Ticks missing in `gaps`.
    pub(crate) gap_ticks: u64,
    /// Gaps that the hub announced in a gap element, because the connection lagged. An announced
    /// gap is no fault and is not counted in `gaps`.
    pub(crate) named_gaps: u64,
    /// Ticks missing in the announced gaps (`named_gaps`) whose first and last sequence numbers are
    /// known.
    pub(crate) named_gap_ticks: u64,
    /// Ticks that were not newer than an earlier one of their topic.
    pub(crate) duplicates: u64,
    /// Ticks of topics that the connection has not subscribed to.
    pub(crate) unasked: u64,
    /// Error elements by code and text.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Connections that opened and were closed by the hub or lost, by close code or cause.
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

/// The counters of one thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) interval: IntervalCounts,
    pub(crate) faults: Faults,
    pub(crate) skew: SkewTracker,
}

impl Counters {
    /// Counts a data frame of this many bytes, header included.
    pub(crate) fn count_message(&mut self, bytes: usize, arrival: Arrival) {
        if arrival.measured {
            self.interval.messages += 1;
            self.interval.bytes += bytes as u64;
        }
    }

    /// Counts a live tick with its event time, in nanoseconds since the Unix epoch.
    #[inline]
    pub(crate) fn count_tick(&mut self, topic: usize, seq: u64, time_ns: u64, arrival: Arrival) {
        if !arrival.measured {
            return;
        }
        self.interval.ticks += 1;
        if arrival.unix_ns.abs_diff(time_ns) > LATENCY_MAX_NS {
            self.interval.untimed += 1;
        } else {
            // If the publisher's clock is slightly ahead of ours, the latency is zero.
            self.interval.latency.saturating_record(arrival.unix_ns.saturating_sub(time_ns));
        }
        self.skew.record(topic, seq, arrival.unix_ns);
    }

    /// Checks a sequence number against `last`, the low half of the last number of its topic on its
    /// connection (0 before the first), and updates `last`. With `latest`, numbers may jump.
    #[inline]
    pub(crate) fn check(&mut self, last: &mut u32, seq: u64, latest: bool, measured: bool) {
        // A run keeps millions of these numbers, so only their low halves; their difference
        // suffices.
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

/// Returns the low half of a sequence number.
#[expect(clippy::cast_possible_truncation, reason = "the high half is dropped on purpose")]
pub(crate) const fn low_half(seq: u64) -> u32 {
    seq as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(seqs: &[u64]) -> (u64, u64, u64) {
        let mut counters = Counters::default();
        let mut last = 0;
        seqs.iter().for_each(|seq| counters.check(&mut last, *seq, false, true));
        (counters.faults.gaps, counters.faults.gap_ticks, counters.faults.duplicates)
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
    fn numbers_of_latest_may_jump_but_not_repeat() {
        let mut counters = Counters::default();
        let mut last = 0;
        for seq in [5, 6, 9, 9, 8, 20] {
            counters.check(&mut last, seq, true, true);
        }
        counters.check(&mut last, 30, true, false);
        assert_eq!((counters.faults.gaps, counters.faults.duplicates), (0, 2));
        assert_eq!(counters.interval.skipped, 2 + 10, "jumps during the measurement");
    }

    #[test]
    fn nothing_is_counted_before_the_measurement() {
        let mut counters = Counters::default();
        let arrival = |measured| Arrival { unix_ns: 5_000_000, measured };
        counters.count_message(10, arrival(false));
        counters.count_tick(0, 1, 1, arrival(false));
        counters.count_message(10, arrival(true));
        counters.count_tick(0, 2, 3_000_000, arrival(true));
        let interval = counters.interval;
        assert_eq!((interval.messages, interval.bytes, interval.ticks), (1, 10, 1));
        let p50 = interval.latency.value_at_quantile(0.5);
        assert!((1_999_000..=2_001_000).contains(&p50), "{p50}");
    }

    #[test]
    fn event_times_of_another_day_have_no_latency() {
        let mut counters = Counters::default();
        let now = 1_000_000_000_000_000_000;
        for time in [now - 2 * LATENCY_MAX_NS, now + 2 * LATENCY_MAX_NS, now + 5] {
            counters.count_tick(0, 1, time, Arrival { unix_ns: now, measured: true });
        }
        assert_eq!((counters.interval.ticks, counters.interval.untimed), (3, 2));
        assert_eq!(counters.interval.latency.len(), 1);
    }
}

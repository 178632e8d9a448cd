//! Histograms without a lock.

use super::Metric;

/// A histogram with one writer.
///
/// The histogram of `prometheus_client` takes a lock for every value, which is too expensive for
/// one value per write.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// Upper bounds of the buckets, ascending. One more bucket counts values above the last bound.
    bounds: &'static [f64],
    counts: Box<[Metric]>,
    /// Sum of all values, in millionths.
    sum_millionths: Metric,
}

impl Buckets {
    /// Creates an empty histogram; `bounds` are the upper bounds of its buckets, ascending.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| Metric::default()).collect();
        Self { bounds, counts, sum_millionths: Metric::default() }
    }

    /// Counts a value.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values are small and positive"
    )]
    pub(crate) fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].add(1);
        self.sum_millionths.add((value * 1e6) as u64);
    }

    /// Adds up histograms with the same bounds.
    pub(crate) fn sum_up<'a>(all: impl Iterator<Item = &'a Self>) -> Summed {
        let mut summed = Summed { sum: 0.0, count: 0, buckets: Vec::new() };
        for histogram in all {
            summed.sum += histogram.sum_millionths.get() as f64 / 1e6;
            let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
            for (index, bound) in bounds.enumerate() {
                if summed.buckets.len() <= index {
                    summed.buckets.push((bound, 0));
                }
                let count = histogram.counts[index].get();
                summed.buckets[index].1 += count;
                summed.count += count;
            }
        }
        summed
    }
}

/// The sum of several histograms.
#[derive(Debug)]
pub(crate) struct Summed {
    pub(crate) sum: f64,
    pub(crate) count: u64,
    /// Upper bound and count of each bucket. The last bound is [`f64::INFINITY`], which
    /// Prometheus requires.
    pub(crate) buckets: Vec<(f64, u64)>,
}

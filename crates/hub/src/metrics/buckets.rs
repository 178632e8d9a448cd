//! A histogram with one writer and no lock, summed up when it is scraped.

use super::Cell;

/// Counts by upper bound. The library's own histogram takes a lock for every value, too dear for
/// one value per write.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// Upper bounds, ascending; one more bucket holds what is above the last.
    bounds: &'static [f64],
    counts: Box<[Cell]>,
    /// Sum in millionths, so that it can be an integer.
    sum_millionths: Cell,
}

impl Buckets {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| Cell::default()).collect();
        Self { bounds, counts, sum_millionths: Cell::default() }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values are small and positive"
    )]
    pub(crate) fn observe(&self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at].add(1);
        self.sum_millionths.add((value * 1e6) as u64);
    }

    /// Upper bounds with their counts, the last one infinite, and the sum of all values.
    pub(crate) fn sum_up<'a>(all: impl Iterator<Item = &'a Self>) -> Summed {
        let mut summed = Summed { sum: 0.0, count: 0, buckets: Vec::new() };
        for histogram in all {
            summed.sum += histogram.sum_millionths.get() as f64 / 1e6;
            let bounds = histogram.bounds.iter().copied().chain([f64::MAX]);
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

/// Histograms of several writers, summed up.
#[derive(Debug)]
pub(crate) struct Summed {
    pub(crate) sum: f64,
    pub(crate) count: u64,
    pub(crate) buckets: Vec<(f64, u64)>,
}

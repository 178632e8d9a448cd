//! Distributions of latency and skew.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The percentiles of a latency curve, in percent; they lie closer together towards the slowest
/// ticks.
const CURVE_PERCENTS: [f64; 14] =
    [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999];

/// A distribution, in milliseconds. Without samples every value is zero.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Distribution {
    /// Number of samples.
    pub samples: u64,
    /// The smallest value.
    pub min: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p99_9: f64,
    /// The 99.99th percentile.
    pub p99_99: f64,
    /// The largest value.
    pub max: f64,
}

/// A point of a latency curve.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentile {
    /// The share of ticks with a latency of at most `ms`, in percent.
    pub percent: f64,
    /// The latency, in milliseconds.
    pub ms: f64,
}

impl Distribution {
    pub(super) fn of(nanos: &Histogram<u64>) -> Self {
        let quantile = |q| millis(nanos.value_at_quantile(q));
        let or_zero = |value| if nanos.is_empty() { 0.0 } else { value };
        Self {
            samples: nanos.len(),
            min: or_zero(millis(nanos.min())),
            mean: or_zero((nanos.mean() / 1e3).round() / 1e3),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            p99_99: quantile(0.9999),
            max: millis(nanos.max()),
        }
    }
}

/// Returns the latency curve of a histogram, up to the last percentile that has a sample beyond it.
pub(super) fn curve(nanos: &Histogram<u64>) -> Vec<Percentile> {
    // A percentile needs a sample beyond it to mean something; 99.95 is no exact float.
    let has_meaning = |percent: &f64| (100.0 - percent) / 100.0 * nanos.len() as f64 > 0.999;
    let point = |percent| Percentile { percent, ms: millis(nanos.value_at_percentile(percent)) };
    CURVE_PERCENTS.into_iter().filter(has_meaning).map(point).collect()
}

/// Converts nanoseconds to milliseconds, to three decimals: the histogram has three digits, so more
/// would be noise.
pub(super) fn millis(nanos: u64) -> f64 {
    (nanos as f64 / 1e3).round() / 1e3
}

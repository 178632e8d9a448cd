//! The report of a load test.

mod distribution;
mod summary;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use distribution::millis;
pub use distribution::{Distribution, Percentile};
pub(crate) use summary::Summary;

/// The result of a load test. Serialized, it is the report of `tickwire load --json`, whose keys
/// are only ever added.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the load generator.
    pub version: &'static str,
    /// The hub's address.
    pub hub: String,
    /// Name of the feed.
    pub feed: String,
    /// The channels subscribed to.
    pub channels: Vec<&'static str>,
    /// The delivery asked for: `every` or `latest`.
    pub delivery: &'static str,
    /// With delivery `latest`, the highest rate asked for, in values per second and topic; `null`
    /// is as fast as the socket accepts them.
    pub max_rate: Option<f64>,
    /// Number of symbols to choose from.
    pub symbols: usize,
    /// Number of symbols that each connection subscribed to.
    pub per_connection: usize,
    /// Threads of the load generator.
    pub threads: usize,
    /// The planned time to open the connections, in seconds.
    pub ramp_s: f64,
    /// The length of the measurement, in seconds.
    pub duration_s: f64,
    /// The connections by outcome.
    pub connections: Connections,
    /// Live ticks that all connections received during the measurement; snapshots do not count.
    pub ticks: u64,
    /// `ticks` per second: deliveries per second.
    pub ticks_per_s: f64,
    /// WebSocket data messages received during the measurement.
    pub messages: u64,
    /// `messages` per second.
    pub messages_per_s: f64,
    /// Bytes of the data frames received during the measurement, headers included; without TLS.
    pub bytes: u64,
    /// `bytes` per second.
    pub bytes_per_s: f64,
    /// The fewest ticks that a connection received, among those that were open at the end.
    pub connection_ticks_min: u64,
    /// The most ticks that a connection received, among those that were open at the end.
    pub connection_ticks_max: u64,
    /// Latency of every tick, from its event time to its arrival. With delivery `latest` this is
    /// the age of the values.
    pub latency_ms: Distribution,
    /// Percentiles of the latency for a curve.
    pub latency_curve: Vec<Percentile>,
    /// Ticks without a latency, since their event time is more than ten minutes from their arrival.
    pub untimed_ticks: u64,
    /// Ticks that delivery `latest` left out during the measurement, counted by the jumps of their
    /// numbers.
    pub skipped_ticks: u64,
    /// Fairness of the hub: the time from the first connection that received a tick to the last.
    /// One tick of 16 is sampled, at most 65,536. With delivery `latest` only connections that
    /// received the tick count, and with a rate the skew is mostly the distance between their
    /// sending times.
    pub skew_ms: Distribution,
    /// Jumps of the sequence numbers of a topic on a connection that the hub did not announce. Must
    /// be 0. Like all faults, they are counted over the whole run, from the first connection on.
    pub gaps: u64,
    /// Ticks missing in `gaps`.
    pub gap_ticks: u64,
    /// Gaps that the hub announced in a gap element, because the connection lagged. An announced
    /// gap is no fault and is not counted in `gaps`.
    pub named_gaps: u64,
    /// Ticks missing in the announced gaps (`named_gaps`) whose first and last sequence numbers are
    /// known.
    pub named_gap_ticks: u64,
    /// Ticks that were not newer than an earlier one of their topic. Must be 0.
    pub duplicates: u64,
    /// Ticks of topics the connection had not subscribed to. Must be 0.
    pub unasked: u64,
    /// Connections that opened and were closed by the hub or lost, by close code or cause.
    pub closes: BTreeMap<String, u64>,
    /// Connections that did not open, by cause.
    pub refused: BTreeMap<String, u64>,
    /// Error elements of the hub, by code and message.
    pub errors: BTreeMap<String, u64>,
    /// Processor time of the load generator during the measurement, in cores; `null` if the system
    /// does not report it. Near `threads`, the load generator is the bottleneck, not the hub.
    pub busy_cores: Option<f64>,
    /// The measurement second by second.
    pub seconds: Vec<Second>,
}

/// The connections of a load test by outcome.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Connections {
    /// Connections that the plan asked for.
    pub asked: usize,
    /// Connections that opened.
    pub opened: usize,
    /// Connections that did not open.
    pub refused: usize,
    /// Connections that opened and were closed by the hub or lost.
    pub closed: usize,
}

/// One second of the measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Second {
    /// The number of this second, from 0.
    pub second: usize,
    /// Live ticks per second.
    pub ticks_per_s: f64,
    /// Data messages per second.
    pub messages_per_s: f64,
    /// Bytes per second.
    pub bytes_per_s: f64,
    /// The median latency, in milliseconds; `null` without a tick.
    pub p50_ms: Option<f64>,
    /// The 99th percentile of the latency, in milliseconds; `null` without a tick.
    pub p99_ms: Option<f64>,
}

impl Second {
    /// Creates the row of a second. `rates` are ticks, messages and bytes per second; `latency` is
    /// in nanoseconds.
    pub(crate) fn new(second: usize, rates: [f64; 3], latency: &Histogram<u64>) -> Self {
        let [ticks_per_s, messages_per_s, bytes_per_s] = rates;
        let quantile = |q| (!latency.is_empty()).then(|| millis(latency.value_at_quantile(q)));
        Self {
            second,
            ticks_per_s,
            messages_per_s,
            bytes_per_s,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        }
    }
}

impl Report {
    /// Returns whether ticks were measured, and every connection stayed open and received every
    /// tick once.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults().is_empty()
    }

    /// Returns the faults, as texts for people: `2 gaps`, `1 connection closed (1 × 1008)`, …
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let counted = [
            (self.gaps, "gap", "gaps"),
            (self.duplicates, "duplicate", "duplicates"),
            (self.unasked, "tick without a subscription", "ticks without a subscription"),
        ];
        let counted = counted.iter().filter(|(count, ..)| *count > 0);
        let counted = counted.map(|(count, one, more)| plural(*count, one, more));
        let mut faults: Vec<String> = self.nothing_measured().into_iter().chain(counted).collect();
        for (one, more, causes) in [
            ("connection closed", "connections closed", &self.closes),
            ("connection refused", "connections refused", &self.refused),
            ("error", "errors", &self.errors),
        ] {
            if !causes.is_empty() {
                let count = plural(causes.values().sum(), one, more);
                faults.push(format!("{count} ({})", listed(causes)));
            }
        }
        faults
    }

    /// Says why nothing was measured, or returns `None` if ticks were.
    fn nothing_measured(&self) -> Option<String> {
        match self.ticks {
            0 if self.duration_s > 0.0 => Some(format!(
                "nothing was measured: no tick of the symbols arrived within {:.1} s; does a feed \
                 publish them?",
                self.duration_s
            )),
            0 => Some("nothing was measured: the run ended before the measurement".to_owned()),
            _ => None,
        }
    }

    /// Returns the causes of `refused` with their counts.
    pub(crate) fn refused_causes(&self) -> String {
        listed(&self.refused)
    }
}

fn plural(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Formats causes with their counts: `3 × 1008, 1 × connection reset`.
fn listed(causes: &BTreeMap<String, u64>) -> String {
    let texts: Vec<String> =
        causes.iter().map(|(cause, count)| format!("{count} × {cause}")).collect();
    texts.join(", ")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::counters::{Faults, IntervalCounts};
    use crate::load::plan::tests::plan;
    use crate::load::worker::WorkerResult;

    /// Returns a report of two seconds with latencies of 1 to 1000 ms.
    pub(crate) fn report() -> Report {
        let mut summary = Summary::default();
        for second in 0..2 {
            let mut counts = IntervalCounts {
                ticks: 1000,
                messages: 100,
                bytes: 60_000,
                ..IntervalCounts::default()
            };
            (1..=1000).for_each(|ms| counts.latency.saturating_record(ms * 1_000_000));
            summary.add(0, Duration::from_secs(1), &counts);
            summary.seconds.push(Second::new(second, [1000.0, 100.0, 60_000.0], &counts.latency));
        }
        let result = WorkerResult {
            faults: Faults::default(),
            arrivals: Vec::new(),
            ticks: vec![900, 1100],
            busy: Some(Duration::from_millis(500)),
        };
        summary.report(&plan(10, 5), vec![result])
    }

    #[test]
    fn rates_and_percentiles_are_those_of_the_samples() {
        let report = report();
        assert_eq!((report.ticks, report.ticks_per_s), (2000, 1000.0));
        assert_eq!((report.messages_per_s, report.bytes_per_s), (100.0, 60_000.0));
        assert_eq!((report.connection_ticks_min, report.connection_ticks_max), (900, 1100));
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 2e-3;
        let latency = report.latency_ms;
        assert!(near(latency.p50, 500.0) && near(latency.p99, 990.0), "{latency:?}");
        assert!(near(latency.min, 1.0) && near(latency.max, 1000.0), "{latency:?}");
        assert!(near(latency.mean, 500.5), "{latency:?}");
        assert_eq!(report.busy_cores, Some(0.25));
        assert_eq!(report.skew_ms.samples, 0);
        assert!(report.is_clean());
    }

    #[test]
    fn curve_ends_with_the_last_percentile_that_has_samples_beyond_it() {
        let curve = report().latency_curve;
        assert_eq!(curve.last().map(|point| point.percent), Some(99.95));
        assert!(curve.is_sorted_by_key(|point| point.ms));
    }

    #[test]
    fn faults_are_named_with_their_counts() {
        let mut report = report();
        report.named_gaps = 9;
        assert!(report.is_clean(), "the hub has announced them");
        report.gaps = 2;
        report.closes.insert("1008".to_owned(), 3);
        report.closes.insert("connection reset".to_owned(), 1);
        assert_eq!(
            report.faults(),
            ["2 gaps", "4 connections closed (3 × 1008, 1 × connection reset)"]
        );
        assert!(!report.is_clean());
    }

    #[test]
    fn run_that_measured_nothing_is_not_clean() {
        let mut report = report();
        report.ticks = 0;
        assert!(!report.is_clean());
        assert!(report.faults()[0].contains("no tick of the symbols arrived within 2.0 s"));
        report.duration_s = 0.0;
        assert!(report.faults()[0].contains("the run ended before the measurement"));
    }

    #[test]
    fn report_has_the_documented_keys() {
        let report = serde_json::to_value(report()).unwrap();
        let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = vec![
            "version",
            "hub",
            "feed",
            "channels",
            "delivery",
            "max_rate",
            "symbols",
            "per_connection",
            "threads",
            "ramp_s",
            "duration_s",
            "connections",
            "ticks",
            "ticks_per_s",
            "messages",
            "messages_per_s",
            "bytes",
            "bytes_per_s",
            "connection_ticks_min",
            "connection_ticks_max",
            "latency_ms",
            "latency_curve",
            "untimed_ticks",
            "skipped_ticks",
            "skew_ms",
            "gaps",
            "gap_ticks",
            "named_gaps",
            "named_gap_ticks",
            "duplicates",
            "unasked",
            "closes",
            "refused",
            "errors",
            "busy_cores",
            "seconds",
        ];
        expected.sort_unstable();
        let mut keys = keys;
        keys.sort_unstable();
        assert_eq!(keys, expected);
    }
}

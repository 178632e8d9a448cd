//! What a load test found.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tickwire_protocol::{Delivery, MaxRate};

use crate::load::Plan;
use crate::load::skew;
use crate::load::tally::{Faults, Interval, nanos_histogram};
use crate::load::worker::Outcome;

/// Where the curve of latencies is read: from the median outwards, in percent.
const CURVE: [f64; 14] =
    [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999];

/// What a load test found. Serialized it is the report of `--json`; keys are only ever added.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the load generator.
    pub version: &'static str,
    /// The hub's address.
    pub hub: String,
    /// The feed.
    pub feed: String,
    /// The channels subscribed to.
    pub channels: Vec<&'static str>,
    /// What was asked for: `every` or `latest`.
    pub delivery: &'static str,
    /// Slots per second asked for, with delivery `latest`; `null` is as fast as the socket takes it.
    pub max_rate: Option<f64>,
    /// How many symbols there were to choose from.
    pub symbols: usize,
    /// How many of them each connection subscribed to.
    pub per_connection: usize,
    /// Threads of the load generator.
    pub threads: usize,
    /// Planned time to open the connections, in seconds.
    pub ramp_s: f64,
    /// Time measured, in seconds.
    pub duration_s: f64,
    /// What became of the connections.
    pub connections: Connections,
    /// Live ticks received by all connections while measured; snapshots do not count.
    pub ticks: u64,
    /// The same per second: deliveries per second.
    pub ticks_per_s: f64,
    /// WebSocket data messages received while measured.
    pub messages: u64,
    /// The same per second.
    pub messages_per_s: f64,
    /// Bytes received in data frames while measured, headers included.
    pub bytes: u64,
    /// The same per second.
    pub bytes_per_s: f64,
    /// Fewest ticks of a connection that was open at the end.
    pub connection_ticks_min: u64,
    /// Most ticks of a connection that was open at the end.
    pub connection_ticks_max: u64,
    /// From the event time of each tick to its arrival; every tick counts. In delivery `latest` this is
    /// the age of the values.
    pub latency_ms: Spread,
    /// Percentiles of the latency for a curve.
    pub latency_curve: Vec<Percentile>,
    /// Ticks without a latency, since their event time is more than ten minutes from now.
    pub untimed_ticks: u64,
    /// Ticks that delivery `latest` left out while measured, as jumps of the numbers tell.
    pub skipped_ticks: u64,
    /// How fair the hub is: from the first connection that got a tick to the last; one tick of 16, until
    /// 65,536 are measured. In delivery `latest` over those that got this tick, and with a rate mostly the
    /// distance between their slots.
    pub skew_ms: Spread,
    /// Holes in the numbers of a topic on a connection. Must be 0. Counted over the whole run, as
    /// all faults are.
    pub gaps: u64,
    /// Ticks missing in them.
    pub gap_ticks: u64,
    /// Gaps that the hub named, since the connection lagged. No fault, and not among `gaps`.
    pub named_gaps: u64,
    /// Ticks missing in them, of those that say where they begin and end.
    pub named_gap_ticks: u64,
    /// Ticks that were not newer than the one before. Must be 0.
    pub duplicates: u64,
    /// Ticks of topics the connection had not subscribed to. Must be 0.
    pub unasked: u64,
    /// Connections that opened and ended by themselves, by close code or cause.
    pub closes: BTreeMap<String, u64>,
    /// Connections that did not open, by cause.
    pub refused: BTreeMap<String, u64>,
    /// Error elements of the hub, by code and text.
    pub errors: BTreeMap<String, u64>,
    /// Processor time of the load generator while measured, in cores; `null` where the system does
    /// not tell. Near `threads`, the figures are those of the load generator and not of the hub.
    pub busy_cores: Option<f64>,
    /// The measurement second by second.
    pub seconds: Vec<Second>,
}

/// What became of the connections.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Connections {
    /// Asked for.
    pub asked: usize,
    /// Opened, whatever became of them.
    pub opened: usize,
    /// Not opened.
    pub refused: usize,
    /// Opened and ended by themselves.
    pub closed: usize,
}

/// A distribution, in milliseconds. All zero when there are no samples.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// How many values.
    pub samples: u64,
    /// The smallest.
    pub min: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// Nine of ten are no larger.
    pub p90: f64,
    /// 99 %
    pub p99: f64,
    /// 99.9 %
    pub p99_9: f64,
    /// 99.99 %
    pub p99_99: f64,
    /// The largest.
    pub max: f64,
}

/// A point on the curve of latencies.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentile {
    /// How many are no slower, in percent.
    pub percent: f64,
    /// The latency, in milliseconds.
    pub ms: f64,
}

/// One second of the measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Second {
    /// Its number, from 0.
    pub second: usize,
    /// Live ticks per second.
    pub ticks_per_s: f64,
    /// Data messages per second.
    pub messages_per_s: f64,
    /// Bytes per second.
    pub bytes_per_s: f64,
    /// Median latency, in milliseconds; `null` without a tick.
    pub p50_ms: Option<f64>,
    /// 99th percentile, in milliseconds; `null` without a tick.
    pub p99_ms: Option<f64>,
}

impl Second {
    pub(crate) fn new(second: usize, rates: [f64; 3], latency: &Histogram<u64>) -> Self {
        let [ticks_per_s, messages_per_s, bytes_per_s] = rates;
        let quantile = |q| (!latency.is_empty()).then(|| millis(latency.value_at_quantile(q)));
        let (p50_ms, p99_ms) = (quantile(0.5), quantile(0.99));
        Self { second, ticks_per_s, messages_per_s, bytes_per_s, p50_ms, p99_ms }
    }
}

fn millis(nanos: u64) -> f64 {
    // The histogram knows three digits; more would be noise in the report.
    (nanos as f64 / 1e3).round() / 1e3
}

impl Spread {
    fn of(nanos: &Histogram<u64>) -> Self {
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

impl Report {
    /// Whether every connection stayed open and got every tick once.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults().is_empty()
    }

    /// What must not have happened, for people: `2 gaps`, `1 connection closed (1008)`, …
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let counted = [
            (self.gaps, "gap", "gaps"),
            (self.duplicates, "duplicate", "duplicates"),
            (self.unasked, "tick nobody asked for", "ticks nobody asked for"),
        ];
        let mut faults: Vec<String> = counted
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, more)| plural(*count, one, more))
            .collect();
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

    pub(crate) fn refused_text(&self) -> String {
        listed(&self.refused)
    }
}

fn plural(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// `3 × 1008, 1 × connection reset`
fn listed(causes: &BTreeMap<String, u64>) -> String {
    let texts: Vec<String> =
        causes.iter().map(|(cause, count)| format!("{count} × {cause}")).collect();
    texts.join(", ")
}

/// Sums over all threads.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    interval: Interval,
    /// Time measured by each thread.
    measured: BTreeMap<usize, Duration>,
    pub(crate) seconds: Vec<Second>,
}

impl Summary {
    pub(crate) fn add(&mut self, thread: usize, length: Duration, part: &Interval) {
        *self.measured.entry(thread).or_default() += length;
        self.interval.add(part);
    }

    pub(crate) fn report(self, plan: &Plan, outcomes: Vec<Outcome>) -> Report {
        let duration = self.measured.values().max().copied().unwrap_or_default();
        let duration_s = duration.as_secs_f64();
        let rate = |count: u64| if duration_s > 0.0 { count as f64 / duration_s } else { 0.0 };
        let Interval { ticks, messages, bytes, latency, untimed, skipped } = &self.interval;
        let (delivery, max_rate) = spelled(plan.delivery);
        let (mut faults, mut spreads, mut open) = (Faults::default(), Vec::new(), Vec::new());
        let mut busy = Some(Duration::ZERO);
        for outcome in outcomes {
            faults.add(outcome.faults);
            spreads.extend(outcome.spreads);
            open.extend(outcome.ticks);
            busy = busy.zip(outcome.busy).map(|(sum, more)| sum + more);
        }
        let mut skew = nanos_histogram();
        for spread in skew::merge(spreads) {
            skew.saturating_record(u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX));
        }
        Report {
            version: env!("CARGO_PKG_VERSION"),
            hub: plan.hub.to_string(),
            feed: plan.feed.to_string(),
            channels: plan.channels.iter().map(|channel| channel.name()).collect(),
            delivery,
            max_rate,
            symbols: plan.symbols.len(),
            per_connection: plan.per_connection,
            threads: plan.threads,
            ramp_s: plan.ramp.as_secs_f64(),
            duration_s,
            connections: connections(plan, &faults, open.len()),
            ticks: *ticks,
            ticks_per_s: rate(*ticks),
            messages: *messages,
            messages_per_s: rate(*messages),
            bytes: *bytes,
            bytes_per_s: rate(*bytes),
            connection_ticks_min: open.iter().min().copied().unwrap_or(0),
            connection_ticks_max: open.iter().max().copied().unwrap_or(0),
            latency_ms: Spread::of(latency),
            latency_curve: curve(latency),
            untimed_ticks: *untimed,
            skipped_ticks: *skipped,
            skew_ms: Spread::of(&skew),
            gaps: faults.gaps,
            gap_ticks: faults.gap_ticks,
            named_gaps: faults.named_gaps,
            named_gap_ticks: faults.named_gap_ticks,
            duplicates: faults.duplicates,
            unasked: faults.unasked,
            closes: faults.closes,
            refused: faults.refused,
            errors: faults.errors,
            busy_cores: busy
                .filter(|_| duration_s > 0.0)
                .map(|busy| busy.as_secs_f64() / duration_s),
            seconds: self.seconds,
        }
    }
}

fn spelled(delivery: Delivery) -> (&'static str, Option<f64>) {
    match delivery {
        Delivery::Every => ("every", None),
        Delivery::Latest { max_rate } => ("latest", max_rate.map(MaxRate::as_f64)),
    }
}

fn connections(plan: &Plan, faults: &Faults, open: usize) -> Connections {
    let count = |causes: &BTreeMap<String, u64>| {
        usize::try_from(causes.values().sum::<u64>()).unwrap_or(usize::MAX)
    };
    let (refused, closed) = (count(&faults.refused), count(&faults.closes));
    Connections { asked: plan.connections, opened: open + closed, refused, closed }
}

fn curve(nanos: &Histogram<u64>) -> Vec<Percentile> {
    // A percentile needs at least one sample beyond it to mean something; 99.95 is no exact float.
    let meant = |percent: &f64| (100.0 - percent) / 100.0 * nanos.len() as f64 > 0.999;
    let point = |percent| Percentile { percent, ms: millis(nanos.value_at_percentile(percent)) };
    CURVE.into_iter().filter(meant).map(point).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::load::plan::tests::plan;

    /// A report of two seconds with latencies of 1 to 1000 ms.
    pub(crate) fn report() -> Report {
        let mut summary = Summary::default();
        for second in 0..2 {
            let mut interval =
                Interval { ticks: 1000, messages: 100, bytes: 60_000, ..Interval::default() };
            (1..=1000).for_each(|ms| interval.latency.saturating_record(ms * 1_000_000));
            summary.add(0, Duration::from_secs(1), &interval);
            summary.seconds.push(Second::new(second, [1000.0, 100.0, 60_000.0], &interval.latency));
        }
        let outcome = Outcome {
            faults: Faults::default(),
            spreads: Vec::new(),
            ticks: vec![900, 1100],
            busy: Some(Duration::from_millis(500)),
        };
        summary.report(&plan(10, 5), vec![outcome])
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
    fn curve_ends_where_samples_end() {
        let curve = report().latency_curve;
        assert_eq!(curve.last().map(|point| point.percent), Some(99.95));
        assert!(curve.is_sorted_by_key(|point| point.ms));
    }

    #[test]
    fn faults_are_named_with_their_counts() {
        let mut report = report();
        report.named_gaps = 9;
        assert!(report.is_clean(), "the hub has said so");
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
    fn keys_of_the_report_are_stable() {
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

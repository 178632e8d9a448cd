//! Sums over all workers, from which the report is made.

use std::collections::BTreeMap;
use std::time::Duration;

use tickwire_protocol::{Delivery, MaxRate};

use super::distribution::{Distribution, curve};
use super::{Connections, Report, Second};
use crate::load::Plan;
use crate::load::counters::{Faults, IntervalCounts, nanos_histogram};
use crate::load::skew::{TickArrivals, skews};
use crate::load::worker::WorkerResult;

/// Sums over all workers.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    counts: IntervalCounts,
    /// By thread: the time that was measured.
    measured: BTreeMap<usize, Duration>,
    pub(crate) seconds: Vec<Second>,
}

/// Sums over the results that the workers return at the end.
#[derive(Debug, Default)]
struct Totals {
    faults: Faults,
    arrivals: Vec<TickArrivals>,
    /// Ticks of each connection that was open at the end.
    ticks: Vec<u64>,
    /// Processor time of all workers during the measurement; `None` if the system does not report
    /// it.
    busy: Option<Duration>,
}

impl Totals {
    fn new(results: Vec<WorkerResult>) -> Self {
        let mut totals = Self { busy: Some(Duration::ZERO), ..Self::default() };
        for result in results {
            totals.faults.add(result.faults);
            totals.arrivals.extend(result.arrivals);
            totals.ticks.extend(result.ticks);
            totals.busy = totals.busy.zip(result.busy).map(|(sum, more)| sum + more);
        }
        totals
    }
}

impl Summary {
    /// Adds the counts of a thread, which it measured over a time of this length.
    pub(crate) fn add(&mut self, thread: usize, length: Duration, counts: &IntervalCounts) {
        *self.measured.entry(thread).or_default() += length;
        self.counts.add(counts);
    }

    /// Makes the report from the sums and the results of the workers.
    pub(crate) fn report(self, plan: &Plan, results: Vec<WorkerResult>) -> Report {
        let duration = self.measured.values().max().copied().unwrap_or_default();
        let duration_s = duration.as_secs_f64();
        let rate = |count: u64| if duration_s > 0.0 { count as f64 / duration_s } else { 0.0 };
        let IntervalCounts { ticks, messages, bytes, latency, untimed, skipped } = &self.counts;
        let (delivery, max_rate) = delivery_fields(plan.delivery);
        let Totals { faults, arrivals, ticks: ticks_of_open, busy } = Totals::new(results);
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
            connections: connections(plan, &faults, ticks_of_open.len()),
            ticks: *ticks,
            ticks_per_s: rate(*ticks),
            messages: *messages,
            messages_per_s: rate(*messages),
            bytes: *bytes,
            bytes_per_s: rate(*bytes),
            connection_ticks_min: ticks_of_open.iter().min().copied().unwrap_or(0),
            connection_ticks_max: ticks_of_open.iter().max().copied().unwrap_or(0),
            latency_ms: Distribution::of(latency),
            latency_curve: curve(latency),
            untimed_ticks: *untimed,
            skipped_ticks: *skipped,
            skew_ms: skew_distribution(arrivals),
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

fn skew_distribution(arrivals: Vec<TickArrivals>) -> Distribution {
    let mut histogram = nanos_histogram();
    for skew in skews(arrivals) {
        histogram.saturating_record(u64::try_from(skew.as_nanos()).unwrap_or(u64::MAX));
    }
    Distribution::of(&histogram)
}

/// Returns the values of `delivery` and `max_rate` in the report.
fn delivery_fields(delivery: Delivery) -> (&'static str, Option<f64>) {
    match delivery {
        Delivery::Every => ("every", None),
        Delivery::Latest { max_rate } => ("latest", max_rate.map(MaxRate::as_f64)),
    }
}

fn connections(plan: &Plan, faults: &Faults, open: usize) -> Connections {
    let count = |causes: &BTreeMap<String, u64>| {
        usize::try_from(causes.values().sum::<u64>()).unwrap_or(usize::MAX)
    };
    let refused = count(&faults.refused);
    let closed = count(&faults.closes);
    Connections { asked: plan.connections, opened: open + closed, refused, closed }
}

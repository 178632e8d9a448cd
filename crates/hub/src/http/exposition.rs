//! `/metrics`: all metrics of the hub in the text format of Prometheus.

mod feeds;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::telemetry::Telemetry;
use crate::clock;
use crate::fanout::CloseReason;
use crate::metrics::{Buckets, Metric, Refused, ShardMetrics, Summed};

/// Returns the answer to one scrape.
pub(super) fn exposition(telemetry: Arc<Telemetry>) -> String {
    let mut registry = Registry::with_prefix("tickwire");
    registry.register_collector(Box::new(Scrape(telemetry)));
    let mut text = String::new();
    let written = prometheus_client::encoding::text::encode(&mut text, &registry);
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    text
}

/// Collects the metrics for one scrape.
#[derive(Debug)]
struct Scrape(Arc<Telemetry>);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Output(encoder);
        self.sessions(&mut out)?;
        self.ticks(&mut out)?;
        self.bars(&mut out)?;
        self.turns(&mut out)?;
        self.durable(&mut out)?;
        self.feeds(&mut out)
    }
}

impl Scrape {
    fn sum(&self, of: impl Fn(&ShardMetrics) -> &Metric) -> u64 {
        self.0.timelines.shards().map(|shard| of(&shard.metrics).get()).sum()
    }

    fn sum_buckets(&self, of: impl Fn(&ShardMetrics) -> &Buckets) -> Summed {
        Buckets::sum_up(self.0.timelines.shards().map(|shard| of(&shard.metrics)))
    }

    fn sessions(&self, out: &mut Output<'_>) -> fmt::Result {
        out.gauge("sessions", "Subscriber sessions", self.sum(|s| &s.sessions))?;
        out.gauge(
            "subscriptions",
            "Subscriptions of all sessions, one per topic and wildcard",
            self.sum(|s| &s.subscriptions),
        )?;
        let draining = u64::from(self.0.lifecycle.is_draining());
        out.gauge(
            "draining",
            "1 while the hub shuts down and closes its sessions, 0 otherwise",
            draining,
        )?;
        out.gauge("publishers", "Publisher sessions", self.0.metrics.publishers.get())?;
        out.gauge(
            "message_bytes",
            "Memory of large messages that have not ended or are not handled yet",
            self.0.message_budget.bytes() as u64,
        )?;
        let closes = CloseReason::ALL.map(|reason| {
            (("reason", reason.label()), self.sum(|shard| &shard.closes[reason as usize]))
        });
        out.counters("closes", "Sessions ended, by reason", &closes)?;
        let downgraded = self.sum(|s| &s.downgraded);
        out.counter("downgraded", "Sessions downgraded to latest because they lagged", downgraded)?;
        out.gauge(
            "sessions_catching_up",
            "Sessions that are sent history",
            self.sum(|s| &s.catching_up),
        )?;
        let resumes = [
            (("result", "all"), self.sum(|s| &s.resumed_all)),
            (("result", "gap"), self.sum(|s| &s.resumed_gap)),
            (("result", "epoch"), self.sum(|s| &s.resumed_epoch)),
        ];
        out.counters("resumes", "Subscribe commands that resumed, by result", &resumes)?;
        out.counter(
            "replays",
            "Subscribe commands that asked for a replay",
            self.sum(|s| &s.replays),
        )?;
        let hub = &self.0.metrics;
        let commands = self.sum(|shard| &shard.refused_commands);
        let refused = Refused::ALL
            .map(|why| (("reason", why.label()), hub.refused[why as usize].get()))
            .into_iter()
            .chain([(("reason", "command"), commands)])
            .collect::<Vec<_>>();
        out.counters("refused", "Refused input, by reason", &refused)?;
        let logins = self.0.keys.logins().map(|(result, count)| (("result", result), count));
        out.counters("logins", "Keys and tokens presented, by result", &logins)?;
        let help = "Changes of the keys file that could not be applied";
        out.counter("keys_file_errors", help, self.0.keys.file_errors())
    }

    fn ticks(&self, out: &mut Output<'_>) -> fmt::Result {
        let hub = &self.0.metrics;
        out.counter("ticks_in", "Ticks received from publishers", hub.ticks_in.get())?;
        out.counter(
            "publisher_bytes",
            "Bytes received from publishers",
            hub.publisher_bytes.get(),
        )?;
        out.gauge("topics", "Topics that have ticked", hub.topics.get())?;
        let delivered = self.sum(|s| &s.ticks_delivered);
        out.counter("ticks_delivered", "Ticks written to subscribers", delivered)?;
        let conflated = self.sum(|s| &s.ticks_conflated);
        out.counter(
            "ticks_conflated",
            "Ticks not sent in latest because a newer one replaced them",
            conflated,
        )?;
        out.counter("bytes", "Bytes written to subscribers", self.sum(|s| &s.bytes))?;
        out.counter(
            "frames",
            "Writes to subscribers that carried frames",
            self.sum(|s| &s.frames),
        )?;
        let per_write = self.sum_buckets(|shard| &shard.ticks_per_write);
        out.histogram("ticks_per_write", "Ticks per write", &per_write)?;
        let backlog = self.sum(|s| &s.backlog_ticks);
        out.gauge("backlog_ticks", "Ticks pending in all sessions", backlog)?;
        let (bytes, ticks) = self.0.timelines.live().log.size();
        out.gauge(
            "log_bytes",
            "Bytes of the log in memory, as charged to its limit",
            bytes as u64,
        )?;
        out.gauge("log_ticks", "Ticks in the log in memory", ticks as u64)?;
        let oldest = self.0.timelines.live().log.oldest_received();
        let age = oldest.map_or(0, |oldest| clock::wall().since(oldest).as_secs());
        out.gauge(
            "log_age_seconds",
            "Age of the oldest tick in memory, since it was received",
            age,
        )?;
        let delayed = self.0.timelines.iter().filter(|timeline| !timeline.delay.is_zero());
        let lost: Vec<_> = delayed
            .map(|timeline| (timeline.delay.as_millis().to_string(), timeline.lost.get()))
            .collect();
        let lost: Vec<_> =
            lost.iter().map(|(delay, lost)| (("delay_ms", delay.as_str()), *lost)).collect();
        let help =
            "Ticks missing from delayed views: history no longer held them when they were due";
        out.counters("delayed_lost_ticks", help, &lost)?;
        let log_overruns = self.sum(|shard| &shard.log_overruns);
        out.counter(
            "shard_fell_out",
            "Times a shard lost ticks because the log overtook it",
            log_overruns,
        )
    }

    fn bars(&self, out: &mut Output<'_>) -> fmt::Result {
        let hub = &self.0.metrics;
        out.counter("bars", "Bars made by the hub", hub.bars.get())?;
        let kept = "Bytes of minutes and trades kept for corrections of bars";
        out.gauge("bars_kept_bytes", kept, hub.bars_kept_bytes.get())?;
        let skipped = [
            (("reason", "earlier_day"), hub.bars_earlier_day.get()),
            (("reason", "ahead"), hub.bars_ahead.get()),
            (("reason", "unmatched"), hub.bars_unmatched.get()),
        ];
        let help = "Trades, cancels and corrections left out of bars, by reason";
        out.counters("bars_skipped", help, &skipped)
    }

    fn turns(&self, out: &mut Output<'_>) -> fmt::Result {
        let router = Buckets::sum_up(std::iter::once(&self.0.metrics.router_turn_seconds));
        out.histogram("router_turn_seconds", "Duration of a turn of the router", &router)?;
        let shards = self.sum_buckets(|shard| &shard.turn_seconds);
        out.histogram("shard_turn_seconds", "Duration of a turn of a shard", &shards)
    }

    /// Writes the metrics of the log on disk, if there is one.
    fn durable(&self, out: &mut Output<'_>) -> fmt::Result {
        let Some(status) = &self.0.durable else { return Ok(()) };
        let failed = u64::from(status.has_failed());
        out.gauge(
            "log_failed",
            "1 if the log on disk has failed and is no longer written, 0 otherwise",
            failed,
        )?;
        let problems = status.problems.get();
        out.gauge(
            "log_problems",
            "Files of the log that were damaged or missing at start",
            problems,
        )?;
        let (segments, bytes) = status.size();
        out.gauge("log_disk_bytes", "Bytes of all segments of the log on disk", bytes)?;
        out.gauge("log_disk_segments", "Segments of the log on disk", segments)?;
        out.counter("log_records", "Records written to the log on disk", status.records.get())
    }
}

/// Writes metrics to the encoder.
struct Output<'a>(DescriptorEncoder<'a>);

impl Output<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
    }

    fn counters(&mut self, name: &str, help: &str, values: &[((&str, &str), u64)]) -> fmt::Result {
        let values: Vec<_> = values.iter().map(|(label, value)| ([*label], *value)).collect();
        self.family(name, help, MetricType::Counter, &values)
    }

    /// Writes a family of counters or gauges, one for each set of labels.
    fn family<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: &[([(&str, &str); LABELS], u64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            let encoder = family.encode_family(labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(*value).encode(encoder)?,
                _ => ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX)).encode(encoder)?,
            }
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, summed: &Summed) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(summed.sum, summed.count, &summed.buckets, None)
    }
}

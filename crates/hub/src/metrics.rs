//! Counters and gauges of the hub.
//!
//! Each shard writes metrics of its own, without contention. `/metrics` adds them up when it is
//! scraped.

mod buckets;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use buckets::{Buckets, Summed};

use crate::bars::Skipped;
use crate::fanout::{CloseReason, Stats};

/// A counter or gauge.
#[derive(Debug, Default)]
pub(crate) struct Metric(AtomicU64);

impl Metric {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Metrics of one shard.
#[derive(Debug)]
pub(crate) struct ShardMetrics {
    /// Open sessions, as of the shard's last turn.
    pub(crate) sessions: Metric,
    /// Sessions assigned to the shard and not ended yet, whether or not it has accepted them.
    pub(crate) assigned: Metric,
    pub(crate) subscriptions: Metric,
    pub(crate) ticks_delivered: Metric,
    pub(crate) ticks_conflated: Metric,
    pub(crate) downgraded: Metric,
    pub(crate) catching_up: Metric,
    pub(crate) resumed_all: Metric,
    pub(crate) resumed_gap: Metric,
    pub(crate) resumed_epoch: Metric,
    pub(crate) replays: Metric,
    pub(crate) bytes: Metric,
    pub(crate) frames: Metric,
    pub(crate) backlog_ticks: Metric,
    pub(crate) log_overruns: Metric,
    pub(crate) closes: [Metric; CloseReason::ALL.len()],
    pub(crate) refused_commands: Metric,
    pub(crate) ticks_per_write: Buckets,
    pub(crate) turn_seconds: Buckets,
}

impl ShardMetrics {
    pub(crate) fn new() -> Self {
        Self {
            sessions: Metric::default(),
            assigned: Metric::default(),
            subscriptions: Metric::default(),
            ticks_delivered: Metric::default(),
            ticks_conflated: Metric::default(),
            downgraded: Metric::default(),
            catching_up: Metric::default(),
            resumed_all: Metric::default(),
            resumed_gap: Metric::default(),
            resumed_epoch: Metric::default(),
            replays: Metric::default(),
            bytes: Metric::default(),
            frames: Metric::default(),
            backlog_ticks: Metric::default(),
            log_overruns: Metric::default(),
            closes: Default::default(),
            refused_commands: Metric::default(),
            ticks_per_write: Buckets::new(TICKS_PER_WRITE),
            turn_seconds: Buckets::new(TURN_SECONDS),
        }
    }

    /// Copies the counters of the shard's core into the metrics.
    pub(crate) fn publish(&self, stats: &Stats) {
        self.subscriptions.set(stats.subscriptions as u64);
        self.ticks_delivered.set(stats.ticks_delivered);
        self.ticks_conflated.set(stats.ticks_conflated);
        self.downgraded.set(stats.downgraded);
        self.catching_up.set(stats.catching_up as u64);
        self.resumed_all.set(stats.resumed_complete);
        self.resumed_gap.set(stats.resumed_with_gap);
        self.resumed_epoch.set(stats.resumed_new_epoch);
        self.replays.set(stats.replays);
        self.backlog_ticks.set(stats.backlog_ticks);
        self.log_overruns.set(stats.log_overruns);
    }
}

/// Why the hub refused input; a label of the metric `tickwire_refused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A publisher's message that cannot be decoded.
    Syntax,
    /// A message larger than the limit.
    TooBig,
    /// A tick that would exceed the limit of topics.
    TopicLimit,
    /// A missing or wrong key or token, or one without the required rights.
    Token,
    /// A web page whose origin is not allowed.
    Origin,
    /// A limit of sessions, publishers or connections, or a hub that is shutting down.
    SessionLimit,
    /// A request that is not a WebSocket upgrade, names an unknown feed, or takes too long.
    Handshake,
    /// A publisher's message that did not end in time.
    MessageTimeout,
    /// A publisher's message that exceeded the memory for messages.
    MessageMemory,
}

impl Refused {
    pub(crate) const ALL: [Self; 9] = [
        Self::Syntax,
        Self::TooBig,
        Self::TopicLimit,
        Self::Token,
        Self::Origin,
        Self::SessionLimit,
        Self::Handshake,
        Self::MessageTimeout,
        Self::MessageMemory,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::TooBig => "too_big",
            Self::TopicLimit => "topic_limit",
            Self::Token => "token",
            Self::Origin => "origin",
            Self::SessionLimit => "session_limit",
            Self::Handshake => "handshake",
            Self::MessageTimeout => "message_timeout",
            Self::MessageMemory => "message_memory",
        }
    }
}

/// Metrics of the router, the publishers and the HTTP front.
#[derive(Debug)]
pub(crate) struct HubMetrics {
    pub(crate) ticks_in: Metric,
    pub(crate) topics: Metric,
    pub(crate) publishers: Metric,
    pub(crate) publisher_bytes: Metric,
    pub(crate) refused: [Metric; Refused::ALL.len()],
    pub(crate) bars: Metric,
    pub(crate) bars_kept_bytes: Metric,
    pub(crate) bars_earlier_day: Metric,
    pub(crate) bars_ahead: Metric,
    pub(crate) bars_unmatched: Metric,
    pub(crate) router_turn_seconds: Buckets,
}

impl HubMetrics {
    pub(crate) fn new() -> Self {
        Self {
            ticks_in: Metric::default(),
            topics: Metric::default(),
            publishers: Metric::default(),
            publisher_bytes: Metric::default(),
            refused: Default::default(),
            bars: Metric::default(),
            bars_kept_bytes: Metric::default(),
            bars_earlier_day: Metric::default(),
            bars_ahead: Metric::default(),
            bars_unmatched: Metric::default(),
            router_turn_seconds: Buckets::new(TURN_SECONDS),
        }
    }

    /// Counts refused input.
    pub(crate) fn refuse(&self, why: Refused, count: u64) {
        self.refused[why as usize].add(count);
    }

    /// Publishes the numbers of trades that bars had to leave out.
    pub(crate) fn set_bars_skipped(&self, skipped: Skipped) {
        self.bars_earlier_day.set(skipped.earlier_day);
        self.bars_ahead.set(skipped.ahead);
        self.bars_unmatched.set(skipped.unmatched);
    }
}

const TICKS_PER_WRITE: &[f64] =
    &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
const TURN_SECONDS: &[f64] =
    &[0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];

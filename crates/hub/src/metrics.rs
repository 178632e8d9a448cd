//! What the hub counts. Every value has one writer, which adds without contention; `/metrics` sums up
//! at scrape time.

mod buckets;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use buckets::{Buckets, Summed};

use crate::bars::Skipped;
use crate::fanout::{CloseReason, Stats};

/// A number that many may read.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
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

/// What one shard counts.
#[derive(Debug)]
pub(crate) struct ShardMetrics {
    /// Sessions there are, as the shard last counted.
    pub(crate) sessions: Cell,
    /// Sessions handed to the shard minus those it has ended.
    pub(crate) assigned: Cell,
    pub(crate) subscriptions: Cell,
    pub(crate) ticks_delivered: Cell,
    pub(crate) ticks_conflated: Cell,
    pub(crate) degraded: Cell,
    pub(crate) catching_up: Cell,
    pub(crate) resumed_all: Cell,
    pub(crate) resumed_gap: Cell,
    pub(crate) resumed_epoch: Cell,
    pub(crate) replays: Cell,
    pub(crate) bytes: Cell,
    pub(crate) frames: Cell,
    pub(crate) backlog_ticks: Cell,
    pub(crate) fell_out: Cell,
    pub(crate) closes: [Cell; CloseReason::ALL.len()],
    pub(crate) refused_commands: Cell,
    pub(crate) ticks_per_write: Buckets,
    pub(crate) turn_seconds: Buckets,
}

impl ShardMetrics {
    pub(crate) fn new() -> Self {
        Self {
            sessions: Cell::default(),
            assigned: Cell::default(),
            subscriptions: Cell::default(),
            ticks_delivered: Cell::default(),
            ticks_conflated: Cell::default(),
            degraded: Cell::default(),
            catching_up: Cell::default(),
            resumed_all: Cell::default(),
            resumed_gap: Cell::default(),
            resumed_epoch: Cell::default(),
            replays: Cell::default(),
            bytes: Cell::default(),
            frames: Cell::default(),
            backlog_ticks: Cell::default(),
            fell_out: Cell::default(),
            closes: Default::default(),
            refused_commands: Cell::default(),
            ticks_per_write: Buckets::new(TICKS_PER_WRITE),
            turn_seconds: Buckets::new(TURN_SECONDS),
        }
    }

    /// Publishes what the core has counted.
    pub(crate) fn publish(&self, stats: &Stats) {
        self.subscriptions.set(stats.subscriptions as u64);
        self.ticks_delivered.set(stats.ticks_delivered);
        self.ticks_conflated.set(stats.ticks_conflated);
        self.degraded.set(stats.degraded);
        self.catching_up.set(stats.catching_up as u64);
        self.resumed_all.set(stats.resumed_all);
        self.resumed_gap.set(stats.resumed_gap);
        self.resumed_epoch.set(stats.resumed_epoch);
        self.replays.set(stats.replays);
        self.backlog_ticks.set(stats.backlog_ticks);
        self.fell_out.set(stats.fell_out);
    }
}

/// Why input was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A publisher's message that cannot be read.
    Syntax,
    /// A message larger than the limit.
    TooBig,
    /// A tick of a topic beyond the limit.
    TopicLimit,
    /// A missing or wrong token.
    Token,
    /// A page of another origin.
    Origin,
    /// Too many sessions.
    SessionLimit,
    /// A request that is no WebSocket upgrade, or names no feed there is.
    Handshake,
}

impl Refused {
    pub(crate) const ALL: [Self; 7] = [
        Self::Syntax,
        Self::TooBig,
        Self::TopicLimit,
        Self::Token,
        Self::Origin,
        Self::SessionLimit,
        Self::Handshake,
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
        }
    }
}

/// What the router and the HTTP front count.
#[derive(Debug)]
pub(crate) struct HubMetrics {
    pub(crate) ticks_in: Cell,
    pub(crate) topics: Cell,
    pub(crate) publishers: Cell,
    pub(crate) publisher_bytes: Cell,
    pub(crate) refused: [Cell; Refused::ALL.len()],
    pub(crate) bars: Cell,
    pub(crate) bars_kept_bytes: Cell,
    pub(crate) bars_earlier_day: Cell,
    pub(crate) bars_ahead: Cell,
    pub(crate) bars_unmatched: Cell,
    pub(crate) router_turn_seconds: Buckets,
}

impl HubMetrics {
    pub(crate) fn new() -> Self {
        Self {
            ticks_in: Cell::default(),
            topics: Cell::default(),
            publishers: Cell::default(),
            publisher_bytes: Cell::default(),
            refused: Default::default(),
            bars: Cell::default(),
            bars_kept_bytes: Cell::default(),
            bars_earlier_day: Cell::default(),
            bars_ahead: Cell::default(),
            bars_unmatched: Cell::default(),
            router_turn_seconds: Buckets::new(TURN_SECONDS),
        }
    }

    pub(crate) fn refuse(&self, why: Refused, count: u64) {
        self.refused[why as usize].add(count);
    }

    pub(crate) fn bars_skipped(&self, skipped: Skipped) {
        self.bars_earlier_day.set(skipped.earlier_day);
        self.bars_ahead.set(skipped.ahead);
        self.bars_unmatched.set(skipped.unmatched);
    }
}

const TICKS_PER_WRITE: &[f64] =
    &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
const TURN_SECONDS: &[f64] =
    &[0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];

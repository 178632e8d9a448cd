//! State shared by all clients: the oracle, the epochs of the hub, and the violations found.

use std::collections::HashMap;
use std::fmt;

use tickwire_feeder::SimConfig;
use tickwire_protocol::{Symbol, Tick};

use crate::oracle::{Difference, EpochAlignment, Oracle, Topic, named};

/// Number of violations that are reported in full. Further ones are only counted.
const VIOLATIONS_KEPT_MAX: usize = 12;

/// A property of the hub or the feeder that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Ticks are missing and no gap reported them.
    Lost { topic: Topic, from: u64, to: u64 },
    /// The hub sent a tick a second time, or one older than the last of its topic.
    Repeated { topic: Topic, seq: u64, expected: u64 },
    /// The tick differs from the one that the feeder published with this sequence number.
    Mismatch { topic: Topic, seq: u64, difference: Difference },
    /// A tick came after a later tick of another topic.
    OutOfOrder { topic: Topic, seq: u64 },
    /// The position at the end of a message is not that of its last tick.
    WrongPosition { received: u64, expected: i128 },
    /// A gap does not report exactly the missing ticks.
    WrongGap { topic: Topic, from: Option<u64>, to: Option<u64>, expected_from: u64 },
    /// The hub sent something that the protocol does not allow at this point.
    Protocol(String),
    /// The hub or the feeder exited, hung or used too much memory.
    Process(String),
    /// At the end of the run a client does not have the newest tick of a topic.
    Stale { topic: Topic, has: u64, newest: u64 },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { topic, from, to } => write!(f, "lost: {} {from} to {to}", named(topic)),
            Self::Repeated { topic, seq, expected } => {
                write!(f, "repeated: {} {seq}, expected {expected}", named(topic))
            }
            Self::Mismatch { topic, seq, difference } => {
                write!(f, "not what was published: {} {seq}: {difference:?}", named(topic))
            }
            Self::OutOfOrder { topic, seq } => {
                write!(f, "out of order: {} {seq} came after a later tick", named(topic))
            }
            Self::WrongPosition { received, expected } => {
                write!(f, "position {received}, but the last tick has {expected}")
            }
            Self::WrongGap { topic, from, to, expected_from } => write!(
                f,
                "gap of {} from {from:?} to {to:?}, but the first missing tick is {expected_from}",
                named(topic)
            ),
            Self::Protocol(what) | Self::Process(what) => f.write_str(what),
            Self::Stale { topic, has, newest } => {
                write!(
                    f,
                    "at the end: last tick of {} is {has}, the newest is {newest}",
                    named(topic)
                )
            }
        }
    }
}

/// Number of checks and violations of all clients.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ticks compared with the oracle, including those of snapshots.
    pub(crate) ticks: u64,
    /// Positions compared with the oracle.
    pub(crate) positions: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    /// Gaps that the hub reported.
    pub(crate) gaps: u64,
    /// Ticks in these gaps.
    pub(crate) gap_ticks: u64,
    /// Gaps whose end the hub does not know, because its log overran a shard.
    pub(crate) unbounded_gaps: u64,
    pub(crate) connections: u64,
    /// Sessions that the hub ended because they lagged.
    pub(crate) slow: u64,
    pub(crate) resumed_complete: u64,
    pub(crate) resumed_gap: u64,
    pub(crate) resumed_epoch: u64,
    pub(crate) violations: u64,
}

/// Compares ticks and positions with the oracle and collects the violations of all clients.
#[derive(Debug)]
pub(crate) struct Checker {
    oracle: Oracle,
    epochs: HashMap<String, EpochAlignment>,
    pub(crate) counts: Counts,
    /// The first violations, each with the name of the client that found it.
    pub(crate) violations: Vec<(String, Violation)>,
}

impl Checker {
    pub(crate) fn new(config: SimConfig) -> Self {
        Self {
            oracle: Oracle::new(config),
            epochs: HashMap::new(),
            counts: Counts::default(),
            violations: Vec::new(),
        }
    }

    /// Returns the symbols of the market, the most active first.
    pub(crate) fn symbols(&self) -> Vec<Symbol> {
        self.oracle.symbols()
    }

    /// Registers an epoch of the hub, unless it is already known.
    pub(crate) fn register_epoch(&mut self, epoch: &str) {
        if !self.epochs.contains_key(epoch) {
            let first = self.epochs.is_empty();
            let alignment = if first { EpochAlignment::first() } else { EpochAlignment::later() };
            self.epochs.insert(epoch.to_owned(), alignment);
        }
    }

    /// Returns how the numbers of a known epoch relate to the market.
    pub(crate) fn epoch(&self, epoch: &str) -> Option<&EpochAlignment> {
        self.epochs.get(epoch)
    }

    /// Compares a tick with the oracle and returns its index in the market.
    ///
    /// # Errors
    /// The tick differs from the published one.
    pub(crate) fn locate(&mut self, epoch: &str, tick: &Tick) -> Result<u64, Difference> {
        self.counts.ticks += 1;
        let known = self.epochs.get_mut(epoch).expect("sessions register their epoch first");
        known.locate(&mut self.oracle, tick)
    }

    /// Compares a position with the market index of its tick.
    ///
    /// # Errors
    /// The positions differ; returns the expected one.
    pub(crate) fn position(&mut self, epoch: &str, index: u64, position: u64) -> Result<(), i128> {
        self.counts.positions += 1;
        let known = self.epochs.get_mut(epoch).expect("sessions register their epoch first");
        known.position(index, position)
    }

    /// Counts a violation, and records it if it is one of the first.
    pub(crate) fn violated(&mut self, name: &str, violation: Violation) {
        self.counts.violations += 1;
        match &violation {
            Violation::Lost { from, to, .. } => self.counts.lost += to - from + 1,
            Violation::Repeated { .. } => self.counts.repeated += 1,
            Violation::Stale { has, newest, .. } => self.counts.lost += newest.saturating_sub(*has),
            _ => {}
        }
        if self.violations.len() < VIOLATIONS_KEPT_MAX {
            self.violations.push((name.to_owned(), violation));
        }
    }
}

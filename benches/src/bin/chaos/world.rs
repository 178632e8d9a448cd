//! What all clients know together: the truth, the epochs they have met, and what went wrong.

use std::collections::HashMap;
use std::fmt;

use tickwire_feeder::SimConfig;
use tickwire_protocol::{Symbol, Tick};

use crate::truth::{Difference, Epoch, Topic, Truth, named};

/// Violations that are kept in full; the rest is counted.
const KEPT_MAX: usize = 12;

/// Something that must not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Ticks did not come, and nobody said so.
    Lost { topic: Topic, from: u64, to: u64 },
    /// A tick came that had come before, or an older one.
    Repeated { topic: Topic, seq: u64, expected: u64 },
    /// A tick is not what the feeder published under this number.
    Wrong { topic: Topic, seq: u64, difference: Difference },
    /// A tick of one topic overtook that of another.
    Overtaken { topic: Topic, seq: u64 },
    /// A position is not that of the last tick.
    Position { given: u64, expected: i128 },
    /// A gap does not name exactly what is missing.
    Gap { topic: Topic, from: Option<u64>, to: Option<u64>, expected_from: u64 },
    /// The hub said something that it must not say here.
    Protocol(String),
    /// A process did what it must not do.
    Process(String),
    /// At the quiet end a client has not got the newest.
    Behind { topic: Topic, has: u64, newest: u64 },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { topic, from, to } => write!(f, "lost: {} {from} to {to}", named(topic)),
            Self::Repeated { topic, seq, expected } => {
                write!(f, "repeated: {} {seq}, expected {expected}", named(topic))
            }
            Self::Wrong { topic, seq, difference } => {
                write!(f, "not what was published: {} {seq}: {difference:?}", named(topic))
            }
            Self::Overtaken { topic, seq } => {
                write!(f, "out of order: {} {seq} came behind a later tick", named(topic))
            }
            Self::Position { given, expected } => {
                write!(f, "position {given}, but the last tick has {expected}")
            }
            Self::Gap { topic, from, to, expected_from } => write!(
                f,
                "gap of {} from {from:?} to {to:?}, but what is missing begins at {expected_from}",
                named(topic)
            ),
            Self::Protocol(what) | Self::Process(what) => f.write_str(what),
            Self::Behind { topic, has, newest } => {
                write!(f, "at the end: {} has come up to {has}, newest is {newest}", named(topic))
            }
        }
    }
}

/// Counts of everything that was checked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ticks compared with the truth, snapshots included.
    pub(crate) ticks: u64,
    /// Positions compared with it.
    pub(crate) positions: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    /// Gaps that were told, and ticks in them.
    pub(crate) gaps: u64,
    pub(crate) gap_ticks: u64,
    pub(crate) connections: u64,
    pub(crate) resumed_all: u64,
    pub(crate) resumed_gap: u64,
    pub(crate) resumed_epoch: u64,
    pub(crate) violations: u64,
}

/// What all clients know together.
#[derive(Debug)]
pub(crate) struct World {
    truth: Truth,
    epochs: HashMap<String, Epoch>,
    pub(crate) counts: Counts,
    /// The first violations, with who saw them.
    pub(crate) violations: Vec<(String, Violation)>,
}

impl World {
    pub(crate) fn new(config: SimConfig) -> Self {
        Self {
            truth: Truth::new(config),
            epochs: HashMap::new(),
            counts: Counts::default(),
            violations: Vec::new(),
        }
    }

    /// Symbols of the market, the most active first.
    pub(crate) fn symbols(&self) -> Vec<Symbol> {
        self.truth.symbols()
    }

    /// Meets an epoch; it may be an old one.
    pub(crate) fn meet(&mut self, epoch: &str) {
        if !self.epochs.contains_key(epoch) {
            let first = self.epochs.is_empty();
            let begun = if first { Epoch::first() } else { Epoch::later() };
            self.epochs.insert(epoch.to_owned(), begun);
        }
    }

    /// What an epoch is known to be.
    pub(crate) fn epoch(&self, epoch: &str) -> Option<&Epoch> {
        self.epochs.get(epoch)
    }

    /// Compares a tick with the truth; its place in the market.
    ///
    /// # Errors
    /// If it is another.
    pub(crate) fn place(&mut self, epoch: &str, tick: &Tick) -> Result<u64, Difference> {
        self.counts.ticks += 1;
        let known = self.epochs.get_mut(epoch).expect("sessions meet their epoch first");
        known.place(&mut self.truth, tick)
    }

    /// Compares a position with the place of its tick.
    ///
    /// # Errors
    /// The position it should have been.
    pub(crate) fn position(&mut self, epoch: &str, place: u64, position: u64) -> Result<(), i128> {
        self.counts.positions += 1;
        let known = self.epochs.get_mut(epoch).expect("sessions meet their epoch first");
        known.position(place, position)
    }

    /// Notes a violation.
    pub(crate) fn violated(&mut self, who: &str, violation: Violation) {
        self.counts.violations += 1;
        match &violation {
            Violation::Lost { from, to, .. } => self.counts.lost += to - from + 1,
            Violation::Repeated { .. } => self.counts.repeated += 1,
            Violation::Behind { has, newest, .. } => {
                self.counts.lost += newest.saturating_sub(*has)
            }
            _ => {}
        }
        if self.violations.len() < KEPT_MAX {
            self.violations.push((who.to_owned(), violation));
        }
    }
}

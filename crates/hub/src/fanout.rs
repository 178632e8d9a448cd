//! The fan-out core: numbers ticks, keeps the newest of them, and builds the frames of every
//! session.
//!
//! The core is pure. It has no sockets, no clock, no threads and no log output: time is an
//! argument, and bytes leave through a buffer. Models, fuzzers and simulations can therefore drive
//! it.
//!
//! A [`Sequencer`] numbers ticks and makes a [`Batch`] of each turn of the router. A [`Log`] keeps
//! the newest batches. Each [`Shard`] follows the log, knows the subscriptions of its sessions, and
//! builds their frames; [`turn::run`] drives it.

mod batch;
mod client_queue;
mod frame;
mod history;
mod latest;
mod log;
mod sequencer;
mod shard;

pub use batch::{Batch, Encoded, Numbered};
pub use frame::FrameBuf;
pub use history::disk_index::{DiskIndex, DiskReadRequest, SegmentRange};
pub use history::disk_reads::DISK_READS_MAX;
pub use log::{Log, LogOverrun};
pub use sequencer::{
    Fenced, ID_SEPARATOR, Numbering, Opened, PublisherChanges, PublisherProgress, PublisherToken,
    Sequencer,
};
pub use shard::client_names::CLIENT_NAMES_MAX;
pub use shard::close_reason::CloseReason;
pub use shard::interest::{InterestChange, TopicInterest};
pub use shard::session::Acks;
pub use shard::write::NextWrite;
pub use shard::{Limits, Shard, Stats, turn};

use std::fmt;

use tickwire_protocol::{Channel, Symbol, Tick};

/// Number of a tick within the whole hub. Positions of an epoch are contiguous and begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The first position of an epoch.
    pub const FIRST: Self = Self(1);

    /// Returns the position `ticks` ticks later.
    #[must_use]
    pub const fn plus(self, ticks: usize) -> Self {
        Self(self.0 + ticks as u64)
    }

    /// Returns the last position up to this one whose [`Position::index`] is `index`.
    #[must_use]
    pub(crate) const fn before(self, index: u32) -> Self {
        let distance = self.index().wrapping_sub(index);
        Self(self.0 - distance as u64)
    }

    /// Returns the low 32 bits. A backlog keeps only these: the log never holds 2^32 ticks.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
    pub(crate) const fn index(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of a feed: its index in the configured list of feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub u8);

/// Number of a topic. The sequencer assigns these in the order of first ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

/// Number of a topic within one shard. Unlike a [`TopicId`] it also exists for a topic that has
/// subscribers but has never ticked. Numbers are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalTopicId(pub(crate) u32);

/// Identifies the client of a session: its key, or its address. It is a hash: clients that collide
/// count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// Number of a session within its shard: an index into the table of sessions. Numbers are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

impl SessionId {
    pub(crate) const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// What identifies a topic: sequence numbers and last values exist per topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey {
    /// Feed of the topic.
    pub feed: FeedId,
    /// Channel of the topic.
    pub channel: Channel,
    /// Symbol of the topic.
    pub symbol: Symbol,
}

impl TopicKey {
    /// Returns the key of the topic that a tick of a feed belongs to.
    #[must_use]
    pub const fn of(feed: FeedId, tick: &Tick) -> Self {
        Self { feed, channel: tick.channel(), symbol: tick.symbol }
    }
}

/// The last tick of a topic, with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct LastTick {
    /// The feed of the topic.
    pub feed: FeedId,
    /// The tick, with its sequence number.
    pub tick: Tick,
    /// The position of the tick.
    pub position: Position,
}

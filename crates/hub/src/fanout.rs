//! The heart of the hub, pure: no sockets, no clock, no logs, no tasks. Time comes in as an argument,
//! bytes go out through a buffer. That is what lets models, fuzzers and simulations drive it.
//!
//! The [`Sequencer`] numbers ticks and makes a [`Batch`] of them; the [`Log`] keeps the last batches;
//! each [`Shard`] follows the log, knows who wants what, and builds the frames of its sessions.

mod backlog;
mod batch;
mod catch_up;
mod disk_index;
mod frame;
mod interest;
mod latest;
mod log;
mod marks;
mod sequencer;
mod session;
mod shard;
mod subscriber;
mod topic_positions;
mod topics;
mod view;
mod wheel;

pub use batch::{Batch, Encoded, Numbered};
pub use disk_index::{DiskIndex, DiskReadRequest, SegmentRange};
pub use frame::FrameBuf;
pub use interest::{InterestChange, TopicInterest};
pub use log::{Log, LogOverrun};
pub use sequencer::{
    Fenced, ID_SEPARATOR, Numbering, Opened, PublisherAt, PublisherChanges, PublisherToken,
    Sequencer,
};
pub use session::{Acks, CloseReason, SessionId};
pub use shard::{DISK_READS_MAX, Limits, NextWrite, Shard, Stats, turn};

use std::fmt;

/// Number of a tick within the whole hub, contiguous from 1 within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The first position of an epoch.
    pub const FIRST: Self = Self(1);

    /// The position so many ticks later.
    #[must_use]
    pub const fn plus(self, ticks: usize) -> Self {
        Self(self.0 + ticks as u64)
    }

    /// The position an index stands for: the last one up to this which ends with it.
    #[must_use]
    pub(crate) const fn before(self, index: u32) -> Self {
        let behind = self.index().wrapping_sub(index);
        Self(self.0 - behind as u64)
    }

    /// Its low 32 bits, which is what a backlog keeps of it: the log never holds 2^32 ticks.
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

/// A topic (feed, channel, symbol), interned by the sequencer in the order of first ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

/// A feed: its place in the configured list of feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub u8);

//! What the core knows of the history on disk: it never reads it itself.

use std::sync::Arc;

use tickwire_protocol::UnixNanos;

use super::{Position, SessionId};

/// History on disk, by its pieces. It may be some time behind what is there: a piece may be gone.
#[derive(Debug, Clone, Default)]
pub struct DiskIndex(Arc<[SegmentRange]>);

/// A piece of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRange {
    /// Position of its first tick.
    pub first: Position,
    /// None of its ticks was received before, and those of the pieces before it not after. For the first
    /// one: when its first tick was received.
    pub received: UnixNanos,
}

/// Ticks that a session needs from there: the shell reads them and gives them to
/// [`Shard::complete_disk_read`](super::Shard::complete_disk_read).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskReadRequest {
    /// Position of the first.
    pub from: Position,
    pub(crate) id: SessionId,
    /// Tells it from what the session, or another in its slot, has asked for before.
    pub(crate) number: u64,
}

impl DiskIndex {
    /// History in these pieces, oldest first, without a gap between them.
    #[must_use]
    pub fn new(volumes: Vec<SegmentRange>) -> Self {
        Self(volumes.into())
    }

    /// Whether a position before those in memory is there.
    pub(crate) fn holds(&self, position: Position) -> bool {
        self.0.first().is_some_and(|oldest| oldest.first <= position)
    }

    /// A position before which no tick was received at a time or later.
    pub(crate) fn received_from(&self, time: UnixNanos) -> Option<Position> {
        let behind = self.0.partition_point(|volume| volume.received < time);
        self.0.get(behind.saturating_sub(1)).map(|volume| volume.first)
    }

    /// When its oldest tick was received.
    pub(crate) fn oldest_received(&self) -> Option<UnixNanos> {
        self.0.first().map(|oldest| oldest.received)
    }
}

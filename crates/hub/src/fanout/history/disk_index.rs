//! The index of the history on disk. The core itself never reads the disk.

use std::sync::Arc;

use tickwire_protocol::UnixNanos;

use super::super::{Position, SessionId};

/// The segments of history on disk. It may be outdated: a segment may have been deleted since.
#[derive(Debug, Clone, Default)]
pub struct DiskIndex(Arc<[SegmentRange]>);

/// Where a segment of history begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRange {
    /// Position of the first tick of the segment.
    pub first: Position,
    /// Receive time that separates the segment from the one before: no tick of this segment was
    /// received earlier, and no tick of earlier segments later. For the oldest segment, the receive
    /// time of its first tick.
    pub received: UnixNanos,
}

/// What a disk read is for. Each kind has slots and a queue of its own, so that none waits for the
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadKind {
    /// A session that wants all ticks as fast as possible: a resume, or a replay without a speed.
    Prompt,
    /// A replay at a speed.
    Paced,
}

/// A request for ticks that a session needs from disk. The caller of the core reads them and
/// answers with [`Shard::complete_disk_read`](super::super::Shard::complete_disk_read).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskReadRequest {
    /// Position of the first tick that is needed.
    pub from: Position,
    pub(crate) id: SessionId,
    /// Distinguishes the request from earlier ones of the session, or of another session with the
    /// same id.
    pub(crate) number: u64,
    pub(crate) kind: ReadKind,
}

impl DiskReadRequest {
    /// Returns whether the request is for a replay at a speed. Others are to be answered first.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.kind == ReadKind::Paced
    }
}

impl DiskIndex {
    /// Creates an index of segments, oldest first, without gaps between them.
    #[must_use]
    pub fn new(segments: Vec<SegmentRange>) -> Self {
        Self(segments.into())
    }

    /// Returns whether the tick at a position, which memory no longer holds, is on disk.
    pub(crate) fn holds(&self, position: Position) -> bool {
        self.0.first().is_some_and(|oldest| oldest.first <= position)
    }

    /// Returns the position at which to begin to read all ticks received at `time` or later: the
    /// start of a segment. Returns `None` if the disk holds no ticks.
    pub(crate) fn received_from(&self, time: UnixNanos) -> Option<Position> {
        let later = self.0.partition_point(|segment| segment.received < time);
        self.0.get(later.saturating_sub(1)).map(|segment| segment.first)
    }

    /// Returns the time at which the oldest tick on disk was received, if there is one.
    pub(crate) fn oldest_received(&self) -> Option<UnixNanos> {
        self.0.first().map(|oldest| oldest.received)
    }
}

//! Data structures for history: past ticks for sessions that resume or replay.

pub(super) mod cursor;
pub(super) mod disk_index;
pub(super) mod disk_reads;
pub(super) mod playback;
pub(super) mod queued_read;
pub(super) mod topic_positions;

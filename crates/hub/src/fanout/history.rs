//! Data structures for history: ticks that sessions are sent although they are not new.

pub(super) mod cursor;
pub(super) mod disk_index;
pub(super) mod disk_reads;
pub(super) mod playback;
pub(super) mod topic_positions;

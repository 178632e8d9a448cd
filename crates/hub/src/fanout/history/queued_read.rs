//! A session that waits for a disk read.

use super::super::{ClientId, SessionId};
use super::disk_index::ReadKind;

/// A session that waits for a disk read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuedRead {
    pub(crate) id: SessionId,
    pub(crate) client: Option<ClientId>,
    /// Number of the read; greater than those of all earlier ones.
    pub(crate) number: u64,
    pub(crate) kind: ReadKind,
}

//! Disk reads of a shard's sessions, and the batches that sessions hold from disk.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::super::{Batch, Position, SessionId};
use super::disk_index::{DiskIndex, DiskReadRequest};

/// Largest number of sessions of a shard that wait for a disk read or hold batches from one. Others
/// retry later.
pub const DISK_READS_MAX: usize = 64;

/// The disk reads of a shard.
#[derive(Debug, Default)]
pub(crate) struct DiskReads {
    pub(crate) index: DiskIndex,
    /// Requests that the shell has not taken yet.
    requests: Vec<DiskReadRequest>,
    /// Requests without an answer, those in `requests` included.
    unanswered: usize,
    /// Sessions that hold batches from disk.
    holders: usize,
    /// Number of the newest request.
    last_number: u64,
}

/// State of a session's disk read.
#[derive(Debug, Default)]
pub(crate) enum DiskBatches {
    /// No batches are held or requested.
    #[default]
    None,
    /// The batches at its cursor were requested, under this number.
    Requested(u64),
    /// The batches at its cursor, without gaps.
    Held(VecDeque<Arc<Batch>>),
    /// The batches at its cursor are no longer on disk.
    Missing,
}

impl DiskReads {
    /// Returns whether another session may begin a disk read.
    pub(crate) const fn has_capacity(&self) -> bool {
        self.unanswered + self.holders < DISK_READS_MAX
    }

    /// Returns the number of disk reads that sessions wait for or hold.
    #[cfg(test)]
    pub(crate) const fn in_use(&self) -> usize {
        self.unanswered + self.holders
    }

    /// Requests the batches from a position on for a session.
    pub(crate) fn request(&mut self, id: SessionId, from: Position) -> DiskBatches {
        self.unanswered += 1;
        self.last_number += 1;
        let number = self.last_number;
        self.requests.push(DiskReadRequest { from, id, number });
        DiskBatches::Requested(number)
    }

    /// Returns the requests made since the last call.
    pub(crate) fn take_requests(&mut self) -> Vec<DiskReadRequest> {
        mem::take(&mut self.requests)
    }

    /// Records that a request has been answered.
    pub(crate) fn note_answer(&mut self) {
        self.unanswered -= 1;
    }

    /// Lets a session hold batches, without gaps between them.
    pub(crate) fn hold(&mut self, batches: VecDeque<Arc<Batch>>) -> DiskBatches {
        self.holders += 1;
        DiskBatches::Held(batches)
    }

    /// Takes the batches that a session holds, if it holds any; it then holds none.
    pub(crate) fn take_held(&mut self, disk: &mut DiskBatches) -> Option<VecDeque<Arc<Batch>>> {
        let DiskBatches::Held(batches) = disk else { return None };
        let batches = mem::take(batches);
        *disk = DiskBatches::None;
        self.holders -= 1;
        Some(batches)
    }

    /// Drops the batches that a session holds, if it holds any; they can be read again.
    pub(crate) fn release(&mut self, disk: &mut DiskBatches) {
        drop(self.take_held(disk));
    }
}

//! Disk reads of a shard's sessions, and the batches that sessions hold from disk.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::super::client_queue::ClientQueue;
use super::super::{Batch, ClientId, SessionId};
use super::disk_index::{DiskIndex, ReadKind};
use super::queued_read::QueuedRead;

/// Largest number of sessions of a shard that wait for a reply to a disk read or hold batches from
/// one. Others wait in a queue.
pub const DISK_READS_MAX: usize = 64;
/// The part of [`DISK_READS_MAX`] that paced replays may use, and only they.
const PACED_READS_MAX: usize = 16;

/// The disk reads of a shard.
#[derive(Debug, Default)]
pub(crate) struct DiskReads {
    pub(crate) index: DiskIndex,
    prompt: Slots,
    paced: Slots,
    /// Number of the newest read.
    last_number: u64,
}

/// The slots for one kind of disk read.
#[derive(Debug, Default)]
struct Slots {
    /// Sessions without a slot. Each has the state [`DiskBatches::Queued`].
    queue: ClientQueue<QueuedRead>,
    /// Sessions that wait for a reply or hold batches.
    in_use: usize,
}

/// State of a session's disk read.
#[derive(Debug, Default)]
pub(crate) enum DiskBatches {
    /// No batches are held or requested.
    #[default]
    None,
    /// The session waits for a slot.
    Queued(QueuedRead),
    /// The batches at its cursor were requested, under this number.
    Requested(u64),
    /// The batches at its cursor, without gaps.
    Held(VecDeque<Arc<Batch>>, ReadKind),
    /// The batches at its cursor are no longer on disk.
    Missing,
}

impl DiskReads {
    const fn slots(&mut self, kind: ReadKind) -> (&mut Slots, usize) {
        match kind {
            ReadKind::Prompt => (&mut self.prompt, DISK_READS_MAX - PACED_READS_MAX),
            ReadKind::Paced => (&mut self.paced, PACED_READS_MAX),
        }
    }

    /// Returns whether a session waits for a slot of this kind.
    pub(crate) fn is_awaited(&mut self, kind: ReadKind) -> bool {
        !self.slots(kind).0.queue.is_empty()
    }

    /// Returns whether [`DiskReads::begin_next`] would return a session.
    pub(crate) fn can_begin(&self) -> bool {
        let can_begin = |slots: &Slots, max| !slots.queue.is_empty() && slots.in_use < max;
        can_begin(&self.prompt, DISK_READS_MAX - PACED_READS_MAX)
            || can_begin(&self.paced, PACED_READS_MAX)
    }

    /// Returns the number of disk reads that sessions wait for or hold.
    #[cfg(test)]
    pub(crate) const fn in_use(&self) -> usize {
        self.prompt.in_use + self.paced.in_use
    }

    /// Queues a session of a client for a slot.
    pub(crate) fn queue(
        &mut self,
        id: SessionId,
        client: Option<ClientId>,
        kind: ReadKind,
    ) -> DiskBatches {
        self.last_number += 1;
        let read = QueuedRead { id, client, number: self.last_number, kind };
        self.slots(kind).0.queue.push(client, read);
        DiskBatches::Queued(read)
    }

    /// Gives a free slot to the next session. Clients take turns; of the sessions of one client,
    /// the one that has waited longest is next. The caller sets its state to
    /// [`DiskBatches::Requested`] and requests the read.
    pub(crate) fn begin_next(&mut self) -> Option<QueuedRead> {
        [ReadKind::Prompt, ReadKind::Paced].into_iter().find_map(|kind| {
            let (slots, max) = self.slots(kind);
            let next = (slots.in_use < max).then(|| slots.queue.pop()).flatten()?;
            slots.in_use += 1;
            Some(next)
        })
    }

    /// Records that a request has been answered.
    pub(crate) const fn note_answer(&mut self, kind: ReadKind) {
        self.slots(kind).0.in_use -= 1;
    }

    /// Lets a session hold batches, without gaps between them.
    pub(crate) const fn hold(
        &mut self,
        batches: VecDeque<Arc<Batch>>,
        kind: ReadKind,
    ) -> DiskBatches {
        self.slots(kind).0.in_use += 1;
        DiskBatches::Held(batches, kind)
    }

    /// Takes the batches that a session holds, if it holds any; it then holds none.
    pub(crate) fn take_held(&mut self, disk: &mut DiskBatches) -> Option<VecDeque<Arc<Batch>>> {
        let DiskBatches::Held(batches, kind) = disk else { return None };
        let batches = mem::take(batches);
        let kind = *kind;
        *disk = DiskBatches::None;
        self.slots(kind).0.in_use -= 1;
        Some(batches)
    }

    /// Drops the batches that a session holds, or its place in the queue. The batches can be read
    /// again.
    pub(crate) fn release(&mut self, disk: &mut DiskBatches) {
        if let DiskBatches::Queued(read) = *disk {
            self.slots(read.kind).0.queue.remove(read.client, |reads| {
                reads.binary_search_by_key(&read.number, |queued| queued.number).ok()
            });
            *disk = DiskBatches::None;
        }
        drop(self.take_held(disk));
    }
}

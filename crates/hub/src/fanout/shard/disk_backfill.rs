//! Sends ticks from disk that memory no longer holds. The shell reads the disk, for one session
//! after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use tickwire_protocol::{Encoding, Tick, UnixNanos};

use super::super::frame::POSITION_BYTES_MAX;
use super::super::history::cursor::CatchUpCursor;
use super::super::history::disk_index::{DiskIndex, DiskReadRequest};
use super::super::history::disk_reads::DiskBatches;
use super::super::history::queued_read::QueuedRead;
use super::super::latest::rate_groups::RateGroupId;
use super::super::{Batch, FrameBuf, Position, SessionId, TopicKey};
use super::Shard;
use super::catch_up::{LOOKED_AT_MAX, Refill};
use super::session::WriteState;

/// Longest time, in nanoseconds, for which a paced replay holds batches from disk until its next
/// tick is due. If that tick is due later, or another paced replay waits for a slot, the replay
/// drops the batches and reads them again.
const HELD_NS_MAX: u64 = 1_000_000_000;
/// Number of names up to which a session's next tick is looked for among their positions before a
/// disk read.
const NAMES_CHECKED_MAX: usize = 1_024;

impl Shard {
    /// Sets the index of the history on disk.
    pub fn set_disk_index(&mut self, index: DiskIndex) {
        self.disk.index = index;
    }

    /// Returns whether a session waits for a disk read and a slot is free.
    #[must_use]
    pub fn can_begin_disk_read(&self) -> bool {
        self.disk.can_begin()
    }

    /// Begins the next disk read, if a session waits for one and a slot is free, and returns the
    /// request. It must be answered with [`Shard::complete_disk_read`]; at most
    /// [`DISK_READS_MAX`](super::super::DISK_READS_MAX) are without an answer at any time.
    pub(crate) fn begin_disk_read(&mut self) -> Option<DiskReadRequest> {
        let QueuedRead { id, number, kind, .. } = self.disk.begin_next()?;
        let cursor = self.sessions[id].cursor.as_mut();
        let cursor = cursor.expect("a session that loses its cursor leaves the queue");
        cursor.disk = DiskBatches::Requested(number);
        Some(DiskReadRequest { from: cursor.next, id, number, kind })
    }

    /// Answers a request with the batches from its position on, without gaps; `None` if they are no
    /// longer on disk.
    pub fn complete_disk_read(&mut self, request: DiskReadRequest, found: Option<Vec<Arc<Batch>>>) {
        self.disk.note_answer(request.kind);
        let id = request.id;
        let hot = self.sessions.hot.get(id.slot());
        let is_blocked = hot.is_some_and(|hot| hot.write_state == WriteState::Blocked);
        let session = self.sessions.get_mut(id);
        let Some(cursor) = session.and_then(|session| session.cursor.as_mut()) else { return };
        if !matches!(cursor.disk, DiskBatches::Requested(number) if number == request.number) {
            return; // the cursor has moved since, or another session has the id
        }
        cursor.disk = match found.filter(|found| !found.is_empty()) {
            None => DiskBatches::Missing,
            Some(_) if is_blocked => DiskBatches::None,
            Some(found) => self.disk.hold(found.into(), request.kind),
        };
        self.wake(id);
    }

    /// Moves a cursor back to the oldest pending tick, which has left memory, if that tick is on
    /// disk. Returns whether it did. It does not if control frames are queued: an answer would then
    /// precede the ticks that it follows.
    pub(super) fn rewind_to_disk(&mut self, id: SessionId) -> bool {
        let (session, hot) = self.sessions.both_mut(id);
        let oldest = hot.backlog.oldest().map(|oldest| self.window.position(oldest));
        let Some((cursor, oldest)) = session.cursor.as_mut().zip(oldest) else { return false };
        let can_rewind =
            cursor.found_all_pending && session.control.is_empty() && self.disk.index.holds(oldest);
        if can_rewind {
            cursor.next = oldest;
            self.stats.backlog_ticks -= hot.backlog.clear() as u64;
        }
        can_rewind
    }

    /// Drops the batches from disk of a session that is not written to: they can be read again.
    pub(super) fn release_disk_batches(&mut self, id: SessionId) {
        if let Some(cursor) = &mut self.sessions[id].cursor {
            self.disk.release(&mut cursor.disk);
        }
    }

    /// Queues the next ticks for a cursor before the start of memory; `None` if they are not on
    /// disk either.
    pub(super) fn backfill_from_disk(
        &mut self,
        id: SessionId,
        cursor: &mut CatchUpCursor,
    ) -> Option<Refill> {
        if let Some(batches) = self.disk.take_held(&mut cursor.disk) {
            let next = cursor.next;
            let is_next = |batch: &Arc<Batch>| batch.first() <= next && next < batch.end();
            if batches.front().is_some_and(is_next) {
                return Some(self.send_from_disk(id, cursor, batches));
            } // otherwise the cursor has moved elsewhere
        }
        match cursor.disk {
            DiskBatches::Queued(..) | DiskBatches::Requested(_) => Some(Refill::Wait(None)),
            DiskBatches::Missing => {
                cursor.disk = DiskBatches::None;
                None
            }
            DiskBatches::None | DiskBatches::Held(..) => {
                if !self.disk.index.holds(cursor.next) {
                    return None;
                }
                if !self.may_be_on_disk(id, cursor) {
                    cursor.next = self.window.start();
                    return None;
                }
                let client = self.sessions[id].client;
                cursor.disk = self.disk.queue(id, client, cursor.read_kind());
                Some(Refill::Wait(None))
            }
        }
    }

    /// Returns whether the disk may hold ticks that a session wants, from its cursor on. The answer
    /// is exact for few names.
    fn may_be_on_disk(&self, id: SessionId, cursor: &CatchUpCursor) -> bool {
        let session = &self.sessions[id];
        if session.wildcard_channels().any(|(_, group)| group == RateGroupId::EVERY)
            || session.named.len() > NAMES_CHECKED_MAX
            || !self.coverage.is_complete_from(cursor.next)
        {
            return true;
        }
        let start = self.window.start();
        let head = self.head();
        session.named.iter().any(|named| {
            let topic = self.topics.get(named.topic);
            let begin = cursor.next.max(cursor.start(named.topic, true, topic.key.channel));
            topic.last.as_ref().is_some_and(|last| last.positions.last_before(start, head) >= begin)
        })
    }

    /// Queues one message with the ticks that a session wants from `batches`. The session holds the
    /// remaining batches.
    fn send_from_disk(
        &mut self,
        id: SessionId,
        cursor: &mut CatchUpCursor,
        mut batches: VecDeque<Arc<Batch>>,
    ) -> Refill {
        let session = &self.sessions[id];
        let encoding = session.encoding;
        let has_position = session.wants_positions;
        let body_max =
            self.limits.message_bytes - 3 - usize::from(has_position) * POSITION_BYTES_MAX;
        let mut message = MessageFromDisk::new(encoding, body_max);
        let playback = cursor.playback;
        let reached = playback.map_or(UnixNanos::MAX, |playback| playback.reached(self.now));
        while let Some(batch) = batches.front().filter(|batch| batch.received() <= reached)
            && self.collect_wanted(id, cursor, batch, &mut message)
        {
            batches.pop_front();
        }
        let due = playback.and_then(|playback| {
            let next = batches.front().filter(|batch| batch.received() > reached)?;
            Some(playback.due(next.received()))
        });
        let kind = cursor.read_kind();
        let is_far = due.is_some_and(|due| due.0 > self.now.0 + HELD_NS_MAX);
        let gives_way = due.is_some() && self.disk.is_awaited(kind);
        if !batches.is_empty() && !is_far && !gives_way {
            cursor.disk = self.disk.hold(batches, kind);
        }
        if message.ticks > 0 {
            let MessageFromDisk { mut frame, ticks, last, .. } = message;
            frame.finish(encoding, ticks, has_position.then_some(last));
            self.stats.ticks_delivered += ticks as u64;
            self.queue_frames(id, frame.frame().to_vec());
            return Refill::Pending;
        }
        match due {
            Some(due) => Refill::Wait(Some(self.playback_wait(due))),
            None => Refill::Yield,
        }
    }

    /// Adds the ticks that a session wants from the batch at its cursor to a message. Returns
    /// whether the end of the batch was reached.
    fn collect_wanted(
        &self,
        id: SessionId,
        cursor: &mut CatchUpCursor,
        batch: &Batch,
        message: &mut MessageFromDisk,
    ) -> bool {
        let skipped = usize::try_from(cursor.next.0 - batch.first().0).unwrap_or(usize::MAX);
        for numbered in batch.ticks().iter().skip(skipped) {
            if cursor.next >= self.window.start() || message.looked_at == LOOKED_AT_MAX {
                return false;
            }
            message.looked_at += 1;
            let topic = self.topics.find(&TopicKey::of(numbered.feed, &numbered.tick));
            let is_wanted = batch.received() >= cursor.since
                && self.wants(id, cursor, topic, numbered, cursor.next);
            if is_wanted && !message.add(&numbered.tick, cursor.next) {
                return false;
            }
            cursor.next = cursor.next.plus(1);
        }
        true
    }
}

/// A data message with ticks from disk, for one session.
struct MessageFromDisk {
    encoding: Encoding,
    body_max: usize,
    frame: FrameBuf,
    ticks: usize,
    /// Position of the last tick.
    last: Position,
    /// Number of ticks that were looked at for the message.
    looked_at: usize,
}

impl MessageFromDisk {
    fn new(encoding: Encoding, body_max: usize) -> Self {
        let frame = FrameBuf::default();
        Self { encoding, body_max, frame, ticks: 0, last: Position(0), looked_at: 0 }
    }

    /// Adds a tick and returns whether it fits. A tick larger than a message gets a message of its
    /// own.
    fn add(&mut self, tick: &Tick, at: Position) -> bool {
        let before = self.frame.body_bytes();
        self.frame.append_tick(self.encoding, tick);
        if self.ticks > 0 && self.frame.body_bytes() > self.body_max {
            self.frame.truncate(before);
            return false;
        }
        self.ticks += 1;
        self.last = at;
        true
    }
}

//! What memory does not hold any more, from disk: the shell reads it for one session after the other.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use tickwire_protocol::{Encoding, Tick, UnixNanos};

use super::super::catch_up::{CatchUp, Older};
use super::super::disk_index::{DiskIndex, DiskReadRequest};
use super::super::frame::POSITION_BYTES_MAX;
use super::super::session::Flow;
use super::super::{Batch, FrameBuf, Position, SessionId};
use super::Shard;
use super::catch_up::{LOOKED_AT_MAX, PLAY_INTERVAL_NS, Refilled};

/// Sessions that wait for ticks from disk or hold some, at the most. Others try again.
pub const DISK_READS_MAX: usize = 64;
/// After this time a session tries again, longer when there are many.
const RETRY_NS: u64 = 10_000_000;
/// A replay whose next tick is further ahead does not hold it meanwhile.
const HELD_NS_MAX: u64 = 1_000_000_000;

impl Shard {
    /// What there is on disk by now.
    pub fn set_disk_index(&mut self, disk_index: DiskIndex) {
        self.disk_index = disk_index;
    }

    /// What sessions need from disk, each once; every one wants [`Shard::complete_disk_read`]. At most
    /// [`DISK_READS_MAX`] are without an answer at any time.
    pub(crate) fn take_disk_reads(&mut self) -> Vec<DiskReadRequest> {
        mem::take(&mut self.disk_reads)
    }

    /// Gives a session what it needs: batches from that which holds the position on, without a gap; `None`
    /// if it is not there any more.
    pub fn complete_disk_read(&mut self, wanted: DiskReadRequest, found: Option<Vec<Arc<Batch>>>) {
        self.older_asked -= 1;
        let id = wanted.id;
        let session = self.sessions.get_mut(id.slot());
        let Some(cursor) = session.and_then(|session| session.catch_up.as_mut()) else { return };
        if !matches!(cursor.older, Older::Asked(number) if number == wanted.number) {
            return; // it was for another session, or another place
        }
        cursor.older = match found.filter(|found| !found.is_empty()) {
            None => Older::Gone,
            Some(_) if self.hot[id.slot()].flow == Flow::Blocked => Older::Unknown,
            Some(found) => {
                self.older_held += 1;
                Older::Here(found.into())
            }
        };
        self.wake(id);
    }

    /// What a cursor found has left memory: it goes back, if that is on disk. An answer among what is pending
    /// would come before what it says was sent.
    pub(super) fn find_again(&mut self, id: SessionId) -> bool {
        let (session, hot) = (&mut self.sessions[id.slot()], &mut self.hot[id.slot()]);
        let first = hot.backlog.oldest().map(|oldest| self.view.position(oldest));
        let Some((cursor, first)) = session.catch_up.as_mut().zip(first) else { return false };
        let goes = cursor.found_all && session.control.is_empty() && self.disk_index.holds(first);
        if goes {
            cursor.next = first;
            self.stats.backlog_ticks -= hot.backlog.clear() as u64;
        }
        goes
    }

    /// A session that is not written to holds nothing from disk: it can be read again.
    pub(super) fn put_back_older(&mut self, id: SessionId) {
        if let Some(cursor) = &mut self.sessions[id.slot()].catch_up {
            self.older_held -= usize::from(cursor.older.release_disk_batches());
        }
    }

    /// Queues the next ticks for a cursor that stands before what memory holds; `None` if they are not on
    /// disk either.
    pub(super) fn refill_older(&mut self, id: SessionId, cursor: &mut CatchUp) -> Option<Refilled> {
        let next = cursor.next;
        let is_next = |batch: &Arc<Batch>| batch.first() <= next && next < batch.end();
        match mem::take(&mut cursor.older) {
            Older::Gone => None,
            Older::Asked(number) => {
                cursor.older = Older::Asked(number);
                Some(Refilled::Rest(None))
            }
            Older::Here(batches) if batches.front().is_some_and(is_next) => {
                Some(self.send_older(id, cursor, batches))
            }
            Older::Here(_) => {
                self.older_held -= 1; // the cursor has gone elsewhere
                self.ask_older(id, cursor)
            }
            Older::Unknown => self.ask_older(id, cursor),
        }
    }

    fn ask_older(&mut self, id: SessionId, cursor: &mut CatchUp) -> Option<Refilled> {
        if !self.disk_index.holds(cursor.next) {
            return None;
        }
        if self.older_asked + self.older_held >= DISK_READS_MAX {
            let many = 1 + self.stats.catching_up / DISK_READS_MAX;
            return Some(Refilled::Rest(Some(UnixNanos(self.now.0 + RETRY_NS * many as u64))));
        }
        self.older_asked += 1;
        self.older_number += 1;
        cursor.older = Older::Asked(self.older_number);
        let wanted = DiskReadRequest { from: cursor.next, id, number: self.older_number };
        self.disk_reads.push(wanted);
        Some(Refilled::Rest(None))
    }

    /// Queues one message of what a session wants of these batches, and keeps the rest of them.
    fn send_older(
        &mut self,
        id: SessionId,
        cursor: &mut CatchUp,
        mut batches: VecDeque<Arc<Batch>>,
    ) -> Refilled {
        let session = &self.sessions[id.slot()];
        let (encoding, positioned) = (session.encoding, session.pos);
        let body_max = self.limits.message_bytes - 3 - usize::from(positioned) * POSITION_BYTES_MAX;
        let mut message = Message::new(encoding, body_max);
        let reached = cursor.pace.map_or(UnixNanos::MAX, |pace| pace.reached(self.now));
        while let Some(batch) = batches.front().filter(|batch| batch.received() <= reached)
            && self.pick(id, cursor, batch, &mut message)
        {
            batches.pop_front();
        }
        let due = cursor.pace.and_then(|pace| {
            let next = batches.front().filter(|batch| batch.received() > reached)?;
            Some(pace.due(next.received()))
        });
        let is_far = due.is_some_and(|due| due.0 > self.now.0 + HELD_NS_MAX);
        if batches.is_empty() || is_far {
            self.older_held -= 1;
        } else {
            cursor.older = Older::Here(batches);
        }
        if message.ticks > 0 {
            let Message { mut frame, ticks, last, .. } = message;
            frame.finish(encoding, ticks, positioned.then_some(last));
            self.stats.ticks_delivered += ticks as u64;
            self.queue_frames(id, frame.frame().to_vec());
            return Refilled::More;
        }
        match due {
            Some(due) => Refilled::Rest(Some(due.max(UnixNanos(self.now.0 + PLAY_INTERVAL_NS)))),
            None => Refilled::Later,
        }
    }

    /// Adds what a session wants of a batch, in which its cursor stands. Says whether it is through with it.
    fn pick(
        &self,
        id: SessionId,
        cursor: &mut CatchUp,
        batch: &Batch,
        message: &mut Message,
    ) -> bool {
        let passed = usize::try_from(cursor.next.0 - batch.first().0).unwrap_or(usize::MAX);
        for numbered in batch.ticks().iter().skip(passed) {
            if cursor.next >= self.view.start() || message.looked_at == LOOKED_AT_MAX {
                return false;
            }
            message.looked_at += 1;
            let key = (numbered.feed, numbered.tick.channel(), numbered.tick.symbol);
            let wanted = batch.received() >= cursor.since
                && self.wants(id, cursor, self.topics.find(&key), numbered, cursor.next);
            if wanted && !message.add(&numbered.tick, cursor.next) {
                return false;
            }
            cursor.next = cursor.next.plus(1);
        }
        true
    }
}

/// A data message for one session.
struct Message {
    encoding: Encoding,
    body_max: usize,
    frame: FrameBuf,
    ticks: usize,
    /// Position of the last of them.
    last: Position,
    /// Ticks that were looked at for it.
    looked_at: usize,
}

impl Message {
    fn new(encoding: Encoding, body_max: usize) -> Self {
        let (frame, last) = (FrameBuf::default(), Position(0));
        Self { encoding, body_max, frame, ticks: 0, last, looked_at: 0 }
    }

    /// Adds a tick, unless there is no room. One that fills a message alone is in one of its own.
    fn add(&mut self, tick: &Tick, at: Position) -> bool {
        let before = self.frame.body_bytes();
        self.frame.append_tick(self.encoding, tick);
        if self.ticks > 0 && self.frame.body_bytes() > self.body_max {
            self.frame.shorten(before);
            return false;
        }
        (self.ticks, self.last) = (self.ticks + 1, at);
        true
    }
}

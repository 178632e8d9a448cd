//! Connects the turn of a shard to the log, the clock and the sockets.

use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::UnixNanos;

use super::ShardTask;
use super::connection::Inbound;
use crate::clock;
use crate::fanout::turn::{LogBreak, Phase, Received, ShardIo, SocketState};
use crate::fanout::{
    Batch, CloseReason, DiskReadRequest, InterestChange, LogOverrun, Position, SessionId, Shard,
};
use crate::serving::shard_handle::DiskReadReply;
use crate::serving::shard_query::QUERIES_PER_TURN;
use crate::websocket::Message;

/// Time from the start of a turn in which batches are applied. Further batches wait for a whole
/// round of writing, so the time is sized for catching up after a pause, not for every turn.
const APPLY_TIME: Duration = Duration::from_millis(5);
/// Least time for reading commands before ticks are written. The time is longer if rounds of
/// writing are long. The last command may exceed it.
const READ_TIME: Duration = Duration::from_millis(1);
/// Least time for sessions that catch up. The time is longer if rounds of writing to live sessions
/// are long.
const CATCH_UP_TIME: Duration = Duration::from_millis(5);
/// Most bytes read from one connection in a turn. A limit on messages would not suffice: a message
/// may have any number of empty fragments.
const READ_BYTES_PER_TURN: usize = 64 * 1024;

impl ShardIo for ShardTask {
    type Message = Message;

    fn shard(&mut self) -> &mut Shard {
        &mut self.core
    }

    fn begin_turn(&mut self) -> UnixNanos {
        self.now = clock::monotonic();
        self.turn_began = self.now;
        self.notice_suspension();
        self.wall()
    }

    fn log_start(&self) -> Position {
        self.timeline.log.start()
    }

    fn log_head(&self) -> Position {
        self.timeline.log.head()
    }

    fn read_log(
        &mut self,
        from: Position,
        batches_max: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak> {
        let log = &self.timeline.log;
        match log.read(from, batches_max, into) {
            Ok(()) => {
                self.ticks_arrived |= !into.is_empty();
                Ok(())
            }
            Err(LogOverrun { start }) if start == log.hole_end() => {
                Err(LogBreak::Hole { end: start })
            }
            Err(overrun) => {
                tracing::warn!(
                    shard = %self.id,
                    "the log has overrun the shard: the shard is too slow or the log too small"
                );
                Err(overrun.into())
            }
        }
    }

    fn begin_phase(&mut self, phase: Phase) {
        let now = clock::monotonic();
        if phase == Phase::WriteCatchingUp {
            self.pacing.record_round(now - self.phase_began);
        }
        self.phase_began = now;
        self.phase_ends = match phase {
            Phase::Read => now + self.pacing.share(READ_TIME),
            Phase::WriteCatchingUp => now + self.pacing.share(CATCH_UP_TIME),
            Phase::Apply | Phase::WriteLive => now,
        };
    }

    fn has_time(&mut self, phase: Phase) -> bool {
        match phase {
            Phase::Apply => clock::monotonic() - self.now <= APPLY_TIME,
            _ => clock::monotonic() < self.phase_ends,
        }
    }

    fn complete_disk_reads(&mut self) {
        let Some(history) = &self.context.history else { return };
        if let Some(disk_index) = history.disk_index_since(&mut self.disk_index_version) {
            self.core.set_disk_index(disk_index);
        }
        for DiskReadReply { request, found } in
            self.answers.drain(..).chain(self.inbox.disk_reads.try_iter())
        {
            self.core.complete_disk_read(request, found);
        }
    }

    fn submit_disk_read(&mut self, request: DiskReadRequest) {
        let history = self.context.history.as_ref();
        if !history.is_some_and(|history| history.ask(self.handle.clone(), request)) {
            self.core.complete_disk_read(request, None);
        }
    }

    fn take_input(&mut self) {
        self.handle_events();
        self.accept();
        self.close_revoked_sessions();
        self.close_evicted_sessions();
        self.report_feed_changes();
    }

    fn begin_reading(&mut self, id: SessionId) {
        if let Some(connection) = self.connection(id) {
            connection.allow_reading(READ_BYTES_PER_TURN);
        }
    }

    fn receive(&mut self, id: SessionId) -> Received<Message> {
        let now = self.now;
        let message_timeout = self.context.config.message_timeout;
        let Some(connection) = self.connection(id) else { return Received::Nothing };
        let inbound = connection.read(now, message_timeout);
        if connection.own_bytes() > 0 {
            self.core.wake(id);
        }
        match inbound {
            Inbound::Message(message) => return Received::Message(message),
            Inbound::ShareUsed => return Received::ShareUsed,
            Inbound::Blocked => {}
            Inbound::Closed => self.answer_close(id),
            Inbound::Ended => self.remove(id),
            Inbound::Violation(reason) => self.close_with_error(id, reason),
        }
        Received::Nothing
    }

    fn handle(&mut self, id: SessionId, message: Message) {
        self.handle_message(id, message);
    }

    fn transport_bytes(&self, id: SessionId) -> usize {
        self.get(id).map_or(0, |connection| connection.own_bytes())
    }

    fn is_authenticated(&self, id: SessionId) -> bool {
        self.get(id).is_none_or(|connection| connection.auth_state.grant().is_some())
    }

    fn answer_queries(&mut self) {
        let count = self.queries.len().min(QUERIES_PER_TURN);
        for query in self.queries.drain(..count) {
            query.answer(&self.core);
        }
    }

    fn begin_writing(&mut self) -> bool {
        self.pacing.rest(self.now).is_none()
    }

    fn poll_between(&mut self) {
        if self.poll.poll(&mut self.events, Some(Duration::ZERO)).is_ok() {
            self.now = clock::monotonic();
            self.phase_ends = self.now + READ_TIME; // reading had its share earlier in the turn
            self.handle_events();
        }
        self.new_connections.extend(self.inbox.connections.try_iter());
        self.accept();
    }

    fn flush(&mut self, id: SessionId) -> SocketState {
        let state = self.flush_own(id);
        self.after_write(id, state)
    }

    fn write(&mut self, id: SessionId, frames: &[u8], ticks: usize) -> SocketState {
        if self.was_replaced(id) {
            return SocketState::Writable; // frames are dropped; the next turn detaches the session
        }
        let state = self.write_frames(id, frames, ticks);
        self.after_write(id, state)
    }

    fn send_close(&mut self, id: SessionId, reason: CloseReason) {
        self.queue_close(id, reason);
    }

    fn finish(&mut self, id: SessionId, reason: CloseReason) {
        self.finish_session(id, reason);
    }

    fn end_writing(&mut self) {
        let ended = clock::monotonic();
        self.pacing.end_round(ended, ended - self.turn_began, !self.core.has_ready());
    }

    fn run_timers(&mut self) {
        self.run_due();
    }

    fn report_interest(&mut self, changes: &[InterestChange]) {
        self.context.topics.apply(self.id.timeline, changes);
        self.client_scan.note_change();
    }
}

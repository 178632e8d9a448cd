//! Writes to connections and ends them.

use std::io;
use std::time::{Duration, Instant};

use super::connection::Stage;
use super::{Connection, ShardTask};
use crate::config::Config;
use crate::fanout::turn::SocketState;
use crate::fanout::{CloseReason, SessionId};
use crate::retry;
use crate::websocket::CloseFrame;

/// Longest time that a peer may take for its part of the closing handshake.
pub(super) const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

impl ShardTask {
    /// Writes the bytes that the connection itself holds, and returns whether frames may follow.
    pub(super) fn flush_own(&mut self, id: SessionId) -> io::Result<SocketState> {
        let Some(connection) =
            self.connections.get_mut(id.0 as usize).and_then(Option::as_deref_mut)
        else {
            return Ok(SocketState::Closed);
        };
        connection.transport().set_fresh(self.core.conflates(id))?;
        if !connection.write_own()? {
            return Ok(SocketState::Blocked);
        }
        match connection.stage {
            Stage::Open | Stage::Finishing { .. } => Ok(SocketState::Writable),
            Stage::CloseSent { .. } => Ok(SocketState::Closing),
            Stage::Discarding { .. } => {
                connection.transport().end_writing();
                Ok(SocketState::Closing)
            }
            Stage::Answering { .. } => {
                self.remove(id);
                Ok(SocketState::Closed)
            }
        }
    }

    /// Writes frames of the core. The connection keeps the bytes that the socket does not take.
    pub(super) fn write_frames(
        &mut self,
        id: SessionId,
        frames: &[u8],
        ticks: usize,
    ) -> io::Result<SocketState> {
        let now = self.now;
        let Some(connection) = self.connection(id) else { return Ok(SocketState::Closed) };
        let all = connection.write(frames, now)?;
        let metrics = &self.handle.metrics;
        metrics.frames.add(1);
        metrics.bytes.add(frames.len() as u64);
        metrics.ticks_per_write.observe(ticks as f64);
        self.pacing.record_write(frames.len());
        Ok(if all { SocketState::Writable } else { SocketState::Blocked })
    }

    /// Handles the result of a write: schedules frequent checks of backlog ages if the session is
    /// blocked, and removes a connection whose write failed.
    pub(super) fn after_write(
        &mut self,
        id: SessionId,
        attempt: io::Result<SocketState>,
    ) -> SocketState {
        match attempt {
            Ok(SocketState::Blocked) => {
                self.watchful = true;
                self.next_sweep = self.next_sweep.min(self.now + super::timers::WATCHFUL_INTERVAL);
                SocketState::Blocked
            }
            Ok(state) => state,
            Err(error) => {
                tracing::debug!(%error, "cannot write to a connection");
                self.remove(id);
                SocketState::Closed
            }
        }
    }

    /// Queues the close frame of a session whose pending data has been sent. A slow peer keeps the
    /// rest of its grace period, since it has not yet read what the kernel holds for it.
    pub(super) fn queue_close(&mut self, id: SessionId, reason: CloseReason) {
        let mut deadline = self.now + CLOSE_TIME_MAX;
        let frame = close_frame(reason, &self.context.config);
        if let Some(connection) = self.connection(id) {
            if let Stage::Finishing { reason: CloseReason::SlowClient, deadline: grace } =
                connection.stage
            {
                deadline = deadline.max(grace);
            }
            connection.close(&frame);
            self.set_stage(id, Stage::CloseSent { reason, deadline });
        }
    }

    /// Ends a session after its pending data is sent. A slow session is sent only its error.
    pub(super) fn finish_session(&mut self, id: SessionId, reason: CloseReason) {
        let from = match (&self.drain, reason) {
            (Some(drain), CloseReason::Shutdown) => drain.until.max(self.now),
            _ => self.now,
        };
        let deadline = from + self.context.config.slow_grace;
        self.core.finish(id, reason);
        self.set_stage(id, Stage::Finishing { reason, deadline });
    }

    /// Answers the close frame of the peer, then ends the connection.
    pub(super) fn answer_close(&mut self, id: SessionId) {
        match self.connection(id).map(|connection| connection.stage) {
            Some(Stage::CloseSent { .. }) => self.remove(id),
            Some(_) => {
                let deadline = self.now + CLOSE_TIME_MAX;
                self.set_stage(id, Stage::Answering { deadline });
                self.core.detach(id);
            }
            None => {}
        }
    }

    /// Sends a close frame to a peer that violated the protocol or exceeded a limit, then ends the
    /// connection.
    pub(super) fn close_with_error(&mut self, id: SessionId, reason: CloseReason) {
        let deadline = self.now + CLOSE_TIME_MAX;
        let frame = close_frame(reason, &self.context.config);
        if let Some(connection) = self.connection(id) {
            connection.close(&frame);
            connection.drop_messages();
            self.set_stage(id, Stage::Discarding { reason, deadline });
            self.core.detach(id);
            self.core.read_later(id); // no event reports input that has already arrived
        }
    }

    /// Sets the stage of a connection and notes its deadline.
    fn set_stage(&mut self, id: SessionId, stage: Stage) {
        if let Some(connection) = self.connection(id) {
            connection.stage = stage;
            self.note_deadline(stage.deadline());
        }
    }

    /// Schedules a sweep for the deadline.
    pub(super) fn note_deadline(&mut self, deadline: Option<Instant>) {
        self.earliest_deadline = self.earliest_deadline.into_iter().chain(deadline).min();
    }

    /// Removes a connection immediately and closes its session.
    pub(super) fn remove(&mut self, id: SessionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize).and_then(Option::take)
        else {
            return;
        };
        let reason = connection.stage.reason();
        let metrics = &self.handle.metrics;
        metrics.closes[reason as usize].add(1);
        metrics.assigned.sub(1);
        tracing::debug!(reason = reason.label(), "session ended");
        self.core.close(id);
        drop::<Box<Connection>>(connection); // closing the socket removes it from the poll
    }

    /// Removes a connection immediately and drops the bytes that the kernel holds for it.
    pub(super) fn abort(&mut self, id: SessionId) {
        if let Some(connection) = self.connection(id) {
            connection.transport().abort_on_close();
        }
        self.remove(id);
    }
}

fn close_frame(reason: CloseReason, config: &Config) -> CloseFrame {
    let text = match reason {
        CloseReason::Shutdown => {
            retry::close_text(retry::session_retry_delay(config.drain_duration))
        }
        reason => reason.label().to_owned(),
    };
    CloseFrame { code: reason.code(), reason: text }
}

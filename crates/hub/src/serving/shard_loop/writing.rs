//! Writing, and the ways a connection ends.

use std::io;
use std::time::{Duration, Instant};

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use super::connection::Stage;
use super::{Connection, ShardTask};
use crate::config::Config;
use crate::fanout::turn::SocketState;
use crate::fanout::{CloseReason, SessionId};
use crate::retry;

/// How long a peer may take over its part of the closing handshake.
pub(super) const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

impl ShardTask {
    /// Writes what a connection holds itself, and says what may follow.
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

    /// Writes frames of the core's, and keeps what the socket does not take.
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
        self.pacing.wrote(frames.len());
        Ok(if all { SocketState::Writable } else { SocketState::Blocked })
    }

    /// Draws the conclusions from an attempt to write.
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
                tracing::debug!(%error, "a connection broke while writing");
                self.remove(id);
                SocketState::Closed
            }
        }
    }

    /// Puts the close frame of a session that has been sent everything behind what is being sent.
    pub(super) fn queue_close(&mut self, id: SessionId, reason: CloseReason) {
        let deadline = self.now + CLOSE_TIME_MAX;
        let frame = close_frame(reason, &self.context.config);
        if let Some(connection) = self.connection(id) {
            connection.close(frame);
            self.set_stage(id, Stage::CloseSent { reason, deadline });
        }
    }

    /// Ends a session in order: what is pending (of a slow one: its error) goes first.
    pub(super) fn finish_session(&mut self, id: SessionId, reason: CloseReason) {
        let from = match (&self.drain, reason) {
            (Some(drain), CloseReason::Shutdown) => drain.until.max(self.now),
            _ => self.now,
        };
        let deadline = from + self.context.config.slow_grace;
        self.core.finish(id, reason);
        self.set_stage(id, Stage::Finishing { reason, deadline });
    }

    /// The peer has closed: our answer goes out, then the connection ends.
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

    /// The peer broke the protocol: it is told so, then the connection ends.
    pub(super) fn tell_off(&mut self, id: SessionId, reason: CloseReason) {
        let deadline = self.now + CLOSE_TIME_MAX;
        let frame = close_frame(reason, &self.context.config);
        if let Some(connection) = self.connection(id) {
            connection.close(frame);
            self.set_stage(id, Stage::Discarding { reason, deadline });
            self.core.detach(id);
            self.core.read_later(id); // no event tells of what has already arrived
        }
    }

    fn set_stage(&mut self, id: SessionId, stage: Stage) {
        if let Some(connection) = self.connection(id) {
            connection.stage = stage;
            self.note_deadline(stage.deadline());
        }
    }

    pub(super) fn note_deadline(&mut self, deadline: Option<Instant>) {
        self.earliest_deadline = self.earliest_deadline.into_iter().chain(deadline).min();
    }

    /// Ends a connection now.
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
        drop::<Box<Connection>>(connection); // closing the socket takes it out of the poll
    }

    /// Ends a connection now, and drops what the kernel holds for it.
    pub(super) fn cut(&mut self, id: SessionId) {
        if let Some(connection) = self.connection(id) {
            connection.transport().cut();
        }
        self.remove(id);
    }
}

fn close_frame(reason: CloseReason, config: &Config) -> CloseFrame {
    let text = match reason {
        CloseReason::Shutdown => {
            retry::close_text(retry::session_retry_delay(config.drain_duration)).into()
        }
        reason => reason.label().into(),
    };
    CloseFrame { code: CloseCode::from(reason.code()), reason: text }
}

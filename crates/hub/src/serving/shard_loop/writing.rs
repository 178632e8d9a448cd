//! Writing, and the ways a connection ends.

use std::io;
use std::time::{Duration, Instant};

use mio::Events;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use super::connection::{Reading, Stage};
use super::{Connection, ShardTask};
use crate::clock;
use crate::config::Config;
use crate::fanout::{CloseReason, NextWrite, SessionId};
use crate::retry;

/// Writes to one session before the others get their turn. Each holds one message.
const WRITES_PER_SHARE: usize = 4;
/// Sessions written before reads and accepts get their turn.
const SESSIONS_PER_SHARE: usize = 256;
/// Time of a turn for the sessions that catch up, unless writing to the live ones takes long.
const CATCH_UP_TIME: Duration = Duration::from_millis(5);
/// How long a peer may take over its part of the closing handshake.
pub(super) const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// What came of writing to a session.
enum Outcome {
    /// Nothing is left, or the core knows why it has to wait.
    Done,
    /// More is left, but it has had its share.
    ShareUsed,
    /// The connection has ended.
    Ended,
}

impl ShardTask {
    /// Writes to every session that has something pending, beginning somewhere else each time.
    pub(super) fn write_ready(&mut self, events: &mut Events) {
        let began = clock::monotonic();
        let mut ready = self.core.take_ready();
        self.rotation = self.rotation.wrapping_add(SESSIONS_PER_SHARE + 1);
        let start = self.rotation % ready.len().max(1);
        ready.rotate_left(start);
        for (count, id) in ready.into_iter().enumerate() {
            if count % SESSIONS_PER_SHARE == SESSIONS_PER_SHARE - 1 {
                self.poll_between(events);
            }
            self.serve(id);
        }
        let ended = clock::monotonic();
        self.pacing.round_took(ended - began);
        self.write_catching_up(ended);
    }

    /// Gives the sessions that catch up the time that the live ones can spare.
    fn write_catching_up(&mut self, now: Instant) {
        let until = now + self.pacing.share(CATCH_UP_TIME);
        while let Some(id) = self.core.next_catching_up() {
            self.serve(id);
            if clock::monotonic() >= until {
                return;
            }
        }
    }

    /// Writes a session its share.
    fn serve(&mut self, id: SessionId) {
        if !self.core.is_ready(id) {
            return; // closed since
        }
        match self.write_session(id) {
            Ok(Outcome::Done) => {}
            Ok(Outcome::ShareUsed) => self.core.requeue(id),
            Ok(Outcome::Ended) => self.remove(id),
            Err(error) => {
                tracing::debug!(%error, "a connection broke while writing");
                self.remove(id);
            }
        }
    }

    /// Lets reads and accepts have their turn amid a long round of writing.
    fn poll_between(&mut self, events: &mut Events) {
        if self.poll.poll(events, Some(Duration::ZERO)).is_ok() {
            self.now = clock::monotonic();
            self.allow_reading_between();
            self.handle_events(events);
        }
        self.arrived.extend(self.inbox.connections.try_iter());
        self.accept();
    }

    fn write_session(&mut self, id: SessionId) -> io::Result<Outcome> {
        let slot = id.0 as usize;
        for _ in 0..WRITES_PER_SHARE {
            let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_deref_mut)
            else {
                return Ok(Outcome::Done);
            };
            connection.transport().set_fresh(self.core.conflates(id))?;
            if !connection.write_own()? {
                self.blocked(id);
                return Ok(Outcome::Done);
            }
            match connection.stage {
                Stage::Answering { .. } => return Ok(Outcome::Ended),
                Stage::Discarding { .. } => {
                    connection.transport().end_writing();
                    self.core.idle(id);
                    return Ok(Outcome::Done);
                }
                Stage::CloseSent { .. } => {
                    self.core.idle(id);
                    return Ok(Outcome::Done);
                }
                Stage::Open | Stage::Finishing { .. } => {}
            }
            match self.core.next_write(id, &mut self.frame) {
                NextWrite::Frames { ticks } => {
                    let frames = self.frame.frame();
                    let all = connection.write(frames, self.now)?;
                    let metrics = &self.handle.metrics;
                    metrics.frames.add(1);
                    metrics.bytes.add(frames.len() as u64);
                    metrics.ticks_per_write.observe(ticks as f64);
                    self.pacing.wrote(frames.len());
                    if !all {
                        self.blocked(id);
                        return Ok(Outcome::Done);
                    }
                }
                NextWrite::Idle => return Ok(Outcome::Done),
                NextWrite::Later => return Ok(Outcome::ShareUsed),
                NextWrite::Lagged => self.finish(id, CloseReason::SlowClient),
                NextWrite::Ended(reason) => {
                    let deadline = self.now + CLOSE_TIME_MAX;
                    connection.close(close_frame(reason, &self.context.config));
                    self.set_stage(id, Stage::CloseSent { reason, deadline });
                }
            }
        }
        Ok(Outcome::ShareUsed)
    }

    fn blocked(&mut self, id: SessionId) {
        self.core.blocked(id);
        self.watchful = true;
        self.next_sweep = self.next_sweep.min(self.now + super::timers::WATCHFUL_INTERVAL);
    }

    /// Ends a session in order: what is pending (of a slow one: its error) goes first.
    pub(super) fn finish(&mut self, id: SessionId, reason: CloseReason) {
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
            self.read_later(id, Reading::Queued); // no event tells of what has already arrived
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

//! The queue of frames that hold no live ticks: answers, snapshots, gaps, errors.

use tickwire_protocol::{Control, Encoding, ErrorCode};

use super::super::{SessionId, frame};
use super::Shard;
use super::session::ControlFrames;

/// Size of control frames in one write, in bytes. The part of a write that the socket does not
/// accept is copied, so this bounds what a session holds besides its queue.
pub(super) const CONTROL_WRITE_BYTES: usize = 64 * 1024;

impl Shard {
    /// Queues a control element after everything that is pending.
    pub fn control(&mut self, id: SessionId, control: &Control) {
        let encoding = self.sessions[id].encoding;
        let mut frames = Vec::new();
        frame::write_message(encoding, &mut frames, |out| control.write_message(encoding, out));
        self.queue_frames(id, frames);
    }

    /// Queues control elements, each in a message of its own, after everything that is pending.
    pub(super) fn controls(&mut self, id: SessionId, controls: &[Control]) {
        for frames in encode_controls(self.sessions[id].encoding, controls) {
            self.queue_frames(id, frames);
        }
    }

    /// Queues control elements, each in a message of its own, before everything that is pending.
    pub(super) fn controls_first(&mut self, id: SessionId, controls: &[Control]) {
        let pieces = encode_controls(self.sessions[id].encoding, controls);
        for frames in pieces.into_iter().rev() {
            self.queue_first(id, frames);
        }
    }

    /// Queues a message with any payload after everything that is pending. The encoding decides
    /// whether the message is text or binary.
    pub fn message(&mut self, id: SessionId, encoding: Encoding, payload: &[u8]) {
        let mut frame = Vec::new();
        frame::write_message(encoding, &mut frame, |out| out.extend_from_slice(payload));
        self.queue_frames(id, frame);
    }

    pub(super) fn send_error(
        &mut self,
        id: SessionId,
        command: Option<u64>,
        code: ErrorCode,
        detail: Option<String>,
    ) {
        self.control(id, &Control::Error { code, detail, id: command });
    }

    /// Returns the bytes of control frames that are pending for a session; 0 if it has closed.
    #[must_use]
    pub fn control_bytes(&self, id: SessionId) -> usize {
        self.sessions.get(id).map_or(0, |session| session.control_bytes)
    }

    /// Returns whether a session may be sent more answers: it has at most `bytes_max` bytes
    /// pending and no command in progress, its client does not exceed its share of commands in
    /// progress, and all sessions together do not exceed their limit.
    pub(super) fn may_send_answers(&self, id: SessionId, bytes_max: usize) -> bool {
        let Some(session) = self.sessions.get(id) else { return true };
        session.control_bytes <= bytes_max
            && session.held_at.is_none()
            && self.long_commands.may_add(session.client)
            && self.stats.control_bytes <= self.limits.total_control_bytes
    }

    /// Queues frames after everything that is pending.
    pub(super) fn queue_frames(&mut self, id: SessionId, frames: Vec<u8>) {
        let queued = self.now;
        let (session, hot) = self.sessions.both_mut(id);
        let after = session.sent + hot.backlog.len() as u64;
        session.control_bytes += frames.len();
        self.stats.control_bytes += frames.len();
        session.control.push_back(ControlFrames { after, queued, is_answer: false, frames });
        self.wake(id);
    }

    fn queue_first(&mut self, id: SessionId, frames: Vec<u8>) {
        let queued = self.now;
        let session = &mut self.sessions[id];
        let after = session.sent;
        session.control_bytes += frames.len();
        self.stats.control_bytes += frames.len();
        session.control.push_front(ControlFrames { after, queued, is_answer: false, frames });
    }
}

/// Returns the frames of control elements, in pieces that each fit into one write.
pub(super) fn encode_controls(encoding: Encoding, controls: &[Control]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for control in controls {
        if piece.len() > CONTROL_WRITE_BYTES {
            pieces.push(std::mem::take(&mut piece));
        }
        frame::write_message(encoding, &mut piece, |out| control.write_message(encoding, out));
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

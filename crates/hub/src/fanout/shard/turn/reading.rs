//! Reading in a turn: commands of sessions, each up to its share.

use std::mem;

use super::super::super::SessionId;
use super::super::Shard;
use super::super::input_queue::InputState;
use super::{Phase, ShardIo, follow_log_to_head};

/// The result of reading from a session.
#[derive(Debug)]
pub enum Received<M> {
    /// A message.
    Message(M),
    /// Nothing: there is no more for now, or the session has ended.
    Nothing,
    /// There may be more, but the session has read its share of bytes.
    ShareUsed,
}

impl Shard {
    /// Returns whether any session has unread input that no socket event will announce.
    #[must_use]
    pub const fn has_unread(&self) -> bool {
        !self.input.queued.is_empty()
    }

    /// Queues a session to be read in the next turn, because no socket event may announce its
    /// input.
    pub fn read_later(&mut self, id: SessionId) {
        if self.set_input(id, InputState::OnArrival, InputState::Queued) {
            self.input.queued.push(id);
        }
    }

    fn pause_commands(&mut self, id: SessionId) {
        if self.set_input(id, InputState::OnArrival, InputState::Paused) {
            self.input.paused.push(id);
        }
    }

    fn is_paused(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_some_and(|session| session.input == InputState::Paused)
    }

    /// Changes a session's state if it is the expected one. Returns whether it was.
    fn set_input(&mut self, id: SessionId, from: InputState, to: InputState) -> bool {
        let session = self.sessions.get_mut(id).filter(|session| session.input == from);
        session.map(|session| session.input = to).is_some()
    }
}

/// Reads and handles the messages of a session, up to its share of the turn.
pub fn read_session<I: ShardIo>(io: &mut I, id: SessionId) {
    io.begin_reading(id);
    for _ in 0..io.limits().messages_per_session {
        if !io.has_time(Phase::Read) {
            break;
        }
        if !may_send_commands(io, id) {
            return io.shard().pause_commands(id);
        }
        match io.receive(id) {
            Received::Message(message) => {
                follow_log_to_head(io);
                io.handle(id, message);
            }
            Received::Nothing => return,
            Received::ShareUsed => break,
        }
    }
    io.shard().read_later(id);
}

/// Reads the sessions that used up their share of an earlier turn.
pub(super) fn read_queued<I: ShardIo>(io: &mut I) {
    let mut waiting = mem::take(&mut io.shard().input.queued).into_iter();
    while io.has_time(Phase::Read)
        && let Some(id) = waiting.next()
    {
        if io.shard().set_input(id, InputState::Queued, InputState::OnArrival) {
            read_session(io, id);
        }
    }
    // Sessions that were not read come before those that were and want more.
    let queued = &mut io.shard().input.queued;
    let again = mem::replace(queued, waiting.collect());
    queued.extend(again);
}

/// Queues those paused sessions to be read in the next turn that have fetched enough of their
/// answers.
pub(super) fn resume_paused<I: ShardIo>(io: &mut I) {
    for id in mem::take(&mut io.shard().input.paused) {
        if !io.shard().is_paused(id) {
            continue; // it has closed
        }
        if !may_send_commands(io, id) {
            io.shard().input.paused.push(id);
        } else if io.shard().set_input(id, InputState::Paused, InputState::Queued) {
            io.shard().input.queued.push(id);
        }
    }
}

/// Returns whether a session has fetched enough of its answers to send more commands.
fn may_send_commands<I: ShardIo>(io: &mut I, id: SessionId) -> bool {
    let limits = io.limits();
    let bytes_max = match io.is_authenticated(id) {
        true => limits.session_control_bytes,
        false => limits.unauthenticated_control_bytes,
    };
    io.transport_bytes(id) <= bytes_max && io.shard().may_send_answers(id, bytes_max)
}

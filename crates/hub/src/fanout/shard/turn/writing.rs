//! Writing in a turn: live sessions first, then those that catch up, each up to its share.

use super::super::super::{FrameBuf, SessionId};
use super::super::close_reason::CloseReason;
use super::super::write::NextWrite;
use super::{Phase, ShardIo};

/// What a session's socket accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketState {
    /// More data.
    Writable,
    /// Nothing more until [`Shard::writable`](super::Shard::writable).
    Blocked,
    /// No more frames of the shard: the connection is closing.
    Closing,
    /// Nothing: the session has been closed.
    Closed,
}

/// Writes to all sessions that have pending data.
pub(super) fn write_sessions<I: ShardIo>(io: &mut I) {
    io.begin_phase(Phase::WriteLive);
    if !io.shard().has_ready() {
        return io.begin_phase(Phase::WriteCatchingUp);
    }
    let mut frame = io.shard().frame.take().unwrap_or_default();
    write_live(io, &mut frame);
    io.begin_phase(Phase::WriteCatchingUp);
    write_catching_up(io, &mut frame);
    io.shard().frame = Some(frame);
}

fn write_live<I: ShardIo>(io: &mut I, frame: &mut FrameBuf) {
    let sessions_per_poll = io.limits().sessions_per_poll;
    let ready = io.shard().ready.take_live(sessions_per_poll + 1);
    for (count, id) in ready.into_iter().enumerate() {
        if count % sessions_per_poll == sessions_per_poll - 1 {
            io.poll_between();
        }
        write_session(io, id, frame);
    }
}

/// Writes to sessions that catch up, in the time that the live ones leave. At least one of them
/// gets a write.
fn write_catching_up<I: ShardIo>(io: &mut I, frame: &mut FrameBuf) {
    while let Some(id) = io.shard().next_catching_up() {
        write_session(io, id, frame);
        if !io.has_time(Phase::WriteCatchingUp) {
            return;
        }
    }
}

/// Writes to a session, up to its share of the turn.
#[inline(always)] // a call costs as much as everything else that is done here per session
fn write_session<I: ShardIo>(io: &mut I, id: SessionId, frame: &mut FrameBuf) {
    if !io.shard().is_ready(id) {
        return; // it has closed in this turn
    }
    for _ in 0..io.limits().writes_per_session {
        match io.flush(id) {
            SocketState::Writable => {}
            state => return stop_writing(io, id, state),
        }
        match io.next_write(id, frame) {
            NextWrite::Frames { ticks } => match io.write(id, frame.frame(), ticks) {
                SocketState::Writable => {}
                state => return stop_writing(io, id, state),
            },
            NextWrite::Idle => return,
            NextWrite::Yield => break,
            NextWrite::Lagged => io.finish(id, CloseReason::SlowClient),
            NextWrite::Ended(reason) => io.send_close(id, reason),
        }
    }
    io.shard().requeue(id);
}

#[cold]
fn stop_writing<I: ShardIo>(io: &mut I, id: SessionId, state: SocketState) {
    match state {
        SocketState::Blocked => io.shard().blocked(id),
        SocketState::Closing => io.shard().idle(id),
        SocketState::Writable | SocketState::Closed => {}
    }
}

//! The turn of a shard: the only place that knows the order of its steps.
//!
//! [`run`] drives one turn. What a turn needs from outside (the log, a clock, sockets) it asks of a
//! [`ShardIo`], so that the server, the simulation, the model tests, the fuzzer and the benchmarks
//! all take the same steps in the same order:
//!
//! 1. Begin: take the time, release batches that have left the log, wake paced sessions.
//! 2. Apply new batches, if no session is in a hurry for them (then nothing else has done so).
//! 3. Take the results of disk reads.
//! 4. Read: sessions with unread input, then new input and new connections; then remove some names
//!    of sessions that have ended, and carry out some pieces of commands over many topics.
//! 5. Apply new batches, at most [`TurnLimits::batches`] and for as long as there is time.
//! 6. Answer queries, shed load, end sessions that lag.
//! 7. Write to every live session that has something pending, starting elsewhere in each turn; then
//!    to sessions that catch up, for as long as there is time; then request disk reads.
//! 8. Let sessions that have fetched their answers send commands again, run timers, report some
//!    changes in the numbers of subscribers.

mod reading;
mod writing;

use std::mem;
use std::sync::Arc;

use tickwire_protocol::UnixNanos;

use super::super::log::LogOverrun;
use super::super::{Batch, DiskReadRequest, FrameBuf, Position, SessionId};
use super::Shard;
use super::close_reason::CloseReason;
use super::interest::InterestChange;
use super::write::NextWrite;

pub use reading::{Received, read_session};
pub use writing::SocketState;

/// Bytes of answers that may be pending in one session, pongs included, before its commands wait.
pub const SESSION_CONTROL_BYTES: usize = 256 * 1024;
/// Like [`SESSION_CONTROL_BYTES`], but for a session that has not authenticated: it can only cause
/// some errors and pongs.
pub const UNAUTHENTICATED_CONTROL_BYTES: usize = 4 * 1024;
/// Bytes of answers that may be pending in all sessions of a shard before their commands wait. The
/// shard ends the blocked sessions that hold most of them, so the wait is short.
pub const SHARD_CONTROL_BYTES: usize = 64 << 20;
/// See [`Limits::topics_per_piece`](super::Limits::topics_per_piece): a piece takes less than a
/// millisecond.
pub const TOPICS_PER_PIECE: usize = 2_048;

/// Limits of each kind of work in a turn.
#[derive(Debug, Clone, Copy)]
pub struct TurnLimits {
    /// Batches applied before sessions are written.
    pub batches: usize,
    /// Batches applied between two readings of the clock.
    pub batches_per_look: usize,
    /// Messages read from one session before others get their turn.
    pub messages_per_session: usize,
    /// Messages written to one session before others get their turn.
    pub writes_per_session: usize,
    /// Live sessions written before [`ShardIo::poll_between`] is called once.
    pub sessions_per_poll: usize,
    /// See [`SESSION_CONTROL_BYTES`].
    pub session_control_bytes: usize,
    /// See [`UNAUTHENTICATED_CONTROL_BYTES`].
    pub unauthenticated_control_bytes: usize,
}

impl TurnLimits {
    /// The limits of a running hub. Tests use smaller ones, to reach them.
    pub const DEFAULT: Self = Self {
        batches: 1_024,
        batches_per_look: 64,
        messages_per_session: 64,
        writes_per_session: 4,
        sessions_per_poll: 256,
        session_control_bytes: SESSION_CONTROL_BYTES,
        unauthenticated_control_bytes: UNAUTHENTICATED_CONTROL_BYTES,
    };
}

/// Parts of a turn that are bounded by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Batches of the log are applied.
    Apply,
    /// Messages of sessions are read.
    Read,
    /// Live sessions are written: all of them, however long that takes.
    WriteLive,
    /// Sessions that catch up are written.
    WriteCatchingUp,
}

/// Why a shard cannot continue at its position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogBreak {
    /// The shard was too slow: the ticks have left the log.
    Overrun(LogOverrun),
    /// Ticks before `end` never reached this log, so that no shard can read them. The log of a
    /// delayed timeline has such a hole when ticks are evicted from the live log before they are
    /// due.
    Hole {
        /// Position of the first tick after the hole.
        end: Position,
    },
}

impl From<LogOverrun> for LogBreak {
    fn from(overrun: LogOverrun) -> Self {
        Self::Overrun(overrun)
    }
}

/// The environment of a shard in a turn: its log, its clock and the connections of its sessions.
///
/// [`run`] calls the methods; an implementation calls back into its [`Shard`] for commands, new
/// sessions and sessions that have closed.
pub trait ShardIo {
    /// A message of a session.
    type Message;

    /// Returns the shard.
    fn shard(&mut self) -> &mut Shard;

    /// Returns the limits of a turn.
    fn limits(&self) -> TurnLimits {
        TurnLimits::DEFAULT
    }

    /// Begins a turn and returns its time.
    fn begin_turn(&mut self) -> UnixNanos;

    /// Returns the position of the oldest tick in the log.
    fn log_start(&self) -> Position;

    /// Returns the position after the newest tick in the log.
    fn log_head(&self) -> Position;

    /// Appends to `into` at most `batches_max` batches of the log, from a position on.
    ///
    /// # Errors
    /// Fails if the log does not continue at that position.
    fn read_log(
        &mut self,
        from: Position,
        batches_max: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak>;

    /// Begins a phase of the turn, and the time that the phase may take.
    fn begin_phase(&mut self, _phase: Phase) {}

    /// Returns whether a phase may continue.
    fn has_time(&mut self, _phase: Phase) -> bool {
        true
    }

    /// Passes what has been read from disk to [`Shard::complete_disk_read`].
    fn complete_disk_reads(&mut self) {}

    /// Requests a read of ticks from disk. Without a disk, completes the read with nothing found.
    fn submit_disk_read(&mut self, request: DiskReadRequest) {
        self.shard().complete_disk_read(request, None);
    }

    /// Accepts connections and calls [`read_session`] for sessions that have sent something.
    fn take_input(&mut self) {}

    /// Prepares for reading from a session: renews the number of bytes that may be read from it in
    /// this turn.
    fn begin_reading(&mut self, _id: SessionId) {}

    /// Reads the next message of a session.
    fn receive(&mut self, id: SessionId) -> Received<Self::Message>;

    /// Handles a message of a session.
    fn handle(&mut self, id: SessionId, message: Self::Message);

    /// Returns the pending bytes of a session that the shard does not count: partly written frames,
    /// pongs.
    fn transport_bytes(&self, _id: SessionId) -> usize {
        0
    }

    /// Returns whether a session has authenticated.
    fn is_authenticated(&self, _id: SessionId) -> bool {
        true
    }

    /// Answers queries that do not come from sessions.
    fn answer_queries(&mut self) {}

    /// Returns whether sessions are written in this turn. If not, a later turn writes more at once.
    fn begin_writing(&mut self) -> bool {
        true
    }

    /// Polls the sockets during a long round of writing.
    fn poll_between(&mut self) {}

    /// Writes the bytes that the transport itself holds for a session, before any frame of the
    /// shard.
    fn flush(&mut self, id: SessionId) -> SocketState;

    /// Builds the next write of a session. Tests override this method to observe it.
    fn next_write(&mut self, id: SessionId, frame: &mut FrameBuf) -> NextWrite {
        self.shard().next_write(id, frame)
    }

    /// Writes complete frames that contain `ticks` ticks. Keeps the part that the socket does not
    /// accept.
    fn write(&mut self, id: SessionId, frames: &[u8], ticks: usize) -> SocketState;

    /// Queues the close frame of a session after its pending data is sent. The next flush writes
    /// the frame; the session must stay open until then.
    fn send_close(&mut self, id: SessionId, reason: CloseReason);

    /// Ends a session cleanly: calls [`Shard::finish`]. The session must stay open for now.
    fn finish(&mut self, id: SessionId, reason: CloseReason);

    /// Ends the round of writing: all ready sessions were written.
    fn end_writing(&mut self) {}

    /// Runs the timers that are due.
    fn run_timers(&mut self) {}

    /// Reports changes in the numbers of subscribers.
    fn report_interest(&mut self, _changes: &[InterestChange]) {}
}

/// Runs one turn of a shard. See the module for its steps.
pub fn run<I: ShardIo>(io: &mut I) {
    begin(io);
    if !io.shard().is_eager() {
        follow_log(io); // no tick has woken the shard, but commands refer to the present
    }
    io.complete_disk_reads();
    io.begin_phase(Phase::Read);
    reading::read_queued(io);
    io.take_input();
    run_pieces(io);
    follow_log(io);
    io.answer_queries();
    io.shard().shed_load();
    end_lagged(io);
    if io.begin_writing() {
        writing::write_sessions(io);
        while let Some(request) = io.shard().begin_disk_read() {
            io.submit_disk_read(request);
        }
        io.end_writing();
    }
    reading::resume_paused(io);
    io.run_timers();
    if !io.shard().interest.is_empty() {
        let changes = io.shard().take_interest_changes();
        io.report_interest(&changes);
    }
}

/// Continues commands over many topics, piece by piece, and removes names of sessions that have
/// ended: one piece of each at least.
fn run_pieces<I: ShardIo>(io: &mut I) {
    io.shard().continue_leaving();
    while io.shard().continue_command() && io.has_time(Phase::Read) {}
}

/// Applies the current content of the log, before the first session is served.
pub fn take_up_log<I: ShardIo>(io: &mut I) {
    while io.shard().head() != io.log_head() {
        begin(io);
        follow_log(io);
    }
}

/// Finds sessions whose pending data is too old, and ends them. A few calls a second are enough.
/// Returns whether any session is blocked, so that another check soon makes sense.
pub fn check_ages<I: ShardIo>(io: &mut I) -> bool {
    let is_any_blocked = io.shard().check_ages();
    end_lagged(io);
    is_any_blocked
}

fn begin<I: ShardIo>(io: &mut I) {
    let now = io.begin_turn();
    let log_start = io.log_start();
    io.shard().begin_turn(now, log_start);
}

/// Applies new batches of the log, up to the limit of a turn.
fn follow_log<I: ShardIo>(io: &mut I) {
    let limits = io.limits();
    let mut batches = mem::take(&mut io.shard().batches);
    let mut applied = 0;
    while applied < limits.batches {
        let from = io.shard().head();
        let at_once = limits.batches_per_look.min(limits.batches - applied);
        match io.read_log(from, at_once, &mut batches) {
            Ok(()) if batches.is_empty() => break,
            Ok(()) => {}
            Err(LogBreak::Overrun(LogOverrun { start })) => io.shard().on_log_overrun(start),
            Err(LogBreak::Hole { end }) => io.shard().on_log_hole(end),
        }
        applied += batches.len();
        for batch in batches.drain(..) {
            io.shard().apply(batch);
        }
        if !io.has_time(Phase::Apply) {
            break;
        }
    }
    io.shard().batches = batches;
}

/// Applies all batches of the log, however long that takes: a command may refer to ticks that
/// another shard has already sent.
fn follow_log_to_head<I: ShardIo>(io: &mut I) {
    let head = io.log_head();
    while io.shard().head() < head {
        follow_log(io);
    }
    end_lagged(io); // sessions that continue with `latest` must do so before their next command
}

/// Ends the sessions that lag, except those that continue with `latest`.
fn end_lagged<I: ShardIo>(io: &mut I) {
    for id in io.shard().take_lagged() {
        io.finish(id, CloseReason::SlowClient);
    }
}

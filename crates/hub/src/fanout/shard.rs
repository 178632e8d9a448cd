//! The sessions of one thread: their subscriptions and pending data.
//!
//! [`turn::run`] drives a [`Shard`]. A turn applies new batches of the log to the backlogs of
//! sessions (`apply`), carries out commands (`commands`), and builds frames (`write`). A session
//! whose socket is too slow lags (`lag`): it ends, or continues with `latest` (`downgrade`). A
//! session that resumes or replays catches up first (`catch_up`, `disk_backfill`).

mod acks;
mod apply;
mod backlog;
mod catch_up;
pub(super) mod client_names;
pub(super) mod close_reason;
mod commands;
mod control_queue;
mod delivery;
mod disk_backfill;
mod downgrade;
mod gaps;
mod input_queue;
pub(super) mod interest;
mod lag;
mod leaving_sessions;
mod log_coverage;
mod log_window;
mod long_commands;
mod lost_ticks;
mod pending_interest;
mod ready_queue;
mod refusal;
mod resume;
mod resume_wildcards;
pub(super) mod session;
mod session_table;
pub(super) mod shared_limit;
mod snapshot;
mod subscriber;
mod subscriptions;
#[cfg(test)]
mod tests;
mod topics;
pub mod turn;
pub(super) mod write;

use std::collections::VecDeque;
use std::sync::Arc;

use tickwire_protocol::{Encoding, PerChannel, Tick, UnixNanos};

use super::history::disk_reads::DiskReads;
use super::latest::timer_wheel::TimerWheel;
use super::{Batch, ClientId, FeedId, FrameBuf, LastTick, Position, SessionId, TopicKey};
use close_reason::CloseReason;
use input_queue::{InputQueue, InputState};
use interest::InterestChange;
use lag::Lagged;
use leaving_sessions::LeavingSessions;
use log_coverage::LogCoverage;
use log_window::LogWindow;
use long_commands::LongCommands;
use pending_interest::PendingInterest;
use ready_queue::ReadyQueue;
use session::{Acks, DeliveryState, Session, WriteState};
use session_table::SessionTable;
use shared_limit::SharedLimit;
use subscriber::Subscriber;
use topics::Topics;

/// Limits of one shard.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Number of feeds.
    pub feeds: usize,
    /// Largest number of subscriptions of one session.
    pub subscriptions_per_session: usize,
    /// Largest number of subscriptions of all sessions together.
    pub subscriptions: usize,
    /// Largest number of topics that have subscribers but have never ticked.
    pub waiting_topics: usize,
    /// Largest number of ticks that may be pending in one session.
    pub backlog_ticks: usize,
    /// Largest number of ticks that may be pending in all sessions together.
    pub total_backlog_ticks: u64,
    /// Largest number of bytes of control frames that may be pending in all sessions together.
    pub total_control_bytes: usize,
    /// Largest age of a pending tick, in nanoseconds.
    pub backlog_age_ns: u64,
    /// Largest payload of a data message, in bytes.
    pub message_bytes: usize,
    /// Largest number of topics that a command, or the end of a session, handles before other
    /// sessions get their turn.
    pub topics_per_piece: usize,
}

/// What a shard has done, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Ticks of the log that the shard has applied.
    pub ticks_applied: u64,
    /// Ticks put into frames, counted for each session.
    pub ticks_delivered: u64,
    /// Ticks that a `latest` session was not sent since a newer one replaced them.
    pub ticks_conflated: u64,
    /// Ticks pending in all sessions.
    pub backlog_ticks: u64,
    /// Bytes of control frames pending in all sessions.
    pub control_bytes: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// How often the log has overtaken the shard.
    pub log_overruns: u64,
    /// Sessions that lagged and continued with `latest`.
    pub downgraded: u64,
    /// Sessions that catch up now.
    pub catching_up: usize,
    /// Subscribe commands that resumed without losing a tick.
    pub resumed_complete: u64,
    /// Subscribe commands that resumed after ticks had been lost.
    pub resumed_with_gap: u64,
    /// Subscribe commands that asked to resume from another epoch.
    pub resumed_new_epoch: u64,
    /// Subscribe commands that asked for a replay.
    pub replays: u64,
}

/// The sessions of one thread: their subscriptions and pending data. [`turn::run`] drives it.
#[derive(Debug)]
pub struct Shard {
    limits: Limits,
    /// The epoch in which positions and sequence numbers are valid.
    epoch: String,
    /// Time of the current turn.
    now: UnixNanos,
    stats: Stats,
    window: LogWindow,
    coverage: LogCoverage,
    topics: Topics,
    /// The subscriptions of all sessions.
    subscriptions: SharedLimit,
    /// The sessions that subscribe with `"*"`, by feed and channel.
    wildcards: Vec<PerChannel<Vec<Subscriber>>>,
    interest: PendingInterest,
    long_commands: LongCommands,
    /// Sessions that have ended, whose names are removed in pieces.
    leaving: LeavingSessions,
    sessions: SessionTable,
    ready: ReadyQueue,
    timers: TimerWheel,
    /// Sessions that lag, until [`Shard::take_lagged`] handles them.
    lagged: Vec<Lagged>,
    disk: DiskReads,
    input: InputQueue,
    /// Number of subscriptions whose ticks are to be sent as soon as they arrive.
    urgent_subscriptions: usize,
    /// Reused buffer for the frame that is being written.
    frame: Option<FrameBuf>,
    /// Reused list of the batches that are being applied.
    batches: Vec<Arc<Batch>>,
}

impl Shard {
    /// Creates a shard that follows the log from a position on.
    #[must_use]
    pub fn new(limits: Limits, from: Position) -> Self {
        Self {
            epoch: String::new(),
            now: UnixNanos::default(),
            stats: Stats::default(),
            window: LogWindow::new(from),
            coverage: LogCoverage::from(from),
            topics: Topics::new(limits.waiting_topics),
            subscriptions: SharedLimit::new(limits.subscriptions),
            wildcards: (0..limits.feeds).map(|_| PerChannel::default()).collect(),
            interest: PendingInterest::default(),
            long_commands: LongCommands::default(),
            leaving: LeavingSessions::default(),
            sessions: SessionTable::default(),
            ready: ReadyQueue::default(),
            timers: TimerWheel::new(),
            lagged: Vec::new(),
            disk: DiskReads::default(),
            input: InputQueue::default(),
            urgent_subscriptions: 0,
            frame: None,
            batches: Vec::new(),
            limits,
        }
    }

    /// Sets the epoch of the log. A session that resumes must name it.
    #[must_use]
    pub fn in_epoch(self, epoch: &str) -> Self {
        Self { epoch: epoch.to_owned(), ..self }
    }

    /// Records the last tick of a topic of which the log holds no tick. Must precede the first
    /// turn.
    pub fn restore(&mut self, last: LastTick) {
        self.topics.restore(last);
    }

    /// Returns what the shard has done, and what it holds.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        Stats { subscriptions: self.subscriptions.used(), ..self.stats }
    }

    /// Returns the number of open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len() - self.leaving.closed()
    }

    /// Returns the number of topics that have subscribers but have never ticked.
    #[must_use]
    pub const fn waiting_topics(&self) -> usize {
        self.topics.waiting()
    }

    /// Returns whether later turns have work to do that no event will announce: commands over many
    /// topics, sessions that have ended, changes in the numbers of subscribers.
    #[must_use]
    pub fn has_pieces(&self) -> bool {
        let may_continue = !self.long_commands.is_empty() && self.may_answer();
        may_continue || !self.leaving.is_empty() || !self.interest.is_empty()
    }

    /// Returns the position of the next batch that the shard needs.
    #[must_use]
    pub const fn head(&self) -> Position {
        self.window.head()
    }

    /// Returns whether any subscription wants ticks as soon as they arrive. If none does, a turn
    /// every 10 ms is enough.
    #[must_use]
    pub const fn is_eager(&self) -> bool {
        self.urgent_subscriptions > 0
    }

    /// Returns the time at which there must be a turn for a session that waits for a timer, if any
    /// does.
    #[must_use]
    pub fn next_timer(&self) -> Option<UnixNanos> {
        self.timers.next()
    }

    /// Returns net changes in the numbers of subscribers since the last calls, at most a piece. The
    /// change of one interest may be split over several entries.
    pub fn take_interest_changes(&mut self) -> Vec<InterestChange> {
        self.interest.take(&mut self.topics, self.limits.topics_per_piece)
    }

    /// Returns the newest tick of a topic that the shard has applied. There may be a newer one if
    /// the log has overtaken the shard.
    #[must_use]
    pub fn newest(&self, topic: &TopicKey) -> Option<&Tick> {
        let topic = self.topics.find(topic)?;
        self.topics.get(topic).last.as_deref().map(|last| &last.tick)
    }

    /// Begins a turn at the time `now`. The log begins at `log_start`. Sessions whose timers have
    /// expired become ready.
    pub(crate) fn begin_turn(&mut self, now: UnixNanos, log_start: Position) {
        self.now = self.now.max(now);
        self.window.trim(log_start);
        if self.sessions.has_closed() {
            let sessions = &self.sessions;
            self.ready.retain(|id| sessions.hot(id).write_state == WriteState::Ready);
            self.sessions.remove_closed();
            let sessions = &self.sessions;
            self.input.retain(|id| sessions.get(id).map(|session| session.input));
        }
        self.expire_timers();
    }

    /// Opens a session.
    pub fn open(&mut self, feed: FeedId, encoding: Encoding) -> SessionId {
        self.sessions.open(Session::new(feed, encoding))
    }

    /// Sets how a session's commands are acknowledged from now on.
    pub fn set_acks(&mut self, id: SessionId, acks: Acks) {
        self.sessions[id].acks = acks;
    }

    /// Gives corrections and cancels frames of their own, for sessions that did not ask for them by
    /// name: some clients of Alpaca's protocol cannot decode them, and lose the whole frame.
    pub fn separate_corrections(&mut self, id: SessionId) {
        self.sessions[id].separates_corrections = true;
    }

    /// Sets the client of a session. A client may hold at most half of what others leave of the
    /// limits that all sessions share.
    pub fn set_client(&mut self, id: SessionId, client: ClientId) {
        let session = &mut self.sessions[id];
        let before = session.client.replace(client);
        self.subscriptions.remove(before, session.subscriptions());
        self.subscriptions.add(session.client, session.subscriptions());
    }

    /// Closes a session and drops everything that is pending for it. Its id may belong to another
    /// session once the next turn has begun and all its names are removed.
    pub fn close(&mut self, id: SessionId) {
        self.drop_pending(id);
        self.detach_subscriptions(id);
        self.sessions[id].input = InputState::default();
        self.lagged.retain(|lagged| lagged.id != id);
        self.sessions.vacate(id);
        if !self.leaving.note_closed(id) {
            self.sessions.remove_later(id);
        }
    }

    /// Ends a session: it gets no more ticks. A slow session loses what is pending and is sent an
    /// error; any other is sent what is pending. [`NextWrite::Ended`](super::NextWrite::Ended)
    /// follows.
    pub fn finish(&mut self, id: SessionId, reason: CloseReason) {
        if reason.error().is_none() && self.sessions[id].held_at.is_none() {
            self.queue_newest(id);
        }
        self.detach_subscriptions(id);
        self.sessions[id].ending = Some(reason);
        if let Some(code) = reason.error() {
            self.drop_pending(id);
            let detail = format!(
                "more than {} ticks pending, or ticks pending for more than {} ms",
                self.limits.backlog_ticks,
                self.limits.backlog_age_ns / 1_000_000
            );
            self.send_error(id, None, code, Some(detail));
        }
        self.wake(id);
    }

    /// Drops everything that is pending for a session whose transport is closing: the shard writes
    /// nothing more to it.
    pub fn detach(&mut self, id: SessionId) {
        self.drop_pending(id);
        self.detach_subscriptions(id);
        self.wake(id);
    }

    fn detach_subscriptions(&mut self, id: SessionId) {
        self.cancel_command(id);
        self.remove_subscriptions(id);
        self.end_catch_up(id);
        self.sessions.hot_mut(id).delivery = DeliveryState::Detached;
    }

    fn drop_pending(&mut self, id: SessionId) {
        let (session, hot) = self.sessions.both_mut(id);
        self.stats.backlog_ticks -= hot.backlog.clear() as u64;
        self.stats.control_bytes -= std::mem::take(&mut session.control_bytes);
        session.control = VecDeque::new();
    }

    /// Queues a session to be written in this turn, even if the shard has nothing for it: its
    /// transport may hold bytes.
    pub fn wake(&mut self, id: SessionId) {
        if matches!(self.sessions.hot(id).write_state, WriteState::Idle | WriteState::Waiting) {
            self.enqueue(id);
        }
    }

    fn enqueue(&mut self, id: SessionId) {
        let hot = self.sessions.hot_mut(id);
        hot.write_state = WriteState::Ready;
        self.ready.push(id, hot.delivery);
    }
}

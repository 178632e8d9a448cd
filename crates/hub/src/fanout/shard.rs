//! The sessions of one core, and what they still have to be sent. [`turn::run`] drives a shard.

mod answers;
mod apply;
mod catch_up;
mod commands;
mod delivery;
mod disk_reads;
mod history;
mod lag;
#[cfg(test)]
mod tests;
pub mod turn;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;

use slab::Slab;
use tickwire_protocol::{Channel, Control, Encoding, PerChannel, Symbol, Tick, UnixNanos};

use super::disk_index::{DiskIndex, DiskReadRequest};
use super::interest::PendingInterest;
use super::session::{Acks, Feed, Flow, Hot, Session};
use super::subscriber::{SESSIONS_MAX, Subscriber};
use super::topics::{Topic, Topics};
use super::view::View;
use super::wheel::Wheel;
use super::{Batch, CloseReason, FeedId, FrameBuf, InterestChange, Position, SessionId, frame};
use lag::Lagged;
use turn::InputQueue;

pub use disk_reads::DISK_READS_MAX;
pub(super) use turn::InputState;
pub use write::NextWrite;

/// Bounds of one shard.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Feeds there are.
    pub feeds: usize,
    /// Most names one session may subscribe to.
    pub names_per_session: usize,
    /// Most names all sessions of the shard may subscribe to together.
    pub names: usize,
    /// Most names that somebody waits for and that have never ticked.
    pub waiting_topics: usize,
    /// Most ticks a session may have pending.
    pub backlog_ticks: usize,
    /// Most ticks all sessions may have pending together.
    pub backlogs_ticks: u64,
    /// Most bytes of control frames all sessions may have pending together.
    pub controls_bytes: usize,
    /// Most time, in nanoseconds, a session may be behind.
    pub backlog_age_ns: u64,
    /// Largest payload of a data message, in bytes.
    pub message_bytes: usize,
}

/// What a shard has done and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Ticks applied.
    pub ticks_applied: u64,
    /// Ticks put into frames.
    pub ticks_delivered: u64,
    /// Ticks that sessions with `latest` were not sent, since a newer one came before their turn.
    pub ticks_conflated: u64,
    /// Ticks pending over all sessions.
    pub backlog_ticks: u64,
    /// Bytes of control frames pending over all sessions.
    pub control_bytes: usize,
    /// Names subscribed to over all sessions.
    pub subscriptions: usize,
    /// How often the shard itself fell out of the log.
    pub fell_out: u64,
    /// Sessions that lagged and went on with `latest`.
    pub degraded: u64,
    /// Sessions that are sent what was before they join those that are live.
    pub catching_up: usize,
    /// Subscribes that resumed without missing anything.
    pub resumed_all: u64,
    /// Subscribes that resumed and were told what is missing.
    pub resumed_gap: u64,
    /// Subscribes that wanted to resume from another epoch.
    pub resumed_epoch: u64,
    /// Subscribes that asked for a replay.
    pub replays: u64,
}

/// The sessions of one core, and what they still have to be sent. [`turn::run`] drives it.
#[derive(Debug)]
pub struct Shard {
    limits: Limits,
    view: View,
    topics: Topics,
    sessions: Slab<Session>,
    /// `hot[slot]` belongs to `sessions[slot]`.
    hot: Vec<Hot>,
    /// The sessions that subscribed with `"*"`, by feed and channel.
    wild: Vec<PerChannel<Vec<Subscriber>>>,
    /// Changes in the numbers of subscribers that are not reported yet.
    interest: PendingInterest,
    line: Line,
    /// The slots of sessions that are paced.
    wheel: Wheel,
    lagged: Vec<Lagged>,
    /// History on disk.
    disk_index: DiskIndex,
    /// What is to be read there.
    disk_reads: Vec<DiskReadRequest>,
    /// How much of what was wanted has not been supplied.
    older_asked: usize,
    /// Sessions that hold batches from there.
    older_held: usize,
    /// Number of what was wanted last.
    older_number: u64,
    /// Names over all sessions whose ticks are to leave as soon as they come.
    eager_names: usize,
    /// Sessions that have closed in this turn. Their slots are given away only in the next one, so
    /// that no list made in this turn can come to mean another session.
    closed: Vec<SessionId>,
    /// The life of the hub in which positions and numbers are valid.
    epoch: String,
    /// The shard has seen every tick from this position on.
    seen_from: Position,
    /// The same if it has fallen out of the log; 0 if not. What was last before may not be the last.
    unseen_until: Position,
    now: UnixNanos,
    stats: Stats,
    input: InputQueue,
    /// Where a round of writing begins, so that no session is always last.
    rotation: usize,
    /// Kept for its memory: the frame that is being written.
    frame: Option<FrameBuf>,
    /// Kept for its memory: batches that are being applied.
    batches: Vec<Arc<Batch>>,
}

/// Sessions to be written, each once; it may hold some that have closed in this turn.
#[derive(Debug, Default)]
struct Line {
    live: Vec<SessionId>,
    /// They come behind those that are live, in the order of their turns.
    catching_up: VecDeque<SessionId>,
}

impl Line {
    fn push(&mut self, id: SessionId, feed: Feed) {
        match feed {
            Feed::CatchingUp => self.catching_up.push_back(id),
            Feed::Live | Feed::Deaf => self.live.push(id),
        }
    }
}

impl Shard {
    /// A shard that follows the log from a position on.
    #[must_use]
    pub fn new(limits: Limits, from: Position) -> Self {
        Self {
            view: View::new(from),
            topics: Topics::new(limits.waiting_topics),
            sessions: Slab::new(),
            hot: Vec::new(),
            wild: (0..limits.feeds).map(|_| PerChannel::default()).collect(),
            interest: PendingInterest::default(),
            line: Line::default(),
            wheel: Wheel::new(),
            lagged: Vec::new(),
            disk_index: DiskIndex::default(),
            disk_reads: Vec::new(),
            older_asked: 0,
            older_held: 0,
            older_number: 0,
            eager_names: 0,
            closed: Vec::new(),
            epoch: String::new(),
            seen_from: from,
            unseen_until: Position(0),
            now: UnixNanos::default(),
            stats: Stats::default(),
            input: InputQueue::default(),
            rotation: 0,
            frame: None,
            batches: Vec::new(),
            limits,
        }
    }

    /// The same in an epoch: sessions that resume must name it.
    #[must_use]
    pub fn in_epoch(self, epoch: &str) -> Self {
        Self { epoch: epoch.to_owned(), ..self }
    }

    /// What it has done and holds.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len() - self.closed.len()
    }

    /// Position of the next batch it needs.
    #[must_use]
    pub const fn head(&self) -> Position {
        self.view.head()
    }

    /// Returns the net changes in the numbers of subscribers since the last call. The changes of one
    /// interest may be in several parts.
    pub fn take_interest_changes(&mut self) -> Vec<InterestChange> {
        self.interest.take(&mut self.topics)
    }

    /// A turn begins: the time it counts as, and where the log begins by now. Sessions whose slot has
    /// come are ready.
    pub(crate) fn begin_turn(&mut self, now: UnixNanos, log_start: Position) {
        self.now = self.now.max(now);
        self.view.trim(log_start);
        if !self.closed.is_empty() {
            let hot = &self.hot;
            self.line.live.retain(|id| hot[id.slot()].flow == Flow::Ready);
            self.line.catching_up.retain(|id| hot[id.slot()].flow == Flow::Ready);
            for id in self.closed.drain(..) {
                self.sessions.remove(id.slot());
            }
        }
        self.open_slots();
    }

    /// A session begins.
    pub fn open(&mut self, feed: FeedId, encoding: Encoding) -> SessionId {
        let slot = self.sessions.insert(Session::new(feed, encoding));
        assert!(slot < SESSIONS_MAX, "Config::check keeps sessions below this");
        if self.hot.len() <= slot {
            self.hot.resize_with(slot + 1, Hot::default);
        }
        self.hot[slot] = Hot::default();
        SessionId(u32::try_from(slot).expect("limits keep sessions below 2^32"))
    }

    /// How a session's commands are acknowledged, from now on.
    pub fn set_acks(&mut self, id: SessionId, acks: Acks) {
        self.sessions[id.slot()].acks = acks;
    }

    /// A session has ended; what it had pending is dropped. Its id means nothing from now on, and
    /// another session after the next [`Shard::begin_turn`].
    pub fn close(&mut self, id: SessionId) {
        self.drop_pending(id);
        self.forget_names(id);
        self.end_catch_up(id);
        self.hot[id.slot()] = Hot { feed: Feed::Deaf, ..Hot::default() };
        self.sessions[id.slot()].input = InputState::default();
        self.lagged.retain(|lagged| lagged.id != id);
        self.closed.push(id);
    }

    /// Ends a session: it gets no more ticks. A slow one loses what is pending and gets its error;
    /// any other is sent what is pending first. [`NextWrite::Ended`] tells when all is sent.
    pub fn finish(&mut self, id: SessionId, reason: CloseReason) {
        if reason.error().is_none() {
            self.queue_newest(id);
        }
        self.forget_names(id);
        self.end_catch_up(id);
        self.hot[id.slot()].feed = Feed::Deaf;
        self.sessions[id.slot()].ending = Some(reason);
        if let Some(code) = reason.error() {
            self.drop_pending(id);
            let detail = Some(format!(
                "more than {} ticks or {} ms behind",
                self.limits.backlog_ticks,
                self.limits.backlog_age_ns / 1_000_000
            ));
            self.control(id, &Control::Error { code, detail, id: None });
        }
        self.wake(id);
    }

    /// Queues the newest of what a session is owed, without waiting for its slot; unless so much is
    /// queued already that there is no room for frames of its own.
    fn queue_newest(&mut self, id: SessionId) {
        if self.stats.control_bytes > self.limits.controls_bytes {
            return;
        }
        let owed = self.hot[id.slot()].latest.as_mut().map(|latest| latest.take_all());
        let last = |topic| self.topics.get(topic).last.as_deref().map(|last| &last.tick);
        let ticks: Vec<&Tick> = owed.into_iter().flatten().filter_map(last).collect();
        let (encoding, most) = (self.sessions[id.slot()].encoding, self.limits.message_bytes - 3);
        let mut frames = Vec::new();
        FrameBuf::default()
            .write_ticks(encoding, &ticks, most, |frame| frames.push(frame.to_vec()));
        frames.into_iter().for_each(|frame| self.queue_frames(id, frame));
    }

    /// Ends a session whose connection has ended its way: nothing more of it will be asked for.
    pub fn detach(&mut self, id: SessionId) {
        self.drop_pending(id);
        self.forget_names(id);
        self.end_catch_up(id);
        self.hot[id.slot()].feed = Feed::Deaf;
        self.wake(id);
    }

    /// Queues a control element behind everything that is pending now.
    pub fn control(&mut self, id: SessionId, control: &Control) {
        let encoding = self.sessions[id.slot()].encoding;
        let mut frames = Vec::new();
        frame::write_message(encoding, &mut frames, |out| control.write_message(encoding, out));
        self.queue_frames(id, frames);
    }

    /// Queues a message of any content in the same place: text or binary, as in that encoding.
    pub fn message(&mut self, id: SessionId, encoding: Encoding, payload: &[u8]) {
        let mut frame = Vec::new();
        frame::write_message(encoding, &mut frame, |out| out.extend_from_slice(payload));
        self.queue_frames(id, frame);
    }

    /// Bytes of control frames a session has pending: its commands must wait when they are many.
    /// None if it has closed.
    #[must_use]
    pub fn control_bytes(&self, id: SessionId) -> usize {
        self.sessions.get(id.slot()).map_or(0, |session| session.control_bytes)
    }

    /// Whether a session has fetched enough of its answers to be sent more, and all sessions together
    /// have too.
    pub(crate) fn may_take_commands(&self, id: SessionId, bytes_max: usize) -> bool {
        self.control_bytes(id) <= bytes_max
            && self.stats.control_bytes <= self.limits.controls_bytes
    }

    fn queue_frames(&mut self, id: SessionId, frames: Vec<u8>) {
        let session = &mut self.sessions[id.slot()];
        let after = session.sent + self.hot[id.slot()].backlog.len() as u64;
        session.control_bytes += frames.len();
        self.stats.control_bytes += frames.len();
        let queued = self.now;
        session.control.push_back(super::session::ControlFrames {
            after,
            queued,
            answers: false,
            frames,
        });
        self.wake(id);
    }

    /// Queues control frames before everything that is pending.
    fn queue_first(&mut self, id: SessionId, frames: Vec<u8>) {
        let session = &mut self.sessions[id.slot()];
        session.control_bytes += frames.len();
        self.stats.control_bytes += frames.len();
        let (after, queued) = (session.sent, self.now);
        session.control.push_front(super::session::ControlFrames {
            after,
            queued,
            answers: false,
            frames,
        });
    }

    /// Has the session written in this turn although the core may have nothing for it: its transport
    /// has bytes of its own.
    pub fn wake(&mut self, id: SessionId) {
        if matches!(self.hot[id.slot()].flow, Flow::Idle | Flow::Waiting) {
            self.enqueue(id);
        }
    }

    fn enqueue(&mut self, id: SessionId) {
        let hot = &mut self.hot[id.slot()];
        hot.flow = Flow::Ready;
        self.line.push(id, hot.feed);
    }

    fn drop_pending(&mut self, id: SessionId) {
        let session = &mut self.sessions[id.slot()];
        self.stats.backlog_ticks -= self.hot[id.slot()].backlog.clear() as u64;
        self.stats.control_bytes -= std::mem::take(&mut session.control_bytes);
        session.control = VecDeque::new();
    }

    /// The last value of a topic, unless there may have been others since.
    #[must_use]
    pub fn last(&self, feed: FeedId, channel: Channel, symbol: Symbol) -> Option<&Tick> {
        let topic = self.topics.find(&(feed, channel, symbol))?;
        self.last_value(self.topics.get(topic))
    }

    /// The newest tick of a topic that the shard has applied. There may be a later one that it has not
    /// seen, if it fell out of the log.
    #[must_use]
    pub fn newest(&self, feed: FeedId, channel: Channel, symbol: Symbol) -> Option<&Tick> {
        let topic = self.topics.find(&(feed, channel, symbol))?;
        self.topics.get(topic).last.as_deref().map(|last| &last.tick)
    }

    /// Last values of some channels of a feed.
    fn last_values(&self, feed: FeedId, channels: &[Channel]) -> impl Iterator<Item = &Tick> {
        let wanted = move |key: &super::topics::Key| key.0 == feed && channels.contains(&key.1);
        let topics = self.topics.iter().filter(move |(_, topic)| wanted(&topic.key));
        topics.filter_map(|(_, topic)| self.last_value(topic))
    }

    /// The last value of a topic, unless there may have been others since that the shard has not seen:
    /// the next tick would not follow it.
    fn last_value<'a>(&self, topic: &'a Topic) -> Option<&'a Tick> {
        let last = topic.last.as_deref().filter(|last| last.at >= self.unseen_until)?;
        Some(&last.tick)
    }
}

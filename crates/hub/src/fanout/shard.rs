//! The connections of one core, and what they still have to be sent.
//!
//! The order of calls in a turn: [`Shard::begin_turn`], [`Shard::apply`] for every new batch,
//! [`Shard::command`] for what was read, [`Shard::take_lagged`] and [`Shard::finish`], then for
//! every session of [`Shard::take_ready`] a loop of [`Shard::next_write`].

mod commands;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use slab::Slab;
use tickwire_protocol::{Channel, Control, Encoding, PerChannel, Tick, UnixNanos};

use super::session::{Flow, Hot, Session};
use super::topics::Topics;
use super::view::View;
use super::{Batch, CloseReason, FeedId, Position, SessionId, frame};

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
    /// Ticks pending over all sessions.
    pub backlog_ticks: u64,
    /// Bytes of control frames pending over all sessions.
    pub control_bytes: usize,
    /// Names subscribed to over all sessions.
    pub subscriptions: usize,
    /// How often the shard itself fell out of the log.
    pub fell_out: u64,
}

/// The connections of one core. See the module for the order of calls.
#[derive(Debug)]
pub struct Shard {
    limits: Limits,
    view: View,
    topics: Topics,
    sessions: Slab<Session>,
    /// `hot[slot]` belongs to `sessions[slot]`.
    hot: Vec<Hot>,
    /// Slots of the sessions that subscribed with `"*"`, by feed and channel.
    wild: Vec<PerChannel<Vec<u32>>>,
    /// Sessions to be written, each once; it may hold some that have closed in this turn.
    ready: Vec<SessionId>,
    lagged: Vec<SessionId>,
    /// Sessions that have closed in this turn. Their slots are given away only in the next one, so
    /// that no list made in this turn can come to mean another session.
    closed: Vec<SessionId>,
    now: UnixNanos,
    stats: Stats,
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
            ready: Vec::new(),
            lagged: Vec::new(),
            closed: Vec::new(),
            now: UnixNanos::default(),
            stats: Stats::default(),
            limits,
        }
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

    /// A turn begins: the time it counts as, and where the log begins by now.
    pub fn begin_turn(&mut self, now: UnixNanos, log_start: Position) {
        self.now = self.now.max(now);
        self.view.trim(log_start);
        if !self.closed.is_empty() {
            let hot = &self.hot;
            self.ready.retain(|id| hot[id.slot()].flow == Flow::Ready);
            for id in self.closed.drain(..) {
                self.sessions.remove(id.slot());
            }
        }
    }

    /// A session begins.
    pub fn open(&mut self, feed: FeedId, encoding: Encoding) -> SessionId {
        let slot = self.sessions.insert(Session::new(feed, encoding));
        if self.hot.len() <= slot {
            self.hot.resize_with(slot + 1, Hot::default);
        }
        self.hot[slot] = Hot::default();
        SessionId(u32::try_from(slot).expect("limits keep sessions below 2^32"))
    }

    /// A session has ended; what it had pending is dropped. Its id means nothing from now on, and
    /// another session after the next [`Shard::begin_turn`].
    pub fn close(&mut self, id: SessionId) {
        self.drop_pending(id);
        self.forget_names(id);
        self.hot[id.slot()] = Hot { deaf: true, ..Hot::default() };
        self.lagged.retain(|lagged| *lagged != id);
        self.closed.push(id);
    }

    /// Fans a batch out: last values, and four bytes for every tick a session wants.
    pub fn apply(&mut self, batch: Arc<Batch>) {
        let mut index = batch.first().index();
        let mut delivered = 0;
        for numbered in batch.ticks() {
            let topic = self.topics.tick(numbered);
            let mut queue = Queue {
                hot: &mut self.hot,
                ready: &mut self.ready,
                lagged: &mut self.lagged,
                backlog_max: self.limits.backlog_ticks,
            };
            for slot in &topic.subscribers {
                delivered += queue.push(*slot, index);
            }
            let (feed, channel, _) = topic.key;
            for slot in &self.wild[usize::from(feed.0)][channel] {
                delivered += queue.push_unless_newest(*slot, index);
            }
            index = index.wrapping_add(1);
        }
        self.stats.ticks_applied += batch.ticks().len() as u64;
        self.stats.backlog_ticks += delivered;
        self.view.push(batch);
    }

    /// The shard was too slow for the log: what lies before `to` is lost to it, so every session
    /// that subscribes to anything has lagged. Last values stay those it has seen.
    pub fn fell_out(&mut self, to: Position) {
        self.view.jump(to);
        self.stats.fell_out += 1;
        for (slot, session) in &self.sessions {
            let hot = &mut self.hot[slot];
            if session.total() > 0 && !hot.deaf {
                hot.deaf = true;
                self.lagged.push(SessionId(u32::try_from(slot).unwrap_or(u32::MAX)));
            }
        }
    }

    /// Looks for sessions that are too far behind in time, or whose oldest tick has left the log.
    /// Cheap enough for ten times a second.
    ///
    /// Says whether any session is blocked, so that looking again soon makes sense.
    pub fn check_ages(&mut self) -> bool {
        let mut blocked = false;
        let age_max = self.limits.backlog_age_ns;
        let too_old = |since: UnixNanos| self.now.0.saturating_sub(since.0) > age_max;
        for (slot, session) in &self.sessions {
            let hot = &mut self.hot[slot];
            if hot.flow != Flow::Blocked {
                hot.backlog.release();
                continue;
            }
            blocked = true;
            if hot.deaf {
                continue;
            }
            let behind = match hot.backlog.oldest().map(|index| self.view.locate(index)) {
                Some(None) => true,
                Some(Some((batch, _))) => too_old(batch.received()),
                None => false,
            };
            let stuck = session.control.front().is_some_and(|frames| too_old(frames.queued));
            if behind || stuck || too_old(session.blocked_since) {
                hot.deaf = true;
                self.lagged.push(SessionId(u32::try_from(slot).unwrap_or(u32::MAX)));
            }
        }
        blocked
    }

    /// Lets the sessions lag that hold most, when all together hold more than they may. Only blocked
    /// ones: what is pending for the others leaves in this turn.
    pub fn relieve(&mut self) {
        let mut ticks = self.stats.backlog_ticks.saturating_sub(self.limits.backlogs_ticks);
        let mut bytes = self.stats.control_bytes.saturating_sub(self.limits.controls_bytes);
        if ticks == 0 && bytes == 0 {
            return;
        }
        let mut blocked: Vec<(usize, usize, usize)> = self
            .sessions
            .iter()
            .filter(|(slot, _)| self.hot[*slot].flow == Flow::Blocked && !self.hot[*slot].deaf)
            .map(|(slot, session)| (self.hot[slot].backlog.len(), session.control_bytes, slot))
            .collect();
        blocked.sort_unstable_by_key(|(ticks, bytes, _)| std::cmp::Reverse(4 * ticks + bytes));
        for (its_ticks, its_bytes, slot) in blocked {
            if ticks == 0 && bytes == 0 {
                return;
            }
            ticks = ticks.saturating_sub(its_ticks as u64);
            bytes = bytes.saturating_sub(its_bytes);
            self.hot[slot].deaf = true;
            self.lagged.push(SessionId(u32::try_from(slot).unwrap_or(u32::MAX)));
        }
    }

    /// Sessions that have lagged since the last call; each wants [`Shard::finish`].
    pub fn take_lagged(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.lagged)
    }

    /// Ends a session: it gets no more ticks. A slow one loses what is pending and gets its error;
    /// any other is sent what is pending first. [`NextWrite::Ended`] tells when all is sent.
    pub fn finish(&mut self, id: SessionId, reason: CloseReason) {
        self.forget_names(id);
        self.hot[id.slot()].deaf = true;
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

    /// Ends a session whose connection has ended its way: nothing more of it will be asked for.
    pub fn hush(&mut self, id: SessionId) {
        self.drop_pending(id);
        self.forget_names(id);
        self.hot[id.slot()].deaf = true;
        self.wake(id);
    }

    /// Queues a control element behind everything that is pending now.
    pub fn control(&mut self, id: SessionId, control: &Control) {
        let encoding = self.sessions[id.slot()].encoding;
        let mut frames = Vec::new();
        frame::write_message(encoding, &mut frames, |out| control.write_message(encoding, out));
        self.queue_frames(id, frames);
    }

    /// Bytes of control frames a session has pending: its commands must wait when they are many.
    /// None if it has closed.
    #[must_use]
    pub fn control_bytes(&self, id: SessionId) -> usize {
        self.sessions.get(id.slot()).map_or(0, |session| session.control_bytes)
    }

    fn queue_frames(&mut self, id: SessionId, frames: Vec<u8>) {
        let session = &mut self.sessions[id.slot()];
        let after = session.sent + self.hot[id.slot()].backlog.len() as u64;
        session.control_bytes += frames.len();
        self.stats.control_bytes += frames.len();
        let queued = self.now;
        session.control.push_back(super::session::ControlFrames { after, queued, frames });
        self.wake(id);
    }

    /// Has the session written in this turn although the core may have nothing for it: its transport
    /// has bytes of its own.
    pub fn wake(&mut self, id: SessionId) {
        let hot = &mut self.hot[id.slot()];
        if hot.flow == Flow::Idle {
            hot.flow = Flow::Ready;
            self.ready.push(id);
        }
    }

    fn drop_pending(&mut self, id: SessionId) {
        let session = &mut self.sessions[id.slot()];
        self.stats.backlog_ticks -= self.hot[id.slot()].backlog.clear() as u64;
        self.stats.control_bytes -= std::mem::take(&mut session.control_bytes);
        session.control.clear();
    }

    /// Last values of some channels of a feed.
    fn last_values(&self, feed: FeedId, channels: &[Channel]) -> impl Iterator<Item = &Tick> {
        let wanted = move |key: &super::topics::Key| key.0 == feed && channels.contains(&key.1);
        let topics = self.topics.iter().filter(move |topic| wanted(&topic.key));
        topics.filter_map(|topic| topic.last.as_deref())
    }
}

/// The parts of a shard that a tick touches for each session that wants it.
struct Queue<'a> {
    hot: &'a mut [Hot],
    ready: &'a mut Vec<SessionId>,
    lagged: &'a mut Vec<SessionId>,
    backlog_max: usize,
}

impl Queue<'_> {
    /// Says how many ticks it queued: 0 or 1.
    #[inline]
    fn push(&mut self, slot: u32, index: u32) -> u64 {
        let hot = &mut self.hot[slot as usize];
        if hot.deaf {
            return 0;
        }
        hot.backlog.push(index);
        if hot.flow == Flow::Idle {
            hot.flow = Flow::Ready;
            self.ready.push(SessionId(slot));
        }
        if hot.backlog.len() > self.backlog_max {
            hot.deaf = true;
            self.lagged.push(SessionId(slot));
        }
        1
    }

    /// For `"*"`: what a named subscription has just queued is not queued again.
    #[inline]
    fn push_unless_newest(&mut self, slot: u32, index: u32) -> u64 {
        if self.hot[slot as usize].backlog.newest() == Some(index) {
            0
        } else {
            self.push(slot, index)
        }
    }
}

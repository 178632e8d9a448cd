//! Sessions that are too far behind.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tickwire_protocol::{Control, OnLag, UnixNanos};

use super::super::session::{Acks, Feed, Flow};
use super::super::subscriber::LaneId;
use super::super::topics::LocalId;
use super::super::{Batch, Position, SessionId};
use super::Shard;
use super::delivery::conflates;

/// Control frames pending over all sessions, in bytes, above which a session that lags is closed
/// rather than told what it misses.
const TOLD_BYTES_MAX: usize = 64 << 20;

/// A session that has lagged. It is deaf until it has been dealt with.
#[derive(Debug)]
pub(super) struct Lagged {
    pub(super) id: SessionId,
    pub(super) missed: Missed,
}

/// What a session that has lagged misses if it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// What is pending for it, and what came since it passed its limit.
    Pending,
    /// What is pending for it, ticks that the shard itself has not seen, and what came since.
    Unseen {
        /// Where the shard went on.
        until: Position,
    },
}

impl Shard {
    /// The shard was too slow for the log: what lies before `to` is lost to it, so every session
    /// that is owed every tick of anything has lagged. Last values stay those it has seen.
    pub(crate) fn fell_out(&mut self, to: Position) {
        self.view.jump(to);
        (self.seen_from, self.unseen_until) = (to, to);
        self.stats.fell_out += 1;
        for lagged in &mut self.lagged {
            lagged.missed = Missed::Unseen { until: to }; // it had lagged just before
        }
        for slot in 0..self.hot.len() {
            let id = SessionId(u32::try_from(slot).expect("Shard::open keeps slots below this"));
            if self.sessions.contains(slot)
                && self.wants_every(id)
                && self.hot[slot].feed != Feed::Deaf
            {
                self.lags(id, Missed::Unseen { until: to });
            }
        }
    }

    /// The log goes on behind a hole: nobody has what lies before `to` and was not seen here. Sessions that
    /// have been sent all they were owed are told that something is missing, and go on; the others have
    /// lagged.
    pub(crate) fn skip(&mut self, to: Position) {
        self.view.jump(to);
        (self.seen_from, self.unseen_until) = (to, to);
        for lagged in &mut self.lagged {
            lagged.missed = Missed::Unseen { until: to };
        }
        for slot in 0..self.hot.len() {
            let id = SessionId(u32::try_from(slot).expect("Shard::open keeps slots below this"));
            let hot = &self.hot[slot];
            if !self.sessions.contains(slot) || !self.wants_every(id) || hot.feed == Feed::Deaf {
                continue;
            }
            let has_all = hot.feed == Feed::Live && hot.backlog.is_empty();
            if has_all && self.stats.control_bytes <= TOLD_BYTES_MAX {
                self.tell_of_hole(id, to);
            } else {
                self.lags(id, Missed::Unseen { until: to });
            }
        }
    }

    /// Clients of Alpaca's protocol know no gaps.
    fn tell_of_hole(&mut self, id: SessionId, until: Position) {
        if self.sessions[id.slot()].acks == Acks::WholeSet {
            return;
        }
        let gaps: Vec<_> = self
            .unseen_gaps(id, until)
            .into_iter()
            .map(|Gap { topic, from, to, .. }| {
                let (_, channel, symbol) = self.topics.get(topic).key;
                Control::Gap { channel, symbol, from, to, lagged: false }
            })
            .collect();
        self.controls(id, &gaps);
    }

    /// Looks for sessions that are too far behind in time, or whose oldest tick has left the log.
    /// Cheap enough for ten times a second.
    ///
    /// Says whether any session is blocked, so that looking again soon makes sense.
    pub(crate) fn check_ages(&mut self) -> bool {
        self.topics.trim_some(self.view.start(), self.view.head());
        let mut blocked = false;
        for slot in 0..self.hot.len() {
            let hot = &mut self.hot[slot];
            if hot.flow != Flow::Blocked {
                hot.backlog.release();
                if let Some(latest) = &mut hot.latest {
                    latest.release();
                }
                continue;
            }
            blocked = true;
            let id = SessionId(u32::try_from(slot).expect("Shard::open keeps slots below this"));
            if self.hot[slot].feed != Feed::Deaf && self.is_too_far_behind(id) {
                self.lags(id, Missed::Pending);
            }
        }
        blocked
    }

    /// A session that only wants the newest is never behind, however long it does not read; nor is one
    /// that would go on with the newest, while it is owed no tick: there is nothing to tell it of.
    fn is_too_far_behind(&self, id: SessionId) -> bool {
        let (session, hot) = (&self.sessions[id.slot()], &self.hot[id.slot()]);
        let age_max = self.limits.backlog_age_ns;
        let too_old = |since: UnixNanos| self.now.0.saturating_sub(since.0) > age_max;
        if hot.feed == Feed::CatchingUp || session.past.contains(&session.sent) {
            return too_old(session.blocked_since); // how old its ticks are says nothing
        }
        if let Some(oldest) = hot.backlog.oldest() {
            let behind =
                self.view.locate(oldest).is_none_or(|(batch, _)| too_old(batch.received()));
            return behind || too_old(session.blocked_since);
        }
        let stuck = session.control.front().is_some_and(|frames| too_old(frames.queued));
        let patient =
            session.on_lag == OnLag::Latest || hot.latest.is_some() && !self.wants_every(id);
        !patient && (stuck || too_old(session.blocked_since))
    }

    /// Lets the sessions lag that hold most, when all together hold more than they may. Only blocked
    /// ones: what is pending for the others leaves in this turn.
    pub(crate) fn shed_load(&mut self) {
        let mut ticks = self.stats.backlog_ticks.saturating_sub(self.limits.backlogs_ticks);
        let mut bytes = self.stats.control_bytes.saturating_sub(self.limits.controls_bytes);
        if ticks == 0 && bytes == 0 {
            return;
        }
        let mut blocked: Vec<(usize, usize, usize)> = self
            .sessions
            .iter()
            .filter(|(slot, _)| {
                let hot = &self.hot[*slot];
                hot.flow == Flow::Blocked && hot.feed != Feed::Deaf
            })
            .map(|(slot, session)| (self.hot[slot].backlog.len(), session.control_bytes, slot))
            .collect();
        blocked.sort_unstable_by_key(|(ticks, bytes, _)| Reverse(4 * ticks + bytes));
        for (its_ticks, its_bytes, slot) in blocked {
            if ticks == 0 && bytes == 0 {
                return;
            }
            let (gives_ticks, gives_bytes) =
                (ticks > 0 && its_ticks > 0, bytes > 0 && its_bytes > 0);
            if !gives_ticks && !gives_bytes {
                continue;
            }
            ticks = ticks.saturating_sub(its_ticks as u64);
            bytes = bytes.saturating_sub(its_bytes);
            let id = SessionId(u32::try_from(slot).expect("Shard::open keeps slots below this"));
            if gives_bytes {
                self.sessions[slot].on_lag = OnLag::Close; // only its end gives these bytes back
            }
            self.lags(id, Missed::Pending);
        }
    }

    fn lags(&mut self, id: SessionId, missed: Missed) {
        self.hot[id.slot()].feed = Feed::Deaf;
        self.lagged.push(Lagged { id, missed });
    }

    /// Sessions that have lagged since the last call and are to end; each wants [`Shard::finish`].
    /// Those that asked for it go on instead: see [`OnLag::Latest`].
    pub(crate) fn take_lagged(&mut self) -> Vec<SessionId> {
        let mut ending = Vec::new();
        for lagged in std::mem::take(&mut self.lagged) {
            if !self.degrade(&lagged) {
                ending.push(lagged.id);
            }
        }
        ending
    }

    /// A session that has lagged and asked for it goes on with the newest ticks only, and is told what
    /// it misses. Says whether it does.
    pub(super) fn degrade(&mut self, Lagged { id, missed }: &Lagged) -> bool {
        let (id, slot) = (*id, id.slot());
        let session = &self.sessions[slot];
        // What it misses is told in frames of its own: there must be room for them.
        let goes_on = session.on_lag == OnLag::Latest
            && session.ending.is_none()
            && self.stats.control_bytes <= TOLD_BYTES_MAX;
        if !goes_on || (!self.wants_every(id) && self.hot[slot].backlog.is_empty()) {
            return false;
        }
        let mut gaps = match missed {
            Missed::Pending if session.catch_up.is_some() => self.catch_up_gaps(id),
            Missed::Pending => self.pending_gaps(id),
            Missed::Unseen { until } => self.unseen_gaps(id, *until),
        };
        gaps.sort_unstable_by_key(|gap| Reverse(self.topics.get(gap.topic).last_at()));
        self.drop_backlog(id);
        self.end_catch_up(id);
        self.hot[slot].feed = Feed::Live;
        // Without a gap it would not know of the change; then nothing has been seen that it wants.
        if !(gaps.is_empty() && matches!(missed, Missed::Unseen { .. })) {
            self.stats.degraded += 1;
            self.conflate_all(id);
            self.tell(id, &gaps);
        }
        self.wake(id);
        true
    }

    /// Tells a session what it misses, the topics that ticked last first, and owes it the newest.
    fn tell(&mut self, id: SessionId, gaps: &[Gap]) {
        let mut told = false;
        for (place, gap) in gaps.iter().enumerate() {
            let (_, channel, symbol) = self.topics.get(gap.topic).key;
            let mut owed = gap.newest_is_pending && conflates(channel);
            // A session that is told of nothing would not know that its names are latest now: then the
            // oldest tick is given up, for there to be one to name.
            owed &= told || place + 1 < gaps.len() || gap.but_newest().is_some();
            if owed {
                self.owe_newest(id, gap.topic);
            }
            let missing = if owed { gap.but_newest() } else { Some(*gap) };
            if let Some(Gap { from, to, .. }) = missing {
                self.control(id, &Control::Gap { channel, symbol, from, to, lagged: true });
                told = true;
            }
        }
    }

    /// What a session misses if its backlog is dropped: exactly, as long as the log still holds all of
    /// it.
    fn pending_gaps(&self, id: SessionId) -> Vec<Gap> {
        let pending = self.hot[id.slot()].backlog.pending();
        let (Some(oldest), Some(newest)) = (pending.first(), pending.last()) else {
            return Vec::new();
        };
        // TopicPositions its limit it was deaf: what came since is not in its backlog.
        let is_past_limit = pending.len() > self.limits.backlog_ticks;
        let deaf_from =
            if is_past_limit { self.view.position(*newest).plus(1) } else { self.head() };
        if self.view.locate(*oldest).is_none() {
            let mut gaps = self.wanted_gaps(id, deaf_from);
            gaps.retain(|gap| gap.newest_is_pending);
            return gaps;
        }
        let mut missed: BTreeMap<LocalId, (u64, u64)> = BTreeMap::new();
        let mut note = |(batch, offset): (&Batch, usize), wanted: &dyn Fn(LocalId) -> bool| {
            let numbered = &batch.ticks()[offset];
            if let Some(topic) = self.topics.local(numbered.topic).filter(|topic| wanted(*topic)) {
                let seq = numbered.tick.seq.0;
                missed.entry(topic).and_modify(|(_, to)| *to = seq).or_insert((seq, seq));
            }
        };
        for found in pending.iter().filter_map(|index| self.view.locate(*index)) {
            note(found, &|_| true);
        }
        for position in deaf_from.0..self.head().0 {
            if let Some(found) = self.view.locate_position(Position(position)) {
                note(found, &|topic| self.lane_of(id, topic) == Some(LaneId::EVERY));
            }
        }
        let gap = |(topic, (from, to))| {
            let newest_is_pending = self.is_newest_pending(id, topic, deaf_from);
            Gap { topic, from: Some(from), to: Some(to), newest_is_pending }
        };
        missed.into_iter().map(gap).collect()
    }

    /// What a session misses that catches up: what is pending, and what its cursor has not come to.
    fn catch_up_gaps(&self, id: SessionId) -> Vec<Gap> {
        let Some(cursor) = &self.sessions[id.slot()].catch_up else { return Vec::new() };
        let head = self.head();
        let oldest = self.hot[id.slot()].backlog.oldest();
        let is_exact = oldest.is_none_or(|oldest| self.view.locate(oldest).is_some());
        let pending = self.pending_gaps(id).into_iter();
        let mut gaps: BTreeMap<LocalId, Gap> = pending.map(|gap| (gap.topic, gap)).collect();
        for (topic, named) in self.every_topics(id) {
            let entry = self.topics.get(topic);
            let Some(last) = &entry.last else { continue };
            let begin = cursor.next.max(cursor.start(topic, named, entry.key.1));
            if last.at < begin {
                continue;
            }
            let known = is_exact && begin >= self.view.start();
            let from = last.oldest_seq() + last.past.before(begin, head) as u64;
            let from = known.then_some(from);
            let to = Some(last.tick.seq.0);
            let gap = gaps.entry(topic).or_insert(Gap { topic, from, to, newest_is_pending: true });
            (gap.to, gap.newest_is_pending) = (to, true);
        }
        gaps.into_values().collect()
    }

    /// The topics of which a session wants every tick and that have ticked, with what is known without
    /// the log of what it misses.
    fn wanted_gaps(&self, id: SessionId, deaf_from: Position) -> Vec<Gap> {
        let session = &self.sessions[id.slot()];
        let gap = |topic: LocalId| {
            let last = self.topics.get(topic).last.as_ref()?;
            (self.lane_of(id, topic) == Some(LaneId::EVERY)).then(|| Gap {
                topic,
                from: None,
                to: Some(last.tick.seq.0),
                newest_is_pending: self.is_newest_pending(id, topic, deaf_from),
            })
        };
        if session.wild_channels().any(|(_, lane)| lane == LaneId::EVERY) {
            self.topics.iter().filter_map(|(topic, _)| gap(topic)).collect()
        } else {
            session.names.iter().filter_map(|name| gap(name.topic)).collect()
        }
    }

    /// What may be missing for a session when the shard itself has not seen it: something of every topic,
    /// also of names that were not known to tick.
    fn unseen_gaps(&self, id: SessionId, until: Position) -> Vec<Gap> {
        let mut gaps = self.wanted_gaps(id, until);
        let names = self.sessions[id.slot()].names.iter().map(|name| name.topic);
        let silent = names.filter(|topic| {
            self.topics.get(*topic).last.is_none()
                && self.lane_of(id, *topic) == Some(LaneId::EVERY)
        });
        gaps.extend(silent.map(|topic| Gap {
            topic,
            from: None,
            to: None,
            newest_is_pending: false,
        }));
        gaps.into_iter().map(Gap::unseen).collect()
    }

    /// Whether the newest tick of a topic that is delivered tick by tick is still pending, or came when
    /// the session was deaf already.
    fn is_newest_pending(&self, id: SessionId, topic: LocalId, deaf_from: Position) -> bool {
        let pending = self.hot[id.slot()].backlog.pending();
        let Some(at) = self.topics.get(topic).last_at() else { return false };
        self.lane_of(id, topic) == Some(LaneId::EVERY)
            && (at >= deaf_from
                || pending.binary_search_by_key(&at, |index| self.view.position(*index)).is_ok())
    }
}

/// Ticks of a topic that a session is not sent, by sequence number, both ends included.
#[derive(Debug, Clone, Copy)]
struct Gap {
    topic: LocalId,
    from: Option<u64>,
    to: Option<u64>,
    /// The last of them is the topic's newest tick: if the topic conflates, it still comes.
    newest_is_pending: bool,
}

impl Gap {
    /// Nobody knows how many are missing.
    fn unseen(self) -> Self {
        Self { to: None, ..self }
    }

    /// What is missing when the newest still comes, if anything.
    fn but_newest(self) -> Option<Self> {
        let to = self.to.map(|to| to - 1);
        let nothing = to.is_some_and(|to| to < self.from.unwrap_or(1));
        (!nothing).then_some(Self { to, ..self })
    }
}

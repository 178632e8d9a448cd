//! Sessions that are too far behind.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tickwire_protocol::{Control, OnLag, UnixNanos};

use super::super::session::Flow;
use super::super::subscriber::LaneId;
use super::super::topics::LocalId;
use super::super::{Batch, Position, SessionId};
use super::Shard;

/// A session that has lagged. It is deaf until it has been dealt with.
#[derive(Debug)]
pub(super) struct Lagged {
    pub(super) id: SessionId,
    pub(super) missed: Missed,
}

/// What a session that has lagged misses if it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// What is pending for it, and what came since.
    Pending,
    /// That, and ticks that the shard itself has not seen.
    Unseen,
}

impl Shard {
    /// The shard was too slow for the log: what lies before `to` is lost to it, so every session
    /// that is owed every tick of anything has lagged. Last values stay those it has seen.
    pub fn fell_out(&mut self, to: Position) {
        self.view.jump(to);
        self.stats.fell_out += 1;
        for slot in 0..self.hot.len() {
            let id = SessionId(u32::try_from(slot).expect("Shard::open keeps slots below this"));
            if self.sessions.contains(slot) && self.wants_every(id) && !self.hot[slot].deaf {
                self.lags(id, Missed::Unseen);
            }
        }
    }

    /// Looks for sessions that are too far behind in time, or whose oldest tick has left the log.
    /// Cheap enough for ten times a second.
    ///
    /// Says whether any session is blocked, so that looking again soon makes sense.
    pub fn check_ages(&mut self) -> bool {
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
            if !self.hot[slot].deaf && self.is_too_far_behind(id) {
                self.lags(id, Missed::Pending);
            }
        }
        blocked
    }

    /// A session that only wants the newest is never behind, however long it does not read.
    fn is_too_far_behind(&self, id: SessionId) -> bool {
        let (session, hot) = (&self.sessions[id.slot()], &self.hot[id.slot()]);
        let age_max = self.limits.backlog_age_ns;
        let too_old = |since: UnixNanos| self.now.0.saturating_sub(since.0) > age_max;
        if let Some(oldest) = hot.backlog.oldest() {
            let behind =
                self.view.locate(oldest).is_none_or(|(batch, _)| too_old(batch.received()));
            return behind || too_old(session.blocked_since);
        }
        let stuck = session.control.front().is_some_and(|frames| too_old(frames.queued));
        let patient = hot.latest.is_some() && !self.wants_every(id);
        !patient && (stuck || too_old(session.blocked_since))
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
        blocked.sort_unstable_by_key(|(ticks, bytes, _)| Reverse(4 * ticks + bytes));
        for (its_ticks, its_bytes, slot) in blocked {
            if ticks == 0 && bytes == 0 {
                return;
            }
            ticks = ticks.saturating_sub(its_ticks as u64);
            bytes = bytes.saturating_sub(its_bytes);
            let id = SessionId(u32::try_from(slot).expect("Shard::open keeps slots below this"));
            if its_bytes > 0 {
                self.sessions[slot].on_lag = OnLag::Close; // only its end gives these bytes back
            }
            self.lags(id, Missed::Pending);
        }
    }

    fn lags(&mut self, id: SessionId, missed: Missed) {
        self.hot[id.slot()].deaf = true;
        self.lagged.push(Lagged { id, missed });
    }

    /// Sessions that have lagged since the last call and are to end; each wants [`Shard::finish`].
    /// Those that asked for it go on instead: see [`OnLag::Latest`].
    pub fn take_lagged(&mut self) -> Vec<SessionId> {
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
        if session.on_lag != OnLag::Latest || session.ending.is_some() || !self.wants_every(id) {
            return false;
        }
        let gaps = match missed {
            Missed::Pending => self.pending_gaps(id),
            Missed::Unseen => self.wanted_since(id, Position::default()).map(Gap::unseen).collect(),
        };
        self.stats.backlog_ticks -= self.hot[slot].backlog.clear() as u64;
        self.stats.degraded += 1;
        for Gap { topic, from, to } in &gaps {
            let (_, channel, symbol) = self.topics.get(*topic).key;
            self.control(id, &Control::Gap { channel, symbol, from: *from, to: *to });
        }
        self.conflate_all(id);
        self.hot[slot].deaf = false;
        for gap in gaps {
            self.owe_newest(id, gap.topic);
        }
        self.wake(id);
        true
    }

    /// What a session misses if its backlog is dropped: exactly, as long as the log still holds all of
    /// it.
    fn pending_gaps(&self, id: SessionId) -> Vec<Gap> {
        let pending = self.hot[id.slot()].backlog.pending();
        let (Some(oldest), Some(newest)) = (pending.first(), pending.last()) else {
            return Vec::new();
        };
        if self.view.locate(*oldest).is_none() {
            let since = self.view.position(*oldest);
            return self.wanted_since(id, since).map(|gap| Gap { from: None, ..gap }).collect();
        }
        let mut firsts = BTreeMap::new();
        let mut note = |(batch, offset): (&Batch, usize), wanted: &dyn Fn(LocalId) -> bool| {
            let numbered = &batch.ticks()[offset];
            if let Some(topic) = self.topics.local(numbered.topic).filter(|topic| wanted(*topic)) {
                firsts.entry(topic).or_insert(numbered.tick.seq.0);
            }
        };
        for found in pending.iter().filter_map(|index| self.view.locate(*index)) {
            note(found, &|_| true);
        }
        // It has been deaf since its limit was passed, amid a turn.
        for position in self.view.position(*newest).0 + 1..self.head().0 {
            if let Some(found) = self.view.locate_position(Position(position)) {
                note(found, &|topic| self.lane_of(id, topic) == Some(LaneId::EVERY));
            }
        }
        let gap = |(topic, from)| Gap { topic, from: Some(from), to: self.newest_seq(topic) };
        firsts.into_iter().map(gap).collect()
    }

    /// The topics of which a session wants every tick and that have ticked since a position.
    fn wanted_since(&self, id: SessionId, since: Position) -> impl Iterator<Item = Gap> {
        self.topics
            .iter()
            .filter(move |(_, topic)| topic.last.as_ref().is_some_and(|last| last.at >= since))
            .filter(move |(local, _)| self.lane_of(id, *local) == Some(LaneId::EVERY))
            .map(|(topic, _)| Gap { topic, from: None, to: self.newest_seq(topic) })
    }

    fn newest_seq(&self, topic: LocalId) -> Option<u64> {
        self.topics.get(topic).last.as_ref().map(|last| last.tick.seq.0)
    }
}

/// Ticks of a topic that a session is not sent, by sequence number, both ends included.
struct Gap {
    topic: LocalId,
    from: Option<u64>,
    to: Option<u64>,
}

impl Gap {
    /// Nobody knows how many are missing.
    fn unseen(self) -> Self {
        Self { to: None, ..self }
    }
}

//! From what was to what sessions are owed: a cursor over the log instead of a live backlog.
//!
//! When a session that catches up has nothing pending, the next ticks it wants are looked up and put on
//! its backlog, a bounded number at a time; the rest of the write path is that of live ticks. With the
//! look-up that reaches the head the session is live, without a seam: no tick can come in between.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tickwire_protocol::{Channel, Control, UnixNanos};

use super::super::catch_up::CatchUp;
use super::super::session::{Feed, Flow, Session};
use super::super::subscriber::LaneId;
use super::super::topics::{LocalId, Topic};
use super::super::wheel::{Due, Timer};
use super::super::{Numbered, Position, SessionId, frame};
use super::Shard;
use super::write::CONTROL_WRITE_BYTES;

/// Ticks put on a backlog at a time: about what a message holds.
const TICKS_AT_ONCE: usize = 1024;
/// Ticks looked at for that, at the most.
pub(super) const LOOKED_AT_MAX: usize = 16 * 1024;
/// A replay at a pace is continued this often at the most.
pub(super) const PLAY_INTERVAL_NS: u64 = 10_000_000;
/// And looked at this often at the least.
const PLAY_LOOK_NS: u64 = 1_000_000_000;
/// To find the ticks of a name takes a search in its past; to pass over a tick of the log some
/// twentieth of the time of 10 such searches. With more names than the root of so many times the topics
/// there are, reading the log costs less.
const TOPICS_PER_NAMES_SQUARED: usize = 200;

/// What came of looking for more to send.
pub(super) enum Refilled {
    /// Something is pending now, or the session is live.
    More,
    /// Nothing was found in as much of the log as may be looked at in one go.
    Later,
    /// There is nothing to send before this time; without one, before something new comes.
    Rest(Option<UnixNanos>),
}

/// What was found in the log.
struct Found {
    indexes: Vec<u32>,
    /// Where to go on.
    next: Position,
}

impl Shard {
    /// The next session that catches up and can be written. They come behind those that are live, each in
    /// its turn: the caller gives them as much time as it can spare.
    pub(crate) fn next_catching_up(&mut self) -> Option<SessionId> {
        self.line.catching_up.pop_front()
    }

    /// Where a session stands that asked for positions: it is sent all it wants up to here before what
    /// is queued now. What a cursor has found and is still pending does not count: if the log loses it
    /// before it is sent, that may be told behind what is queued now.
    #[must_use]
    pub fn position(&self, id: SessionId) -> Option<Position> {
        let session = self.sessions.get(id.slot()).filter(|session| session.pos)?;
        let Some(cursor) = &session.catch_up else { return Some(Position(self.head().0 - 1)) };
        let pending = self.hot[id.slot()].backlog.pending().first();
        let pending = pending.map(|index| self.view.position(*index));
        let next = pending.map_or(cursor.next, |first| first.min(cursor.next));
        Some(Position(next.0 - 1))
    }

    /// Puts the next ticks of the past on the backlog of a session that catches up and has nothing
    /// pending.
    #[cold]
    pub(super) fn refill(&mut self, id: SessionId) -> Refilled {
        let Some(mut cursor) = self.sessions[id.slot()].catch_up.take() else {
            return Refilled::Rest(None);
        };
        cursor.forget_starts();
        if cursor.next < self.view.start()
            && let Some(refilled) = self.refill_older(id, &mut cursor)
        {
            self.sessions[id.slot()].catch_up = Some(cursor);
            return refilled;
        }
        self.older_held -= usize::from(std::mem::take(&mut cursor.older).release_disk_batches());
        let told = self.tell_overtaken(id, &mut cursor);
        let (head, pace) = (self.head(), cursor.pace);
        let until = pace.map_or(head, |pace| {
            self.view.received_from(UnixNanos(pace.reached(self.now).0.saturating_add(1)))
        });
        let mut any = told;
        if cursor.next < until {
            let found = self.look(id, &cursor, until);
            any |= !found.indexes.is_empty();
            (cursor.next, cursor.found_all) = (found.next, true);
            self.stats.backlog_ticks += found.indexes.len() as u64;
            found.indexes.into_iter().for_each(|index| self.hot[id.slot()].backlog.push(index));
        }
        let due = pace.and_then(|pace| Some(pace.due(self.view.received(cursor.next)?)));
        let (next, is_paced_out) = (cursor.next, cursor.next >= until);
        self.sessions[id.slot()].catch_up = Some(cursor);
        if next >= head {
            self.end_catch_up(id);
            self.hot[id.slot()].feed = Feed::Live;
            return Refilled::More;
        }
        match due {
            _ if any => Refilled::More,
            Some(due) if is_paced_out => {
                Refilled::Rest(Some(due.max(UnixNanos(self.now.0 + PLAY_INTERVAL_NS))))
            }
            _ => Refilled::Later,
        }
    }

    /// A session's cursor is not needed any more. What it found may still be pending.
    pub(super) fn end_catch_up(&mut self, id: SessionId) {
        let session = &mut self.sessions[id.slot()];
        if let Some(mut ended) = session.catch_up.take() {
            self.older_held -= usize::from(ended.older.release_disk_batches());
            session.past.end = session.sent + self.hot[id.slot()].backlog.len() as u64;
            self.stats.catching_up -= 1;
        }
    }

    /// The oldest tick that was found for a session has left the log: it is told what it misses, and goes on
    /// with the first that is still there. Says whether it can be: not if what came live has left as well,
    /// nor if an answer waits among what is lost: what it misses of the names it had belongs in front of that,
    /// and what it misses of new ones behind it.
    pub(super) fn skip_lost(&mut self, id: SessionId) -> bool {
        if self.find_again(id) {
            return true;
        }
        let session = &self.sessions[id.slot()];
        let (past, sent) = (session.past.clone(), session.sent);
        if !past.contains(&sent) || session.ending.is_some() {
            return false;
        }
        let start = self.view.start();
        let pending = self.hot[id.slot()].backlog.pending().iter();
        let lost: Vec<Position> = pending
            .map(|index| self.view.position(*index))
            .take_while(|position| *position < start)
            .collect();
        let lost_until = sent + lost.len() as u64;
        let mut among = session.control.iter().take_while(|queued| queued.after < lost_until);
        if lost_until > past.end || among.any(|queued| queued.answers) {
            return false;
        }
        // All that is pending of a topic came with the same look-up, so the last that is gone is among it.
        let mut gaps = Vec::new();
        for (topic, _) in self.every_topics(id) {
            let gone = self.last_before(topic, start);
            gaps.extend(gone.filter(|(at, _)| lost.binary_search(at).is_ok()).map(|(_, gap)| gap));
        }
        self.consume(id, lost.len());
        let frames = self.spell(id, &gaps);
        frames.into_iter().rev().for_each(|frames| self.queue_first(id, frames));
        true
    }

    /// The log has overtaken a cursor: the session is told of which topics it misses ticks. Says whether
    /// it is of any. With many topics it gives up some more of the log, so that to look at them all, again
    /// whenever it is overtaken, costs no more than to read the ticks would.
    fn tell_overtaken(&mut self, id: SessionId, cursor: &mut CatchUp) -> bool {
        let (start, head) = (self.view.start(), self.head());
        if cursor.next >= start {
            return false;
        }
        let topics = self.every_topics(id);
        let quarter = usize::try_from((head.0 - start.0) / 4).unwrap_or(usize::MAX);
        let to = start.plus(topics.len().saturating_sub(TICKS_AT_ONCE).min(quarter));
        let from = std::mem::replace(&mut cursor.next, to);
        let mut gaps = Vec::new();
        for (topic, named) in topics {
            let begins = cursor.start(topic, named, self.topics.get(topic).key.1);
            let gone = self.last_before(topic, to);
            gaps.extend(gone.filter(|(at, _)| *at >= begins.max(from)).map(|(_, gap)| gap));
        }
        self.controls(id, &gaps);
        !gaps.is_empty()
    }

    /// Position of the last tick of a topic before another, and the gap up to it.
    fn last_before(&mut self, topic: LocalId, to: Position) -> Option<(Position, Control)> {
        let (start, head) = (self.view.start(), self.head());
        let entry = self.topics.get_mut(topic);
        let (_, channel, symbol) = entry.key;
        let last = entry.last.as_mut()?;
        last.past.trim(start, head);
        let there = last.past.before(to, head);
        let place = there.checked_sub(1).and_then(|place| last.past.position(place, head));
        let to = (last.oldest_seq() + there as u64).checked_sub(1);
        let gap = Control::Gap { channel, symbol, from: None, to, lagged: false };
        Some((place.unwrap_or_else(|| last.past.gone()), gap))
    }

    /// Topics that have ticked and of which a session wants every tick, and whether it named them.
    pub(super) fn every_topics(&self, id: SessionId) -> Vec<(LocalId, bool)> {
        let session = &self.sessions[id.slot()];
        let every = |topic: &LocalId| {
            self.topics.get(*topic).last.is_some()
                && self.lane_of(id, *topic) == Some(LaneId::EVERY)
        };
        let named = session.names.iter().map(|name| name.topic).filter(every);
        let mut topics: Vec<(LocalId, bool)> = named.map(|topic| (topic, true)).collect();
        if session.wild_channels().any(|(_, lane)| lane == LaneId::EVERY) {
            let all = self.topics.iter().map(|(topic, _)| topic);
            let wild = all.filter(|topic| session.find(*topic).is_err()).filter(every);
            topics.extend(wild.map(|topic| (topic, false)));
        }
        topics
    }

    /// The next ticks that a session wants, before a position.
    fn look(&self, id: SessionId, cursor: &CatchUp, until: Position) -> Found {
        let session = &self.sessions[id.slot()];
        let wild = session.wild_channels().any(|(_, lane)| lane == LaneId::EVERY);
        let names = session.names.len();
        if wild || names * names > TOPICS_PER_NAMES_SQUARED * self.topics.len() {
            self.read(id, cursor, until)
        } else {
            self.merge(id, cursor, until)
        }
    }

    /// Merges the pasts of a session's names: what it costs grows with them, not with the log.
    fn merge(&self, id: SessionId, cursor: &CatchUp, until: Position) -> Found {
        let head = self.head();
        let at = |topic: LocalId, place: usize| {
            self.topics.get(topic).last.as_ref()?.past.position(place, head)
        };
        let first = |topic: LocalId| {
            let entry: &Topic = self.topics.get(topic);
            let begin = cursor.next.max(cursor.start(topic, true, entry.key.1));
            let place = entry.last.as_ref()?.past.before(begin, head);
            Some(Reverse((at(topic, place)?, topic, place)))
        };
        let all = self.hot[id.slot()].latest.is_none(); // all names want every tick
        let names = self.sessions[id.slot()].names.iter().map(|name| name.topic);
        let every = names.filter(|topic| all || self.lane_of(id, *topic) == Some(LaneId::EVERY));
        let mut line: BinaryHeap<_> = every.filter_map(first).collect();
        let mut indexes = Vec::new();
        while let Some(mut oldest) = line.peek_mut() {
            let Reverse((position, topic, place)) = *oldest;
            if position >= until {
                break;
            }
            if indexes.len() == TICKS_AT_ONCE {
                return Found { indexes, next: position };
            }
            indexes.push(position.index());
            match at(topic, place + 1) {
                Some(position) => *oldest = Reverse((position, topic, place + 1)),
                None => {
                    std::collections::binary_heap::PeekMut::pop(oldest);
                }
            }
        }
        Found { indexes, next: until }
    }

    /// Reads the log: what it costs does not grow with the names.
    fn read(&self, id: SessionId, cursor: &CatchUp, until: Position) -> Found {
        let mut indexes = Vec::new();
        let mut next = cursor.next;
        let mut looked_at = 0;
        for (batch, skipped) in self.view.batches_from(cursor.next) {
            for numbered in batch.ticks().iter().skip(skipped) {
                if next >= until || indexes.len() == TICKS_AT_ONCE || looked_at == LOOKED_AT_MAX {
                    return Found { indexes, next };
                }
                looked_at += 1;
                if self.wants(id, cursor, self.topics.local(numbered.topic), numbered, next) {
                    indexes.push(next.index());
                }
                next = next.plus(1);
            }
        }
        Found { indexes, next }
    }

    /// Whether a session that catches up is to be sent the tick at a position.
    pub(super) fn wants(
        &self,
        id: SessionId,
        cursor: &CatchUp,
        topic: Option<LocalId>,
        numbered: &Numbered,
        at: Position,
    ) -> bool {
        let session = &self.sessions[id.slot()];
        let Some(topic) = topic.filter(|_| numbered.feed == session.feed) else { return false };
        let channel = numbered.tick.channel();
        let (lane, named) = self.way_of(session, topic, channel);
        lane == Some(LaneId::EVERY) && at >= cursor.start(topic, named, channel)
    }

    /// The lane a topic of its feed reaches a session by, and whether by name.
    fn way_of(
        &self,
        session: &Session,
        topic: LocalId,
        channel: Channel,
    ) -> (Option<LaneId>, bool) {
        match session.find(topic) {
            Ok(place) => {
                let at = session.names[place].at as usize;
                (Some(self.topics.get(topic).subscribers[at].lane()), true)
            }
            Err(_) => (session.wild[channel], false),
        }
    }

    /// Sets the alarm for the next tick of a replay at a pace.
    pub(super) fn play_at(&mut self, id: SessionId, opens: UnixNanos) {
        if self.hot[id.slot()].flow == Flow::Ready {
            return;
        }
        self.hot[id.slot()].flow = Flow::Waiting;
        let Some(cursor) = &mut self.sessions[id.slot()].catch_up else { return };
        // Alarms cannot be taken back, so none is set far ahead: it looks again then.
        let due = Due::at(opens.min(UnixNanos(self.now.0 + PLAY_LOOK_NS)));
        if cursor.alarm.is_none_or(|alarm| due < alarm) {
            cursor.alarm = Some(due);
            self.wheel.schedule(Timer { id, due });
        }
    }

    /// Queues many control elements, each in a message of its own.
    pub(super) fn controls(&mut self, id: SessionId, controls: &[Control]) {
        for frames in self.spell(id, controls) {
            self.queue_frames(id, frames);
        }
    }

    /// The frames of control elements, in pieces of one write each.
    fn spell(&self, id: SessionId, controls: &[Control]) -> Vec<Vec<u8>> {
        let encoding = self.sessions[id.slot()].encoding;
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

    /// Names are about to be taken away: those that go on to come by `"*"` keep their place, or begin now if
    /// they were not delivered tick by tick.
    pub(super) fn leave_to_wild(&mut self, id: SessionId, removed: &[LocalId]) {
        let Some(mut cursor) = self.sessions[id.slot()].catch_up.take() else { return };
        for topic in removed {
            let (_, channel, _) = self.topics.get(*topic).key;
            let at = match self.lane_of(id, *topic) {
                Some(LaneId::EVERY) => cursor.start(*topic, true, channel),
                _ => self.head(),
            };
            let by_wild = self.sessions[id.slot()].wild[channel] == Some(LaneId::EVERY);
            cursor.begin_if(by_wild, *topic, at);
        }
        self.sessions[id.slot()].catch_up = Some(cursor);
    }

    /// Names are about to be taken that came by `"*"`: they keep their place if they are to be delivered
    /// tick by tick. Those that are `moved` have none: they begin anew.
    pub(super) fn take_from_wild(
        &mut self,
        id: SessionId,
        added: &[LocalId],
        moved: &[LocalId],
        lane_of: impl Fn(Channel) -> LaneId,
    ) {
        let session = &mut self.sessions[id.slot()];
        let Some(cursor) = &mut session.catch_up else { return };
        for topic in added {
            let (_, channel, _) = self.topics.get(*topic).key;
            let stays =
                session.wild[channel] == Some(LaneId::EVERY) && lane_of(channel) == LaneId::EVERY;
            let at = cursor.next.max(cursor.start(*topic, false, channel));
            cursor.begin_if(stays, *topic, at);
        }
        moved.iter().for_each(|topic| cursor.forget(*topic));
    }

    /// Names of a session of which it wants every tick, `"*"` counted as one per channel.
    pub(super) fn every_names(&self, id: SessionId) -> usize {
        let conflated = self.hot[id.slot()].latest.as_ref().map_or(0, |latest| latest.names());
        self.sessions[id.slot()].total() - conflated
    }

    /// Names begin at these places: the session catches up from the earliest, unless all of that is
    /// still to come. Those it had go on with what they have come to, unless these are `alone`.
    pub(super) fn begin_at(
        &mut self,
        id: SessionId,
        topics: &[(LocalId, Position)],
        wild: &[(Channel, Position)],
        alone: bool,
    ) {
        let head = self.head();
        let begins = topics.iter().map(|(_, at)| *at).chain(wild.iter().map(|(_, at)| *at));
        let Some((earliest, latest)) = begins.clone().min().zip(begins.max()) else { return };
        let is_catching_up = self.sessions[id.slot()].catch_up.is_some();
        if earliest >= head && !is_catching_up {
            return;
        }
        let (session, hot) = (&mut self.sessions[id.slot()], &mut self.hot[id.slot()]);
        if !session.past.contains(&session.sent) {
            session.past.start = session.sent + hot.backlog.len() as u64;
        }
        session.past.end = u64::MAX;
        let cursor = session.catch_up.get_or_insert_with(|| Box::new(CatchUp::new(head)));
        if earliest < cursor.next && is_catching_up {
            cursor.settle();
        }
        if alone && !is_catching_up && earliest == latest {
            cursor.begin_all(earliest);
        } else {
            topics.iter().for_each(|(topic, at)| cursor.begin(*topic, *at));
            wild.iter().for_each(|(channel, at)| cursor.begin_wild(*channel, *at));
            cursor.next = cursor.next.min(earliest);
        }
        hot.feed = Feed::CatchingUp;
        self.stats.catching_up += usize::from(!is_catching_up);
    }
}

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
use super::super::{Position, SessionId, frame};
use super::Shard;
use super::write::CONTROL_WRITE_BYTES;

/// Ticks put on a backlog at a time: about what a message holds.
const TICKS_AT_ONCE: usize = 1024;
/// Ticks looked at for that, at the most.
const LOOKED_AT_MAX: usize = 16 * 1024;
/// A replay at a pace is continued this often at the most.
const PLAY_INTERVAL_NS: u64 = 10_000_000;
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
    pub fn next_catching_up(&mut self) -> Option<SessionId> {
        self.catching_up.pop_front()
    }

    /// Where a session stands that asked for positions: it is sent all it wants up to here before what
    /// is queued now.
    #[must_use]
    pub fn position(&self, id: SessionId) -> Option<Position> {
        let session = self.sessions.get(id.slot()).filter(|session| session.pos)?;
        let next = session.catch_up.as_ref().map_or_else(|| self.head(), |cursor| cursor.next);
        Some(Position(next.0 - 1))
    }

    /// Puts the next ticks of the past on the backlog of a session that catches up and has nothing
    /// pending.
    pub(super) fn refill(&mut self, id: SessionId) -> Refilled {
        if self.hot[id.slot()].feed != Feed::CatchingUp {
            return Refilled::Rest(None);
        }
        let Some(mut cursor) = self.sessions[id.slot()].catch_up.take() else {
            return Refilled::Rest(None);
        };
        cursor.forget_starts();
        let told = self.tell_overtaken(id, &mut cursor);
        let (head, pace) = (self.head(), cursor.pace);
        let until = pace.map_or(head, |pace| {
            self.view.received_from(UnixNanos(pace.reached(self.now).0.saturating_add(1)))
        });
        let mut any = told;
        if cursor.next < until {
            let found = self.look(id, &cursor, until);
            any |= !found.indexes.is_empty();
            cursor.next = found.next;
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

    /// A session's cursor is not needed any more.
    pub(super) fn end_catch_up(&mut self, id: SessionId) {
        let ended = self.sessions[id.slot()].catch_up.take();
        self.stats.catching_up -= usize::from(ended.is_some());
    }

    /// The oldest tick that was found for a session has left the log: it is told what it misses, and goes on
    /// with the first that is still there. Says whether it can be; what was pending before it began to catch
    /// up cannot.
    pub(super) fn skip_lost(&mut self, id: SessionId) -> bool {
        let session = &mut self.sessions[id.slot()];
        if session.sent < session.catch_up.as_ref().map_or(u64::MAX, |cursor| cursor.own_from) {
            return false;
        }
        let Some(mut cursor) = session.catch_up.take() else { return false };
        let start = self.view.start();
        let pending = self.hot[id.slot()].backlog.pending();
        let lost = pending.partition_point(|index| self.view.position(*index) < start);
        let first = pending.first().map_or(cursor.next, |index| self.view.position(*index));
        // Names that begin behind what was found may not have been answered yet: they come later.
        let before = cursor.next;
        let gaps = self.gone_since(id, &cursor, first, before);
        for (topic, _) in &gaps {
            cursor.begin(*topic, start); // it has been told of all before
        }
        let gaps: Vec<Control> = gaps.into_iter().map(|(_, gap)| gap).collect();
        self.sessions[id.slot()].catch_up = Some(cursor);
        self.consume(id, lost);
        let frames = self.spell(id, &gaps);
        frames.into_iter().rev().for_each(|frames| self.queue_first(id, frames));
        true
    }

    /// The log has overtaken a cursor: the session is told of which topics it misses ticks. Says whether
    /// it is of any.
    fn tell_overtaken(&mut self, id: SessionId, cursor: &mut CatchUp) -> bool {
        let start = self.view.start();
        if cursor.next >= start {
            return false;
        }
        let next = std::mem::replace(&mut cursor.next, start);
        let gaps = self.gone_since(id, cursor, next, Position(u64::MAX));
        let gaps: Vec<Control> = gaps.into_iter().map(|(_, gap)| gap).collect();
        self.controls(id, &gaps);
        !gaps.is_empty()
    }

    /// What a session misses of the ticks from a position on that have left the log, of topics that begin
    /// before another.
    fn gone_since(
        &mut self,
        id: SessionId,
        cursor: &CatchUp,
        from: Position,
        before: Position,
    ) -> Vec<(LocalId, Control)> {
        let (start, head) = (self.view.start(), self.head());
        let mut gaps = Vec::new();
        for (topic, named) in self.every_topics(id) {
            let entry = self.topics.get_mut(topic);
            let (_, channel, symbol) = entry.key;
            let Some(last) = &mut entry.last else { continue };
            last.past.trim(start, head);
            let begins = cursor.start(topic, named, channel);
            if begins < before && last.past.gone() >= begins.max(from) {
                let to = Some(last.oldest_seq() - 1);
                let gap = Control::Gap { channel, symbol, from: None, to, lagged: false };
                gaps.push((topic, gap));
            }
        }
        gaps
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
        let session = &self.sessions[id.slot()];
        let mut indexes = Vec::new();
        let mut next = cursor.next;
        let mut looked_at = 0;
        for (batch, skipped) in self.view.batches_from(cursor.next) {
            for numbered in batch.ticks().iter().skip(skipped) {
                if next >= until || indexes.len() == TICKS_AT_ONCE || looked_at == LOOKED_AT_MAX {
                    return Found { indexes, next };
                }
                looked_at += 1;
                if numbered.feed == session.feed
                    && let Some(topic) = self.topics.local(numbered.topic)
                    && let channel = numbered.tick.channel()
                    && let (lane, named) = self.way_of(session, topic, channel)
                    && lane == Some(LaneId::EVERY)
                    && next >= cursor.start(topic, named, channel)
                {
                    indexes.push(next.index());
                }
                next = next.plus(1);
            }
        }
        Found { indexes, next }
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
        let due = Due::at(opens);
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

    /// Names are about to be taken away: those that go on to come by `"*"` keep their place.
    pub(super) fn keep_starts(&mut self, id: SessionId, removed: &[LocalId]) {
        let session = &mut self.sessions[id.slot()];
        let Some(cursor) = &mut session.catch_up else { return };
        for topic in removed {
            let entry = self.topics.get(*topic);
            let (_, channel, _) = entry.key;
            if entry.last.is_some() && session.wild[channel] == Some(LaneId::EVERY) {
                cursor.begin(*topic, cursor.start(*topic, true, channel));
            }
        }
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
        let own_from = session.sent + hot.backlog.len() as u64;
        let cursor = session.catch_up.get_or_insert_with(|| Box::new(CatchUp::new(head, own_from)));
        if earliest < cursor.next && is_catching_up {
            cursor.settle(own_from);
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

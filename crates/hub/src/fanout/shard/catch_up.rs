//! Sessions that catch up: a cursor over the log instead of a live backlog.
//!
//! When such a session has nothing pending, the next ticks that it wants are looked up and put on
//! its backlog, a bounded number at a time; the rest of the write path is that of live ticks. The
//! look-up that reaches the head makes the session live. No tick is lost, since no batch is applied
//! in between.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use tickwire_protocol::{Channel, UnixNanos};

use super::super::history::cursor::CatchUpCursor;
use super::super::latest::rate_groups::RateGroupId;
use super::super::latest::timer_wheel::{Timer, TimerStep};
use super::super::{LocalTopicId, Numbered, Position, SessionId};
use super::Shard;
use super::session::{Acks, DeliveryState, Session, WriteState};
use super::topics::Topic;

/// Ticks put on a backlog at a time: about what a message holds.
pub(super) const TICKS_AT_ONCE: usize = 1024;
/// Largest number of ticks that one look-up looks at.
pub(super) const LOOKED_AT_MAX: usize = 16 * 1024;
/// Shortest time, in nanoseconds, between two writes of a paced replay.
pub(super) const PLAYBACK_INTERVAL_NS: u64 = 10_000_000;
/// Longest time, in nanoseconds, between two checks of a paced replay.
const PLAYBACK_LOOK_NS: u64 = 1_000_000_000;
/// Decides between two ways to find the ticks of names: searching the positions of each name, and
/// reading the log. Ten searches take about 20 times as long as passing over one tick of the log,
/// so reading the log is faster once the square of the number of names exceeds this multiple of the
/// number of topics.
const TOPICS_PER_NAMES_SQUARED: usize = 200;

/// The outcome of looking for more ticks to send.
pub(super) enum Refill {
    /// Something is pending now, or the session is live.
    Pending,
    /// The look-up reached its limit without finding a tick.
    Yield,
    /// Nothing is to be sent before this time, or, without a time, before a new event.
    Wait(Option<UnixNanos>),
    /// The log has overtaken the session, whose protocol has no gaps.
    Lagged,
}

/// The positions at which new subscriptions begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Starts {
    pub(super) topics: Vec<(LocalTopicId, Position)>,
    pub(super) wildcards: Vec<(Channel, Position)>,
}

impl Starts {
    /// Returns all positions at which subscriptions begin.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> + Clone {
        let topics = self.topics.iter().map(|(_, at)| *at);
        topics.chain(self.wildcards.iter().map(|(_, at)| *at))
    }
}

/// The ticks that a look-up has found.
struct FoundTicks {
    indexes: Vec<u32>,
    /// Position at which the next look-up begins.
    next: Position,
}

impl Shard {
    /// Returns whether a session is at the head of the log: it does not catch up, and no command is
    /// in progress for it.
    #[must_use]
    pub fn is_live(&self, id: SessionId) -> bool {
        self.sessions.hot(id).delivery == DeliveryState::Live
    }

    /// Takes the session that catches up and has waited longest to be written.
    pub(crate) fn next_catching_up(&mut self) -> Option<SessionId> {
        self.ready.pop_catching_up()
    }

    /// Returns the position of a session that asked for positions: all ticks up to it are sent
    /// before anything that is queued now. Pending ticks that a cursor has found do not count: if
    /// the log loses them, their gaps may come after what is queued now.
    #[must_use]
    pub fn position(&self, id: SessionId) -> Option<Position> {
        let session = self.sessions.get(id).filter(|session| session.wants_positions)?;
        let Some(cursor) = &session.cursor else { return Some(Position(self.head().0 - 1)) };
        if cursor.only_holds {
            return Some(Position(cursor.next.0 - 1)); // what is pending was live
        }
        let pending = self.sessions.hot(id).backlog.oldest();
        let pending = pending.map(|index| self.window.position(index));
        let next = pending.map_or(cursor.next, |first| first.min(cursor.next));
        Some(Position(next.0 - 1))
    }

    /// Puts the next ticks on the backlog of a session that catches up and has nothing pending.
    #[cold]
    pub(super) fn refill(&mut self, id: SessionId) -> Refill {
        let Some(mut cursor) = self.sessions[id].cursor.take() else { return Refill::Wait(None) };
        cursor.drop_passed_starts();
        if cursor.next < self.window.start() && self.sessions[id].acks == Acks::WholeSet {
            self.sessions[id].cursor = Some(cursor);
            return Refill::Lagged;
        }
        if cursor.next < self.window.start()
            && let Some(refill) = self.backfill_from_disk(id, &mut cursor)
        {
            self.sessions[id].cursor = Some(cursor);
            return refill;
        }
        self.disk.release(&mut cursor.disk);
        let has_reported = self.report_overtaken(id, &mut cursor);
        let head = self.head();
        let playback = cursor.playback;
        let until = playback.map_or(head, |playback| {
            let reached = playback.reached(self.now);
            self.window.received_from(UnixNanos(reached.0.saturating_add(1)))
        });
        let mut is_any_pending = has_reported;
        if cursor.next < until {
            let found = self.find_ticks(id, &cursor, until);
            is_any_pending |= !found.indexes.is_empty();
            cursor.next = found.next;
            cursor.found_all_pending = true;
            self.stats.backlog_ticks += found.indexes.len() as u64;
            let backlog = &mut self.sessions.hot_mut(id).backlog;
            found.indexes.into_iter().for_each(|index| backlog.push(index));
        }
        let next = cursor.next;
        self.sessions[id].cursor = Some(cursor);
        if next >= head {
            self.end_catch_up(id);
            self.sessions.hot_mut(id).delivery = DeliveryState::Live;
            return Refill::Pending;
        }
        if is_any_pending {
            return Refill::Pending;
        }
        let due = playback.and_then(|playback| Some(playback.due(self.window.received(next)?)));
        match due {
            Some(due) if next >= until => Refill::Wait(Some(self.playback_wait(due))),
            _ => Refill::Yield,
        }
    }

    /// Returns when to write a replay next whose next tick is due at `due`.
    pub(super) fn playback_wait(&self, due: UnixNanos) -> UnixNanos {
        due.max(UnixNanos(self.now.0 + PLAYBACK_INTERVAL_NS))
    }

    /// Removes a session's cursor. The ticks that it has found stay pending.
    pub(super) fn end_catch_up(&mut self, id: SessionId) {
        let (session, hot) = self.sessions.both_mut(id);
        if let Some(mut cursor) = session.cursor.take() {
            self.disk.release(&mut cursor.disk);
            session.backfilled.end = session.sent + hot.backlog.len() as u64;
            self.stats.catching_up -= 1;
        }
    }

    /// Returns the topics that have ticked and of which a session wants every tick, and whether it
    /// subscribes to them by name.
    pub(super) fn topics_with_every(&self, id: SessionId) -> Vec<(LocalTopicId, bool)> {
        let session = &self.sessions[id];
        let is_every = |topic: &LocalTopicId| {
            self.topics.get(*topic).last.is_some()
                && self.group_of(id, *topic) == Some(RateGroupId::EVERY)
        };
        let named = session.named.iter().map(|named| named.topic).filter(is_every);
        let mut topics: Vec<(LocalTopicId, bool)> = named.map(|topic| (topic, true)).collect();
        if session.wildcard_channels().any(|(_, group)| group == RateGroupId::EVERY) {
            let all = self.topics.iter().map(|(topic, _)| topic);
            let by_wildcard = all.filter(|topic| session.find_named(*topic).is_err());
            topics.extend(by_wildcard.filter(is_every).map(|topic| (topic, false)));
        }
        topics
    }

    /// Finds the next ticks that a session wants, before a position.
    fn find_ticks(&self, id: SessionId, cursor: &CatchUpCursor, until: Position) -> FoundTicks {
        let session = &self.sessions[id];
        let has_wildcard =
            session.wildcard_channels().any(|(_, group)| group == RateGroupId::EVERY);
        let names = session.named.len();
        if has_wildcard || names * names > TOPICS_PER_NAMES_SQUARED * self.topics.len() {
            self.scan_log(id, cursor, until)
        } else {
            self.merge_positions(id, cursor, until)
        }
    }

    /// Merges the positions of a session's topics. The cost grows with their number, not with the
    /// log.
    fn merge_positions(
        &self,
        id: SessionId,
        cursor: &CatchUpCursor,
        until: Position,
    ) -> FoundTicks {
        let head = self.head();
        let position = |topic: LocalTopicId, index: usize| {
            self.topics.get(topic).last.as_ref()?.positions.get(index, head)
        };
        let first = |topic: LocalTopicId| {
            let entry: &Topic = self.topics.get(topic);
            let begin = cursor.next.max(cursor.start(topic, true, entry.key.channel));
            let index = entry.last.as_ref()?.positions.count_before(begin, head);
            Some(Reverse((position(topic, index)?, topic, index)))
        };
        let wants_only_every = self.sessions.hot(id).latest.is_none();
        let topics = self.sessions[id].named.iter().map(|named| named.topic);
        let topics = topics.filter(|topic| {
            wants_only_every || self.group_of(id, *topic) == Some(RateGroupId::EVERY)
        });
        let mut heap: BinaryHeap<_> = topics.filter_map(first).collect();
        let mut indexes = Vec::new();
        while let Some(mut oldest) = heap.peek_mut() {
            let Reverse((at, topic, index)) = *oldest;
            if at >= until {
                break;
            }
            if indexes.len() == TICKS_AT_ONCE {
                return FoundTicks { indexes, next: at };
            }
            indexes.push(at.index());
            match position(topic, index + 1) {
                Some(at) => *oldest = Reverse((at, topic, index + 1)),
                None => {
                    PeekMut::pop(oldest);
                }
            }
        }
        FoundTicks { indexes, next: until }
    }

    /// Reads the log. The cost does not grow with the number of the session's topics.
    fn scan_log(&self, id: SessionId, cursor: &CatchUpCursor, until: Position) -> FoundTicks {
        let mut indexes = Vec::new();
        let mut next = cursor.next;
        let mut looked_at = 0;
        for (batch, skipped) in self.window.batches_from(cursor.next) {
            for numbered in batch.ticks().iter().skip(skipped) {
                if next >= until || indexes.len() == TICKS_AT_ONCE || looked_at == LOOKED_AT_MAX {
                    return FoundTicks { indexes, next };
                }
                looked_at += 1;
                if self.wants(id, cursor, self.topics.local(numbered.topic), numbered, next) {
                    indexes.push(next.index());
                }
                next = next.plus(1);
            }
        }
        FoundTicks { indexes, next }
    }

    /// Returns whether a session that catches up wants the tick at a position.
    pub(super) fn wants(
        &self,
        id: SessionId,
        cursor: &CatchUpCursor,
        topic: Option<LocalTopicId>,
        numbered: &Numbered,
        at: Position,
    ) -> bool {
        let session = &self.sessions[id];
        let Some(topic) = topic.filter(|_| numbered.feed == session.feed) else { return false };
        let channel = numbered.tick.channel();
        let (group, is_named) = self.group_and_name(session, topic, channel);
        group == Some(RateGroupId::EVERY) && at >= cursor.start(topic, is_named, channel)
    }

    /// Returns the group in which a session gets a topic of its feed, and whether it subscribes to
    /// the topic by name.
    fn group_and_name(
        &self,
        session: &Session,
        topic: LocalTopicId,
        channel: Channel,
    ) -> (Option<RateGroupId>, bool) {
        match session.find_named(topic) {
            Ok(at) => {
                let index = session.named[at].index as usize;
                (Some(self.topics.get(topic).subscribers[index].group()), true)
            }
            Err(_) => (session.wildcards[channel], false),
        }
    }

    /// Sets the timer for the next tick of a replay at a speed.
    pub(super) fn schedule_playback(&mut self, id: SessionId, at: UnixNanos) {
        let (session, hot) = self.sessions.both_mut(id);
        if hot.write_state == WriteState::Ready {
            return;
        }
        hot.write_state = WriteState::Waiting;
        let Some(cursor) = &mut session.cursor else { return };
        // Timers cannot be cancelled, so none is set far ahead: the session looks again instead.
        let due = TimerStep::after(at.min(UnixNanos(self.now.0 + PLAYBACK_LOOK_NS)));
        if cursor.timer.is_none_or(|timer| due < timer) {
            cursor.timer = Some(due);
            self.timers.schedule(Timer { id, due });
        }
    }

    /// Prepares the removal of names: topics that continue by `"*"` keep their start, or begin now
    /// if they were not delivered tick by tick.
    pub(super) fn hand_over_to_wildcard(&mut self, id: SessionId, removed: &[LocalTopicId]) {
        let Some(mut cursor) = self.sessions[id].cursor.take() else { return };
        for topic in removed {
            let channel = self.topics.get(*topic).key.channel;
            let at = match self.group_of(id, *topic) {
                Some(RateGroupId::EVERY) => cursor.start(*topic, true, channel),
                _ => self.present(id).head,
            };
            let continues = self.sessions[id].wildcards[channel] == Some(RateGroupId::EVERY);
            cursor.start_topic_if(continues, *topic, at);
        }
        self.sessions[id].cursor = Some(cursor);
    }

    /// Prepares the addition of names that the session got by `"*"` before: topics keep their start
    /// if they stay delivered tick by tick. Topics in `moved` change their delivery, so their
    /// starts are removed.
    pub(super) fn take_over_from_wildcard(
        &mut self,
        id: SessionId,
        added: &[LocalTopicId],
        moved: &[LocalTopicId],
        group_of: impl Fn(Channel) -> RateGroupId,
    ) {
        let session = &mut self.sessions[id];
        let Some(cursor) = &mut session.cursor else { return };
        if cursor.only_holds {
            return; // a live session: names begin at the present, as `"*"` does
        }
        for topic in added {
            let channel = self.topics.get(*topic).key.channel;
            let continues = session.wildcards[channel] == Some(RateGroupId::EVERY)
                && group_of(channel) == RateGroupId::EVERY;
            let at = cursor.next.max(cursor.start(*topic, false, channel));
            cursor.start_topic_if(continues, *topic, at);
        }
        moved.iter().for_each(|topic| cursor.remove_topic(*topic));
    }

    /// Makes a session catch up from the earliest of its new starts, unless all of them are at the
    /// head. Its other subscriptions keep their progress. `is_all` tells that it has no others.
    pub(super) fn start_at(&mut self, id: SessionId, starts: &Starts, is_all: bool) {
        let head = self.head();
        let positions = starts.positions();
        let Some((earliest, latest)) = positions.clone().min().zip(positions.max()) else { return };
        let (session, hot) = self.sessions.both_mut(id);
        let is_catching_up = session.cursor.is_some();
        if earliest >= head && !is_catching_up {
            return;
        }
        session.begin_backfill(hot.backlog.len());
        let cursor = session.cursor.get_or_insert_with(|| Box::new(CatchUpCursor::new(head)));
        if earliest < cursor.next && is_catching_up {
            cursor.pin_starts();
        }
        if is_all && !is_catching_up && earliest == latest {
            cursor.start_all(earliest);
        } else {
            starts.topics.iter().for_each(|(topic, at)| cursor.start_topic(*topic, *at));
            starts.wildcards.iter().for_each(|(channel, at)| cursor.start_wildcard(*channel, *at));
            cursor.next = cursor.next.min(earliest);
        }
        cursor.only_holds = false;
        hot.delivery = DeliveryState::CatchingUp;
        self.stats.catching_up += usize::from(!is_catching_up);
    }
}

//! Gaps: the ticks that a session misses when its pending ticks are dropped, by topic.

use std::collections::BTreeMap;

use tickwire_protocol::Control;

use super::super::latest::rate_groups::RateGroupId;
use super::super::{Batch, LocalTopicId, Position, SessionId, TopicKey};
use super::Shard;

/// Bytes of control frames pending in all sessions above which no more gaps are queued: a session
/// that lags then ends.
pub(super) const GAPS_BYTES_MAX: usize = 64 << 20;

/// Ticks of a topic that a session is not sent, by sequence number, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) topic: LocalTopicId,
    /// `None` if the first missing tick is unknown.
    pub(super) from: Option<u64>,
    /// `None` if the last missing tick is unknown.
    pub(super) to: Option<u64>,
    /// Whether the last missing tick is the newest of the topic: if the topic is conflated, the
    /// session is still sent that one.
    pub(super) ends_with_newest: bool,
}

impl Gap {
    /// Returns the gap without the newest tick; `None` if nothing else is missing.
    pub(super) fn without_newest(self) -> Option<Self> {
        let to = self.to.map(|to| to - 1);
        let is_empty = to.is_some_and(|to| to < self.from.unwrap_or(1));
        (!is_empty).then_some(Self { to, ..self })
    }
}

impl Shard {
    /// Returns the element that reports a gap. `lagged` tells that the topic continues with
    /// `latest`.
    pub(super) fn gap_control(&self, gap: &Gap, lagged: bool) -> Control {
        let TopicKey { channel, symbol, .. } = self.topics.get(gap.topic).key;
        Control::Gap { channel, symbol, from: gap.from, to: gap.to, lagged }
    }

    /// Returns the gaps of a session whose backlog is dropped. They are exact if the log still
    /// holds the whole backlog.
    pub(super) fn pending_gaps(&self, id: SessionId) -> Vec<Gap> {
        let pending = self.sessions.hot(id).backlog.pending();
        let (Some(oldest), Some(newest)) = (pending.first(), pending.last()) else {
            return Vec::new();
        };
        // A session above its limit is detached, so later ticks are not in its backlog.
        let is_above_limit = pending.len() > self.limits.backlog_ticks;
        let detached_from = match is_above_limit {
            true => self.window.position(*newest).plus(1),
            false => self.head(),
        };
        if self.window.locate(*oldest).is_none() {
            let mut gaps = self.known_gaps(id, detached_from);
            gaps.retain(|gap| gap.ends_with_newest);
            return gaps;
        }
        let mut missed: BTreeMap<LocalTopicId, (u64, u64)> = BTreeMap::new();
        let mut note = |(batch, index): (&Batch, usize),
                        is_wanted: &dyn Fn(LocalTopicId) -> bool| {
            let numbered = &batch.ticks()[index];
            let local = self.topics.local(numbered.topic);
            if let Some(topic) = local.filter(|topic| is_wanted(*topic)) {
                let seq = numbered.tick.seq.0;
                missed.entry(topic).and_modify(|(_, to)| *to = seq).or_insert((seq, seq));
            }
        };
        for found in pending.iter().filter_map(|index| self.window.locate(*index)) {
            note(found, &|_| true);
        }
        for position in detached_from.0..self.head().0 {
            if let Some(found) = self.window.locate_position(Position(position)) {
                note(found, &|topic| self.group_of(id, topic) == Some(RateGroupId::EVERY));
            }
        }
        let gap = |(topic, (from, to))| {
            let ends_with_newest = self.is_newest_missed(id, topic, detached_from);
            Gap { topic, from: Some(from), to: Some(to), ends_with_newest }
        };
        missed.into_iter().map(gap).collect()
    }

    /// Returns the gaps of a session whose catch-up ends early: its backlog, and all ticks that its
    /// cursor has not reached.
    pub(super) fn catch_up_gaps(&self, id: SessionId) -> Vec<Gap> {
        let Some(cursor) = &self.sessions[id].cursor else { return Vec::new() };
        let head = self.head();
        let oldest = self.sessions.hot(id).backlog.oldest();
        let is_exact = oldest.is_none_or(|oldest| self.window.locate(oldest).is_some());
        let pending = self.pending_gaps(id).into_iter();
        let mut gaps: BTreeMap<LocalTopicId, Gap> = pending.map(|gap| (gap.topic, gap)).collect();
        for (topic, is_named) in self.topics_with_every(id) {
            let entry = self.topics.get(topic);
            let Some(last) = &entry.last else { continue };
            let begin = cursor.next.max(cursor.start(topic, is_named, entry.key.channel));
            if last.position < begin {
                continue;
            }
            let is_known = is_exact && begin >= self.window.start();
            let from = last.oldest_seq() + last.positions.count_before(begin, head) as u64;
            let from = is_known.then_some(from);
            let to = Some(last.tick.seq.0);
            let gap = gaps.entry(topic).or_insert(Gap { topic, from, to, ends_with_newest: true });
            gap.to = to;
            gap.ends_with_newest = true;
        }
        gaps.into_values().collect()
    }

    /// Returns a gap for each topic that has ticked and that the session gets tick by tick, with
    /// the bounds that are known without the log. The session missed all ticks from `detached_from`
    /// on.
    fn known_gaps(&self, id: SessionId, detached_from: Position) -> Vec<Gap> {
        let session = &self.sessions[id];
        let gap = |topic: LocalTopicId| {
            let last = self.topics.get(topic).last.as_ref()?;
            (self.group_of(id, topic) == Some(RateGroupId::EVERY)).then(|| Gap {
                topic,
                from: None,
                to: Some(last.tick.seq.0),
                ends_with_newest: self.is_newest_missed(id, topic, detached_from),
            })
        };
        if session.wildcard_channels().any(|(_, group)| group == RateGroupId::EVERY) {
            self.topics.iter().filter_map(|(topic, _)| gap(topic)).collect()
        } else {
            session.named.iter().filter_map(|named| gap(named.topic)).collect()
        }
    }

    /// Returns the gaps for the ticks before `until` that the shard itself has not seen. Any topic
    /// may have ticked there, so there is a gap without bounds for each topic that the session gets
    /// tick by tick, even if it had not ticked before.
    pub(super) fn unseen_gaps(&self, id: SessionId, until: Position) -> Vec<Gap> {
        let mut gaps = self.known_gaps(id, until);
        let named = self.sessions[id].named.iter().map(|named| named.topic);
        let silent = named.filter(|topic| {
            self.topics.get(*topic).last.is_none()
                && self.group_of(id, *topic) == Some(RateGroupId::EVERY)
        });
        gaps.extend(silent.map(|topic| Gap {
            topic,
            from: None,
            to: None,
            ends_with_newest: false,
        }));
        gaps.iter_mut().for_each(|gap| gap.to = None); // how many are missing is unknown
        gaps
    }

    /// Returns whether a session misses the newest tick of a topic: the tick is pending, or arrived
    /// when the session was detached.
    fn is_newest_missed(
        &self,
        id: SessionId,
        topic: LocalTopicId,
        detached_from: Position,
    ) -> bool {
        let Some(newest) = self.topics.get(topic).last_position() else { return false };
        let pending = self.sessions.hot(id).backlog.pending();
        let is_pending =
            || pending.binary_search_by_key(&newest, |index| self.window.position(*index)).is_ok();
        self.group_of(id, topic) == Some(RateGroupId::EVERY)
            && (newest >= detached_from || is_pending())
    }
}

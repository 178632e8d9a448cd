//! Begins the topics of a subscribe command: their values, and where they continue.

use super::super::super::latest::rate_groups::RateGroupId;
use super::super::super::{LocalTopicId, SessionId};
use super::super::Shard;
use super::super::control_queue::encode_controls;
use super::super::resume::SubscribeOutcome;
use super::subscribe_progress::SubscribeProgress;
use super::topic_scan::{TopicScan, Visit};

/// Whether a session has received every tick of a topic since before the command.
pub(super) struct HadEvery(bool);

impl Shard {
    /// Begins topics whose subscriptions have just been added or changed.
    pub(super) fn begin_topics(
        &mut self,
        id: SessionId,
        progress: &mut SubscribeProgress,
        topics: Vec<LocalTopicId>,
    ) {
        for topic in &topics {
            let key = self.topics.get(*topic).key;
            progress.names[key.channel].symbols.push(key.symbol);
        }
        let outcome = self.start_subscriptions(
            id,
            &progress.request,
            topics,
            Vec::new(),
            progress.replay_start,
        );
        let new_topics = self.take_outcome(id, progress, outcome);
        let with_snapshot = progress.request.snapshot.unwrap_or(true);
        progress.has_snapshot |= with_snapshot && !new_topics.is_empty();
        let mut uncovered = Vec::with_capacity(new_topics.len());
        for topic in new_topics {
            let channel = self.topics.get(topic).key.channel;
            let wildcard = self.sessions[id].wildcards[channel];
            if !progress.is_covered(channel) {
                uncovered.push((topic, HadEvery(wildcard == Some(RateGroupId::EVERY))));
            }
        }
        self.send_values(id, progress, uncovered, with_snapshot);
    }

    /// Visits some topics. Returns false if there are none left.
    pub(super) fn continue_scan(
        &mut self,
        id: SessionId,
        progress: &mut SubscribeProgress,
    ) -> bool {
        let TopicScan { next, end, visits } = progress.scan;
        if next >= end {
            return false;
        }
        let until = end.min(next + self.limits.topics_per_piece);
        progress.scan.next = until;
        let feed = self.sessions[id].feed;
        let topics = self.topics.in_slots(next..until).filter(|(_, topic)| topic.key.feed == feed);
        let topics: Vec<(LocalTopicId, Visit)> =
            topics.map(|(local, topic)| (local, visits[topic.key.channel])).collect();
        let begin = self.present(id).head;
        let mut outcome = SubscribeOutcome::default();
        let mut new_topics = Vec::new();
        for (topic, visit) in topics {
            let is_named = self.sessions[id].find_named(topic).is_ok();
            match visit {
                Visit::None => {}
                Visit::Resume { .. } if is_named => {}
                Visit::Resume { at } => {
                    if let Some(resume) = &progress.request.resume {
                        self.resume_by_wildcard(topic, at, &resume.point, &mut outcome);
                    }
                }
                Visit::Begin { with_gaps } => {
                    if with_gaps && !is_named && self.has_ticked_before(topic, begin) {
                        outcome.push_gap(self.topics.get(topic).key, None, None);
                    }
                    let is_new = !is_named || progress.added.binary_search(&topic).is_ok();
                    new_topics.push((topic, HadEvery(!is_new)));
                }
            }
        }
        self.start_at(id, &outcome.starts, false);
        self.take_outcome(id, progress, outcome);
        let with_snapshot = progress.request.snapshot == Some(true);
        if !with_snapshot {
            // Topics by name have their own values.
            new_topics.retain(|(topic, _)| self.sessions[id].find_named(*topic).is_err());
        }
        self.send_values(id, progress, new_topics, with_snapshot);
        true
    }

    /// Keeps the gaps of a piece for the answer, and returns the topics that begin now.
    pub(super) fn take_outcome(
        &self,
        id: SessionId,
        progress: &mut SubscribeProgress,
        outcome: SubscribeOutcome,
    ) -> Vec<LocalTopicId> {
        let encoding = self.sessions[id].encoding;
        progress.gaps.extend(encode_controls(encoding, &outcome.gaps));
        outcome.new_topics
    }

    /// Appends the values of topics to the snapshot: those at the arrival of the command, or the
    /// newest for `latest`. Without a snapshot, and for topics that have ticked only since, ticks
    /// since the arrival are sent as usual.
    pub(super) fn send_values(
        &mut self,
        id: SessionId,
        progress: &mut SubscribeProgress,
        topics: Vec<(LocalTopicId, HadEvery)>,
        with_snapshot: bool,
    ) {
        let begin = self.present(id);
        let mut sources = Vec::with_capacity(topics.len());
        for (topic, HadEvery(had_every)) in topics {
            let is_every = self.group_of(id, topic) == Some(RateGroupId::EVERY);
            let source = self.value_at(topic, begin);
            if is_every {
                let Some((source, continues_at)) = source.filter(|_| with_snapshot) else {
                    continue;
                };
                if let (Some(at), Some(cursor)) = (continues_at, &mut self.sessions[id].cursor) {
                    if had_every {
                        continue; // it continues where it was, without a value
                    }
                    cursor.start_topic(topic, at);
                }
                sources.push(source);
            } else if with_snapshot && let Some(newest) = self.newest_if_known_at(topic, begin) {
                sources.push(newest);
                self.mark_sent(id, topic);
            } else if self.topics.get(topic).last_position().is_some_and(|at| at >= begin.head) {
                self.mark_topic_dirty(id, topic);
            }
        }
        let ticks: Vec<_> = sources.iter().filter_map(|source| self.tick_of(*source)).collect();
        let body_max = self.limits.message_bytes - 3;
        progress.snapshot.append(self.sessions[id].encoding, &ticks, body_max);
    }

    fn mark_sent(&mut self, id: SessionId, topic: LocalTopicId) {
        let Some(group) = self.group_of(id, topic) else { return };
        self.mark_topic_clean(id, group, topic);
        if let Ok(at) = self.sessions[id].find_named(topic) {
            let index = self.sessions[id].named[at].index as usize;
            self.topics.get_mut(topic).subscribers[index].set_dirty(false);
        }
    }
}

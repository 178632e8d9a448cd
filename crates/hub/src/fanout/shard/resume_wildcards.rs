//! Where the `"*"` subscriptions of a peer that resumes begin.

use tickwire_protocol::{Channel, ResumeOutcome, ResumePoint as RequestedPoint, SubscribeRequest};

use super::super::{LocalTopicId, Position, SessionId, TopicKey};
use super::Shard;
use super::resume::{ResumePoint, SubscribeOutcome, resume_point};
use super::topics::Topic;

impl Shard {
    /// Continues the `"*"` of a channel: all its topics that the session does not subscribe to by
    /// name.
    pub(super) fn resume_wildcard(
        &self,
        channel: Channel,
        point: &RequestedPoint,
        outcome: &mut SubscribeOutcome,
    ) {
        let start = self.window.start();
        let head = self.head();
        let at = match point {
            RequestedPoint::Position(position) => {
                let next = Position(*position).plus(1);
                if self.disk.index.holds(next) { next.min(head) } else { next.clamp(start, head) }
            }
            RequestedPoint::After(_) => start,
        };
        outcome.starts.wildcards.push((channel, at));
        if let RequestedPoint::Position(position) = point
            && (at < start || Position(*position).plus(1) >= start)
        {
            return; // nothing can be missing
        }
        outcome.unvisited.push((channel, at));
    }

    /// Visits the topics of `"*"` subscriptions that resume or begin after another epoch.
    pub(super) fn visit_topics(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
        outcome: &mut SubscribeOutcome,
    ) {
        let Some(resume) = &request.resume else { return };
        let is_new_epoch = outcome.resumed == Some(ResumeOutcome::NewEpoch);
        let begins_any = is_new_epoch && !outcome.new_wildcards.is_empty();
        if begins_any || !outcome.unvisited.is_empty() {
            self.visit_all(id, &resume.point, outcome, is_new_epoch);
        }
        if !is_new_epoch && !outcome.gaps.is_empty() {
            outcome.resumed = Some(ResumeOutcome::Gap);
        }
    }

    fn visit_all(
        &mut self,
        id: SessionId,
        point: &RequestedPoint,
        outcome: &mut SubscribeOutcome,
        is_new_epoch: bool,
    ) {
        let session = &self.sessions[id];
        let by_wildcard = |(topic, entry): &(LocalTopicId, &Topic)| {
            entry.key.feed == session.feed && session.find_named(*topic).is_err()
        };
        let topics: Vec<(LocalTopicId, TopicKey)> = self
            .topics
            .iter()
            .filter(by_wildcard)
            .map(|(topic, entry)| (topic, entry.key))
            .collect();
        let unvisited = std::mem::take(&mut outcome.unvisited);
        for (topic, key) in topics {
            if let Some((_, at)) = unvisited.iter().find(|(channel, _)| *channel == key.channel) {
                self.resume_by_wildcard(topic, *at, point, outcome);
            }
            if is_new_epoch
                && outcome.new_wildcards.contains(&key.channel)
                && self.topics.get(topic).last.is_some()
            {
                outcome.push_gap(key, None, None);
            }
        }
    }

    /// Resumes a topic of a `"*"` that resumes at `at`. A topic of which the peer has no tick
    /// begins with everything in the log.
    pub(super) fn resume_by_wildcard(
        &mut self,
        topic: LocalTopicId,
        at: Position,
        point: &RequestedPoint,
        outcome: &mut SubscribeOutcome,
    ) {
        let TopicKey { channel, symbol, .. } = self.topics.get(topic).key;
        let point = resume_point(point, channel, symbol).unwrap_or(ResumePoint::Seq(0));
        self.resume_topic(topic, point, outcome);
        if outcome.starts.topics.last().is_some_and(|(_, its)| *its <= at) {
            outcome.starts.topics.pop(); // it begins with the channel
        }
    }
}

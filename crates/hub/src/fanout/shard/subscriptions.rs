//! Adds and removes the subscriptions of a session by name.

use tickwire_protocol::Channel;

use super::super::latest::rate_groups::RateGroupId;
use super::super::{LocalTopicId, SessionId};
use super::Shard;
use super::session::NamedTopic;
use super::subscriber::Subscriber;
use super::topics::release_unused;

/// Up to this number, topics are inserted one by one; more are sorted in together.
const FEW: usize = 16;

impl Shard {
    /// Adds topics that a session does not subscribe to by name yet.
    pub(super) fn add_topics(
        &mut self,
        id: SessionId,
        added: &[LocalTopicId],
        group_of: impl Fn(Channel) -> RateGroupId,
    ) {
        for topic in added {
            let entry = self.topics.get_mut(*topic);
            let channel = entry.key.channel;
            let index = u32::try_from(entry.subscribers.len()).expect("limits keep this small");
            entry.subscribers.push(Subscriber::new(id, group_of(channel)));
            self.interest.touch(*topic);
            self.join_group(id, group_of(channel));
            let session = &mut self.sessions[id];
            session.totals[channel] += 1;
            let named = NamedTopic { topic: *topic, index };
            if added.len() > FEW {
                session.named.push(named);
            } else if let Err(at) = session.find_named(*topic) {
                session.named.insert(at, named);
            }
            if let Some(group) = session.wildcards[channel] {
                self.mark_topic_clean(id, group, *topic); // the name takes precedence over "*"
            }
        }
        let session = &mut self.sessions[id];
        if added.len() > FEW {
            session.named.sort_by_key(|named| named.topic); // mostly sorted already
            session.named.shrink_to_fit(); // sets rarely grow, and there are many sessions
        }
        self.subscriptions.add(session.client, added.len());
    }

    /// Removes topics that a session subscribes to by name.
    pub(super) fn remove_topics(&mut self, id: SessionId, mut removed: Vec<LocalTopicId>) {
        if removed.is_empty() {
            return;
        }
        self.subscriptions.remove(self.sessions[id].client, removed.len());
        removed.sort_unstable();
        for topic in &removed {
            self.remove_subscriber(id, *topic);
        }
        let session = &mut self.sessions[id];
        let mut removed = removed.into_iter().peekable();
        session.named.retain(|named| {
            while removed.next_if(|topic| *topic < named.topic).is_some() {}
            removed.peek() != Some(&named.topic)
        });
        release_unused(&mut session.named);
    }

    /// Removes a session from a topic's list; the last entry of the list takes its place.
    fn remove_subscriber(&mut self, id: SessionId, topic: LocalTopicId) {
        let session = &mut self.sessions[id];
        let Ok(at) = session.find_named(topic) else { return };
        let index = session.named[at].index;
        let entry = self.topics.get_mut(topic);
        session.totals[entry.key.channel] -= 1;
        let group = entry.subscribers.swap_remove(index as usize).group();
        release_unused(&mut entry.subscribers);
        self.interest.touch(topic);
        if let Some(moved) = entry.subscribers.get(index as usize) {
            let moved = &mut self.sessions[moved.session()];
            if let Ok(at) = moved.find_named(topic) {
                moved.named[at].index = index;
            }
        }
        self.mark_topic_clean(id, group, topic);
        self.leave_group(id, group);
        self.release_topic(topic);
    }

    /// Removes a topic if it has no subscribers and has never ticked.
    pub(super) fn release_topic(&mut self, topic: LocalTopicId) {
        if let Some(change) = self.topics.release(topic) {
            self.interest.push(change);
        }
    }

    /// Removes all subscriptions of a session that ends.
    pub(super) fn remove_subscriptions(&mut self, id: SessionId) {
        for (channel, _) in self.sessions[id].wildcard_channels() {
            self.set_wildcard(id, channel, None);
        }
        self.leave_names(id);
    }
}

//! How the subscriptions of a session are delivered: every tick, or the newest at a rate.

use tickwire_protocol::{Channel, Delivery, DeliveryGroup, SubscriptionSet};

use super::super::latest::rate_groups::{RateGroupId, RateGroups, TooManyRates};
use super::super::{LocalTopicId, SessionId, TopicKey};
use super::Shard;
use super::interest::{InterestChange, TopicInterest};
use super::subscriber::Subscriber;

/// Shortest interval between send times for which ticks may be applied some milliseconds late.
const LAZY_INTERVAL_NS: u64 = 50_000_000;

/// Returns whether the newest tick of a channel may replace earlier ones.
pub(super) fn is_conflated(channel: Channel) -> bool {
    let latest = Delivery::Latest { max_rate: None };
    latest.for_channel(channel) == latest
}

impl Shard {
    /// Returns whether any subscription of a session is `latest`. The kernel should hold little for
    /// such a session, or what it holds is no longer the newest when it arrives.
    #[must_use]
    pub fn conflates(&self, id: SessionId) -> bool {
        self.sessions.hot(id).latest.is_some()
    }

    /// Returns whether any subscription of a session wants every tick.
    pub(super) fn wants_every(&self, id: SessionId) -> bool {
        self.every_subscriptions(id) > 0
    }

    /// Returns the number of subscriptions of a session that want every tick.
    pub(super) fn every_subscriptions(&self, id: SessionId) -> usize {
        let latest = self.sessions.hot(id).latest.as_ref();
        self.sessions[id].subscriptions() - latest.map_or(0, |latest| latest.subscriptions())
    }

    /// Returns the group of a delivery, which is created if necessary. [`Shard::drop_empty_groups`]
    /// must follow, after subscriptions have been added to it.
    pub(super) fn group_for(
        &mut self,
        id: SessionId,
        delivery: Delivery,
    ) -> Result<RateGroupId, TooManyRates> {
        match delivery {
            Delivery::Every => Ok(RateGroupId::EVERY),
            Delivery::Latest { max_rate } => {
                let latest = &mut self.sessions.hot_mut(id).latest;
                latest.get_or_insert_with(|| Box::new(RateGroups::new(id))).group(max_rate)
            }
        }
    }

    /// Drops the rate groups of a session if they have no subscriptions.
    pub(super) fn drop_empty_groups(&mut self, id: SessionId) {
        let latest = &mut self.sessions.hot_mut(id).latest;
        latest.take_if(|latest| latest.subscriptions() == 0);
    }

    /// Returns the delivery of a group.
    pub(super) fn delivery_of(&self, id: SessionId, group: RateGroupId) -> Delivery {
        match (group.index(), &self.sessions.hot(id).latest) {
            (Some(index), Some(latest)) => Delivery::Latest { max_rate: latest.rate(index) },
            _ => Delivery::Every,
        }
    }

    /// Returns the group in which a session gets a topic, by name or by `"*"`; `None` if it does
    /// not subscribe to the topic.
    pub(super) fn group_of(&self, id: SessionId, topic: LocalTopicId) -> Option<RateGroupId> {
        let session = &self.sessions[id];
        let entry = self.topics.get(topic);
        match session.find_named(topic) {
            Ok(at) => Some(entry.subscribers[session.named[at].index as usize].group()),
            Err(_) if entry.key.feed == session.feed => session.wildcards[entry.key.channel],
            Err(_) => None,
        }
    }

    /// Adds a subscription to a group.
    pub(super) fn join_group(&mut self, id: SessionId, group: RateGroupId) {
        self.urgent_subscriptions += usize::from(self.is_urgent(id, group));
        if let (Some(index), Some(latest)) = (group.index(), &mut self.sessions.hot_mut(id).latest)
        {
            latest.add(index);
        }
    }

    /// Removes a subscription from a group.
    pub(super) fn leave_group(&mut self, id: SessionId, group: RateGroupId) {
        self.urgent_subscriptions -= usize::from(self.is_urgent(id, group));
        if let (Some(index), Some(latest)) = (group.index(), &mut self.sessions.hot_mut(id).latest)
        {
            latest.remove(index);
        }
    }

    /// Returns whether ticks for a group are to be applied as soon as they arrive: all but those
    /// for slow rates.
    fn is_urgent(&self, id: SessionId, group: RateGroupId) -> bool {
        match self.delivery_of(id, group) {
            Delivery::Latest { max_rate: Some(rate) } => rate.interval_ns() < LAZY_INTERVAL_NS,
            _ => true,
        }
    }

    /// Marks a topic of a group as clean.
    pub(super) fn mark_topic_clean(
        &mut self,
        id: SessionId,
        group: RateGroupId,
        topic: LocalTopicId,
    ) {
        if let (Some(index), Some(latest)) = (group.index(), &mut self.sessions.hot_mut(id).latest)
        {
            latest.mark_clean(index, topic);
        }
    }

    /// Changes the delivery of a topic that a session subscribes to by name.
    pub(super) fn move_topic(&mut self, id: SessionId, topic: LocalTopicId, to: RateGroupId) {
        let session = &self.sessions[id];
        let Ok(at) = session.find_named(topic) else { return };
        let index = session.named[at].index as usize;
        let entry = &mut self.topics.get_mut(topic).subscribers[index];
        let from = std::mem::replace(entry, Subscriber::new(id, to)).group();
        self.join_group(id, to);
        self.mark_topic_clean(id, from, topic);
        self.leave_group(id, from);
    }

    /// Adds, changes or removes a session's `"*"` of a channel.
    pub(super) fn set_wildcard(
        &mut self,
        id: SessionId,
        channel: Channel,
        to: Option<RateGroupId>,
    ) {
        let session = &mut self.sessions[id];
        let from = std::mem::replace(&mut session.wildcards[channel], to);
        let list = &mut self.wildcards[usize::from(session.feed.0)][channel];
        let at = from.and_then(|_| list.iter().position(|entry| entry.session() == id));
        match (at, to) {
            (Some(at), Some(group)) => list[at] = Subscriber::new(id, group),
            (None, Some(group)) => list.push(Subscriber::new(id, group)),
            (Some(at), None) => drop(list.swap_remove(at)),
            (None, None) => {}
        }
        let delta = i64::from(to.is_some()) - i64::from(from.is_some());
        if delta != 0 {
            let interest = TopicInterest { feed: session.feed, channel, symbol: None };
            self.interest.push(InterestChange { interest, delta });
        }
        session.totals[channel] += u32::from(to.is_some());
        session.totals[channel] -= u32::from(from.is_some());
        self.subscriptions.add(session.client, usize::from(to.is_some()));
        self.subscriptions.remove(session.client, usize::from(from.is_some()));
        if let Some(group) = to {
            self.join_group(id, group);
        }
        if let Some(group) = from {
            self.mark_wildcard_clean(id, channel, group);
            self.leave_group(id, group);
        }
    }

    /// Marks the topics of a channel as clean that a session gets by `"*"`.
    fn mark_wildcard_clean(&mut self, id: SessionId, channel: Channel, group: RateGroupId) {
        let topics = &self.topics;
        let (session, hot) = self.sessions.both_mut(id);
        if let (Some(index), Some(latest)) = (group.index(), &mut hot.latest) {
            latest.retain_dirty(index, |topic| {
                topics.get(topic).key.channel != channel || session.find_named(topic).is_ok()
            });
        }
    }

    /// Marks all topics of channels as clean for a session, those subscribed to by name included,
    /// because a snapshot that holds their newest ticks is about to be queued.
    pub(super) fn mark_channels_clean(&mut self, id: SessionId, channels: &[Channel]) {
        let topics = &mut self.topics;
        let (session, hot) = self.sessions.both_mut(id);
        let Some(latest) = &mut hot.latest else { return };
        latest.retain_all_dirty(|topic| {
            let entry = topics.get_mut(topic);
            let is_cleaned = channels.contains(&entry.key.channel);
            if is_cleaned && let Ok(at) = session.find_named(topic) {
                entry.subscribers[session.named[at].index as usize].set_dirty(false);
            }
            !is_cleaned
        });
    }

    /// Marks a topic as dirty for a session that gets it as `latest`.
    pub(super) fn mark_topic_dirty(&mut self, id: SessionId, topic: LocalTopicId) {
        let Some(index) = self.group_of(id, topic).and_then(RateGroupId::index) else { return };
        let (session, hot) = self.sessions.both_mut(id);
        let Some(latest) = &mut hot.latest else { return };
        latest.mark_dirty(index, topic, self.now);
        if let Ok(at) = session.find_named(topic) {
            let entry = self.topics.get_mut(topic);
            entry.subscribers[session.named[at].index as usize].set_dirty(true);
        }
    }

    /// Updates the flag of each `"*"` subscription of a session that tells whether the session also
    /// subscribes to names of the channel.
    pub(super) fn flag_named_channels(&mut self, id: SessionId) {
        let session = &self.sessions[id];
        for (channel, _) in session.wildcard_channels() {
            let list = &mut self.wildcards[usize::from(session.feed.0)][channel];
            if let Some(entry) = list.iter_mut().find(|entry| entry.session() == id) {
                *entry = entry.with_names(session.totals[channel] > 1);
            }
        }
    }

    /// Changes the delivery of all subscriptions of a session from every tick to `latest`, if the
    /// channel can be conflated.
    pub(super) fn conflate_all(&mut self, id: SessionId) {
        let Ok(group) = self.group_for(id, Delivery::Latest { max_rate: None }) else { return };
        let session = &self.sessions[id];
        let channels: Vec<Channel> = session
            .wildcard_channels()
            .filter(|(channel, group)| *group == RateGroupId::EVERY && is_conflated(*channel))
            .map(|(channel, _)| channel)
            .collect();
        let topics: Vec<LocalTopicId> = session.named.iter().map(|named| named.topic).collect();
        for topic in topics {
            if is_conflated(self.topics.get(topic).key.channel)
                && self.group_of(id, topic) == Some(RateGroupId::EVERY)
            {
                self.move_topic(id, topic, group);
            }
        }
        for channel in channels {
            self.set_wildcard(id, channel, Some(group));
        }
        self.flag_named_channels(id);
        self.drop_empty_groups(id);
    }

    /// Returns the subscriptions of a session that are `latest`, grouped by their delivery.
    pub(super) fn delivery_groups(&self, id: SessionId) -> Vec<DeliveryGroup> {
        let session = &self.sessions[id];
        let mut groups: Vec<(RateGroupId, SubscriptionSet)> = Vec::new();
        let mut add = |group: RateGroupId, add: &dyn Fn(&mut SubscriptionSet)| {
            if group == RateGroupId::EVERY {
                return;
            }
            let at = groups.iter().position(|(known, _)| *known == group).unwrap_or_else(|| {
                groups.push((group, SubscriptionSet::default()));
                groups.len() - 1
            });
            add(&mut groups[at].1);
        };
        for named in &session.named {
            let entry = self.topics.get(named.topic);
            let TopicKey { channel, symbol, .. } = entry.key;
            let group = entry.subscribers[named.index as usize].group();
            add(group, &|names| names[channel].symbols.push(symbol));
        }
        for (channel, group) in session.wildcard_channels() {
            add(group, &|names| names[channel].all = true);
        }
        let with_delivery = |(group, names)| {
            let delivery = self.delivery_of(id, group);
            DeliveryGroup { delivery, names }
        };
        groups.into_iter().map(with_delivery).collect()
    }
}

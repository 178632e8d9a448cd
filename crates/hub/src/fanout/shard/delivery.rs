//! How a session's names are delivered: which lane each is in.

use tickwire_protocol::{Channel, Delivery, DeliveryGroup, SubscriptionSet};

use super::super::latest::{Latest, TooManyRates};
use super::super::subscriber::{LaneId, Subscriber};
use super::super::topics::LocalId;
use super::super::{InterestChange, SessionId, TopicInterest};
use super::Shard;

/// Slots so far apart do not suffer when ticks are seen a little later.
const SLOW_SLOT_NS: u64 = 50_000_000;

/// Whether the newest tick of a channel may stand for those before.
pub(super) fn conflates(channel: Channel) -> bool {
    let newest = Delivery::Latest { max_rate: None };
    newest.for_channel(channel) == newest
}

impl Shard {
    /// Whether a session is served the newest of anything: what the kernel holds for it should be
    /// small, or it is not the newest when it arrives.
    #[must_use]
    pub fn conflates(&self, id: SessionId) -> bool {
        self.hot[id.slot()].latest.is_some()
    }

    /// Whether a session wants every tick of anything.
    pub(super) fn wants_every(&self, id: SessionId) -> bool {
        self.every_names(id) > 0
    }

    /// The lane of a delivery. It may be made for this, and goes with [`Shard::drop_lanes`] unless a
    /// name enters it.
    pub(super) fn lane(
        &mut self,
        id: SessionId,
        delivery: Delivery,
    ) -> Result<LaneId, TooManyRates> {
        match delivery {
            Delivery::Every => Ok(LaneId::EVERY),
            Delivery::Latest { max_rate } => {
                let latest = &mut self.hot[id.slot()].latest;
                latest.get_or_insert_with(|| Box::new(Latest::new(id))).lane(max_rate)
            }
        }
    }

    /// Lets go of lanes that no name is in.
    pub(super) fn drop_lanes(&mut self, id: SessionId) {
        let latest = &mut self.hot[id.slot()].latest;
        latest.take_if(|latest| latest.names() == 0);
    }

    /// How a lane delivers.
    pub(super) fn delivery(&self, id: SessionId, lane: LaneId) -> Delivery {
        match (lane.index(), &self.hot[id.slot()].latest) {
            (Some(index), Some(latest)) => Delivery::Latest { max_rate: latest.rate(index) },
            _ => Delivery::Every,
        }
    }

    /// The lane a topic reaches a session by, if it does.
    pub(super) fn lane_of(&self, id: SessionId, topic: LocalId) -> Option<LaneId> {
        let session = &self.sessions[id.slot()];
        let entry = self.topics.get(topic);
        match session.find(topic) {
            Ok(place) => Some(entry.subscribers[session.names[place].at as usize].lane()),
            Err(_) if entry.key.0 == session.feed => session.wild[entry.key.1],
            Err(_) => None,
        }
    }

    /// A name enters a lane.
    pub(super) fn enter(&mut self, id: SessionId, lane: LaneId) {
        self.eager_names += usize::from(self.is_at_once(id, lane));
        if let (Some(index), Some(latest)) = (lane.index(), &mut self.hot[id.slot()].latest) {
            latest.enter(index);
        }
    }

    /// A name leaves a lane.
    pub(super) fn leave(&mut self, id: SessionId, lane: LaneId) {
        self.eager_names -= usize::from(self.is_at_once(id, lane));
        if let (Some(index), Some(latest)) = (lane.index(), &mut self.hot[id.slot()].latest) {
            latest.leave(index);
        }
    }

    /// Whether ticks of a lane are to be seen as soon as they come: all but those for slow slots.
    fn is_at_once(&self, id: SessionId, lane: LaneId) -> bool {
        match self.delivery(id, lane) {
            Delivery::Latest { max_rate: Some(rate) } => rate.interval_ns() < SLOW_SLOT_NS,
            _ => true,
        }
    }

    /// A topic is not owed to a session any more by a lane.
    pub(super) fn unmark(&mut self, id: SessionId, lane: LaneId, topic: LocalId) {
        if let (Some(index), Some(latest)) = (lane.index(), &mut self.hot[id.slot()].latest) {
            latest.unmark(index, topic);
        }
    }

    /// Changes the delivery of a name the session has.
    pub(super) fn move_name(&mut self, id: SessionId, topic: LocalId, to: LaneId) {
        let session = &self.sessions[id.slot()];
        let Ok(place) = session.find(topic) else { return };
        let at = session.names[place].at as usize;
        let entry = &mut self.topics.get_mut(topic).subscribers[at];
        let from = std::mem::replace(entry, Subscriber::new(id, to)).lane();
        self.enter(id, to);
        self.unmark(id, from, topic);
        self.leave(id, from);
    }

    /// Begins, changes or ends a session's `"*"` of a channel.
    pub(super) fn set_wild(&mut self, id: SessionId, channel: Channel, to: Option<LaneId>) {
        let session = &mut self.sessions[id.slot()];
        let from = std::mem::replace(&mut session.wild[channel], to);
        let list = &mut self.wild[usize::from(session.feed.0)][channel];
        let place = from.and_then(|_| list.iter().position(|entry| entry.session() == id));
        match (place, to) {
            (Some(place), Some(lane)) => list[place] = Subscriber::new(id, lane),
            (None, Some(lane)) => list.push(Subscriber::new(id, lane)),
            (Some(place), None) => drop(list.swap_remove(place)),
            (None, None) => {}
        }
        let delta = i64::from(to.is_some()) - i64::from(from.is_some());
        if delta != 0 {
            let interest = TopicInterest { feed: session.feed, channel, symbol: None };
            self.interest.push(InterestChange { interest, delta });
        }
        session.totals[channel] += u32::from(to.is_some());
        session.totals[channel] -= u32::from(from.is_some());
        self.stats.subscriptions += usize::from(to.is_some());
        self.stats.subscriptions -= usize::from(from.is_some());
        if let Some(lane) = to {
            self.enter(id, lane);
        }
        if let Some(lane) = from {
            self.unmark_wild(id, channel, lane);
            self.leave(id, lane);
        }
    }

    fn unmark_wild(&mut self, id: SessionId, channel: Channel, lane: LaneId) {
        let (session, topics) = (&self.sessions[id.slot()], &self.topics);
        if let (Some(index), Some(latest)) = (lane.index(), &mut self.hot[id.slot()].latest) {
            latest.unmark_unless(index, |topic| {
                topics.get(topic).key.1 != channel || session.find(topic).is_ok()
            });
        }
    }

    /// A session is told the last values of whole channels: it is owed none of them as news, not even
    /// of its names.
    pub(super) fn unmark_channels(&mut self, id: SessionId, channels: &[Channel]) {
        let (session, topics) = (&self.sessions[id.slot()], &mut self.topics);
        let Some(latest) = &mut self.hot[id.slot()].latest else { return };
        latest.unmark_all_unless(|topic| {
            let entry = topics.get_mut(topic);
            let told = channels.contains(&entry.key.1);
            if told && let Ok(place) = session.find(topic) {
                entry.subscribers[session.names[place].at as usize].set_marked(false);
            }
            !told
        });
    }

    /// Notes at each `"*"` of a session whether it has names in the channel too.
    pub(super) fn note_names_beside_wild(&mut self, id: SessionId) {
        let session = &self.sessions[id.slot()];
        for (channel, _) in session.wild_channels() {
            let list = &mut self.wild[usize::from(session.feed.0)][channel];
            if let Some(entry) = list.iter_mut().find(|entry| entry.session() == id) {
                *entry = entry.beside_names(session.totals[channel] > 1);
            }
        }
    }

    /// All names of a session that can be conflated are, from now on.
    pub(super) fn conflate_all(&mut self, id: SessionId) {
        let Ok(lane) = self.lane(id, Delivery::Latest { max_rate: None }) else { return };
        let session = &self.sessions[id.slot()];
        let wild: Vec<Channel> = session
            .wild_channels()
            .filter(|(channel, lane)| *lane == LaneId::EVERY && conflates(*channel))
            .map(|(channel, _)| channel)
            .collect();
        let names: Vec<LocalId> = session.names.iter().map(|name| name.topic).collect();
        for topic in names {
            if conflates(self.topics.get(topic).key.1)
                && self.lane_of(id, topic) == Some(LaneId::EVERY)
            {
                self.move_name(id, topic, lane);
            }
        }
        for channel in wild {
            self.set_wild(id, channel, Some(lane));
        }
        self.note_names_beside_wild(id);
        self.drop_lanes(id);
    }

    /// The newest tick of a topic is owed to a session that conflates it.
    pub(super) fn owe_newest(&mut self, id: SessionId, topic: LocalId) {
        let index = self.lane_of(id, topic).and_then(LaneId::index);
        if let (Some(index), Some(latest)) = (index, &mut self.hot[id.slot()].latest) {
            latest.mark(index, topic, self.now);
            let session = &self.sessions[id.slot()];
            if let Ok(place) = session.find(topic) {
                let at = session.names[place].at as usize;
                self.topics.get_mut(topic).subscribers[at].set_marked(true);
            }
        }
    }

    /// Names of a session that are not delivered tick by tick, grouped by how they are.
    pub(super) fn modes(&self, id: SessionId) -> Vec<DeliveryGroup> {
        let session = &self.sessions[id.slot()];
        let mut modes: Vec<(LaneId, SubscriptionSet)> = Vec::new();
        let mut group = |lane: LaneId, add: &dyn Fn(&mut SubscriptionSet)| {
            if lane == LaneId::EVERY {
                return;
            }
            let place = modes.iter().position(|(known, _)| *known == lane).unwrap_or_else(|| {
                modes.push((lane, SubscriptionSet::default()));
                modes.len() - 1
            });
            add(&mut modes[place].1);
        };
        for name in &session.names {
            let entry = self.topics.get(name.topic);
            let (_, channel, symbol) = entry.key;
            let lane = entry.subscribers[name.at as usize].lane();
            group(lane, &|names| names[channel].symbols.push(symbol));
        }
        for (channel, lane) in session.wild_channels() {
            group(lane, &|names| names[channel].all = true);
        }
        let mode = |(lane, names)| DeliveryGroup { delivery: self.delivery(id, lane), names };
        modes.into_iter().map(mode).collect()
    }
}

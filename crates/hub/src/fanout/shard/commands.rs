//! Carries out commands: subscribe, unsubscribe, list.

use tickwire_protocol::{
    Channel, Command, Control, Delivery, ErrorCode, SubscribeRequest, SubscriptionSet,
};

use super::super::latest::rate_groups::{RATES_MAX, RateGroupId, TooManyRates};
use super::super::{LocalTopicId, Position, SessionId, TopicKey};
use super::Shard;
use super::acks::Ack;
use super::delivery::is_conflated;
use super::refusal::Refusal;
use super::resume::position_before_gaps;
use super::session::{DeliveryState, Session};

/// What a subscribe command changes.
#[derive(Debug, Default)]
pub(super) struct SubscribeChange {
    /// Topics that the session does not subscribe to by name yet.
    pub(super) added: Vec<LocalTopicId>,
    /// Topics that the session subscribes to by name, with another delivery.
    pub(super) moved: Vec<LocalTopicId>,
    /// Channels whose `"*"` the session does not have yet, or has with another delivery.
    pub(super) wildcards: Vec<Channel>,
}

impl Shard {
    /// Carries out a command and queues the answer. The snapshot and the ticks of new subscriptions
    /// come after the ack; no tick of a removed subscription comes after its ack.
    ///
    /// A command over many topics only begins: later turns continue it, and the session's further
    /// commands must wait until then, as they do in [`turn::run`](super::turn::run).
    pub fn command(&mut self, id: SessionId, command: &Command) {
        if self.sessions.hot(id).delivery == DeliveryState::Detached {
            return; // it is ending
        }
        match self.begin_long(id, command) {
            Ok(true) => {}
            Ok(false) => self.carry_out(id, command),
            Err(Refusal { code, detail }) => self.refuse(id, command.id(), code, detail),
        }
    }

    /// Carries out a command over few topics.
    fn carry_out(&mut self, id: SessionId, command: &Command) {
        match command {
            Command::Subscribe(request) => {
                if let Err(Refusal { code, detail }) = self.subscribe(id, request) {
                    self.refuse(id, request.id, code, detail);
                }
            }
            Command::Unsubscribe(request) => self.unsubscribe(id, request),
            Command::List { id: command } => {
                let names = self.subscription_set(id);
                let groups = self.delivery_groups(id);
                let ack = Ack { command: *command, names, groups, ..Ack::default() };
                self.acknowledge(id, ack);
            }
            Command::Auth(_) => self.send_error(id, None, ErrorCode::AlreadyAuthenticated, None),
            Command::Publish(_) | Command::Report(_) => {
                let detail = "publishers connect to /publish".to_owned();
                self.refuse(id, None, ErrorCode::InvalidSyntax, detail);
            }
        }
    }

    fn subscribe(&mut self, id: SessionId, request: &SubscribeRequest) -> Result<(), Refusal> {
        self.stop_needless_catch_up(id);
        let change = self.find_changes(id, request)?;
        let group = match self.check_subscribe(id, request, &change) {
            Ok(group) => group,
            Err(refusal) => {
                for topic in change.added {
                    self.release_topic(topic);
                }
                return Err(refusal);
            }
        };
        self.apply_change(id, &change, group);
        self.drop_empty_groups(id);
        let session = &mut self.sessions[id];
        session.on_lag = request.on_lag.unwrap_or(session.on_lag);
        session.wants_positions |= request.pos;
        let SubscribeChange { added, mut moved, wildcards } = change;
        let mut topics = added;
        topics.append(&mut moved);
        let names = self.names_with_wildcards(&topics, &wildcards);
        let replay_start = request.replay.map(|replay| self.replay_start(replay));
        let outcome = self.start_subscriptions(id, request, topics, wildcards, replay_start);
        let position_before_gaps = position_before_gaps(
            request.resume.as_ref(),
            outcome.resumed,
            !outcome.gaps.is_empty(),
        );
        self.count_subscribe(outcome.resumed, request.replay.is_some());
        let ack = Ack {
            command: request.id,
            names,
            delivery: request.delivery,
            resumed: outcome.resumed,
            from: outcome.replays_from,
            position_before_gaps,
            ..Ack::default()
        };
        self.acknowledge(id, ack);
        self.controls(id, &outcome.gaps);
        self.queue_snapshot(id, &outcome.new_topics, &outcome.new_wildcards, request.snapshot);
        if position_before_gaps.is_some()
            && let Some(Position(pos)) = self.position(id)
        {
            self.control(id, &Control::Position { pos });
        }
        Ok(())
    }

    /// Finds what a command changes. Creates the topics of new names that do not exist.
    ///
    /// # Errors
    /// Fails if there are too many names that have never ticked.
    pub(super) fn find_changes(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
    ) -> Result<SubscribeChange, Refusal> {
        let mut change = SubscribeChange {
            wildcards: self.changed_wildcards(id, request),
            ..Default::default()
        };
        let found = self.find_names(id, request, &mut change);
        dedup_in_order(&mut change.added);
        dedup_in_order(&mut change.moved);
        if let Err(refusal) = found {
            change.added.into_iter().for_each(|topic| self.release_topic(topic));
            return Err(refusal);
        }
        Ok(change)
    }

    /// Returns the channels whose `"*"` a command adds, or changes in its delivery.
    pub(super) fn changed_wildcards(
        &self,
        id: SessionId,
        request: &SubscribeRequest,
    ) -> Vec<Channel> {
        let session = &self.sessions[id];
        let with_all = request.names.iter().filter(|(_, selection)| selection.all);
        let is_changed = |channel: &Channel| {
            session.wildcards[*channel].is_none_or(|group| {
                self.delivery_of(id, group) != request.delivery.for_channel(*channel)
            })
        };
        with_all.map(|(channel, _)| channel).filter(is_changed).collect()
    }

    fn find_names(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
        change: &mut SubscribeChange,
    ) -> Result<(), Refusal> {
        let Session { feed, client, .. } = self.sessions[id];
        for (channel, selection) in request.names.iter() {
            let delivery = request.delivery.for_channel(channel);
            for symbol in &selection.symbols {
                let key = TopicKey { feed, channel, symbol: *symbol };
                let topic = self.topics.find_or_wait(key, client).map_err(|reached| {
                    Refusal::shared_limit("names that have never ticked", reached)
                })?;
                if self.sessions[id].find_named(topic).is_err() {
                    change.added.push(topic);
                } else if let Some(group) = self.group_of(id, topic)
                    && self.delivery_of(id, group) != delivery
                {
                    change.moved.push(topic);
                }
            }
        }
        Ok(())
    }

    /// Checks a change against the limits, and returns the group of its delivery.
    fn check_subscribe(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
        change: &SubscribeChange,
    ) -> Result<RateGroupId, Refusal> {
        self.check_limits(id, change.added.len() + self.new_wildcards(id, &change.wildcards))?;
        self.check_ack(self.ack_size_with(id, self.ack_size(id), &change.added))?;
        self.check_replay(id, request, change)?;
        self.group_of_request(id, request)
    }

    /// Returns the group of the delivery of a command, which is created if necessary.
    ///
    /// # Errors
    /// Fails if the session has too many different rates.
    pub(super) fn group_of_request(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
    ) -> Result<RateGroupId, Refusal> {
        self.group_for(id, request.delivery).map_err(|TooManyRates| {
            Refusal::limit(format!("at most {RATES_MAX} different rates in a session"))
        })
    }

    /// Checks whether a session may have the `"*"` of more channels.
    pub(super) fn check_wildcards(
        &self,
        id: SessionId,
        wildcards: &[Channel],
    ) -> Result<(), Refusal> {
        self.check_limits(id, self.new_wildcards(id, wildcards))
    }

    fn new_wildcards(&self, id: SessionId, wildcards: &[Channel]) -> usize {
        let session = &self.sessions[id];
        wildcards.iter().filter(|channel| session.wildcards[**channel].is_none()).count()
    }

    /// Checks whether a session may have more subscriptions.
    pub(super) fn check_limits(&self, id: SessionId, added: usize) -> Result<(), Refusal> {
        let session = &self.sessions[id];
        let has = session.subscriptions();
        let limit = self.limits.subscriptions_per_session;
        if has + added > limit {
            return Err(Refusal::limit(format!(
                "{added} names in addition to {has}: at most {limit} are allowed in a session"
            )));
        }
        self.subscriptions
            .check(session.client, added)
            .map_err(|reached| Refusal::shared_limit("subscriptions of all sessions", reached))
    }

    fn check_replay(
        &self,
        id: SessionId,
        request: &SubscribeRequest,
        change: &SubscribeChange,
    ) -> Result<(), Refusal> {
        let is_every = |channel: Channel| request.delivery.for_channel(channel) == Delivery::Every;
        let mut topics = change.added.iter().chain(&change.moved);
        let adds_every = change.wildcards.iter().any(|channel| is_every(*channel))
            || topics.any(|topic| is_every(self.topics.get(*topic).key.channel));
        self.refuse_beside_replay(id, request, adds_every)
    }

    /// Changes subscriptions. Channels that can be conflated get the group, others every tick.
    pub(super) fn apply_change(
        &mut self,
        id: SessionId,
        change: &SubscribeChange,
        group: RateGroupId,
    ) {
        let group_of = |channel| if is_conflated(channel) { group } else { RateGroupId::EVERY };
        self.take_over_from_wildcard(id, &change.added, &change.moved, group_of);
        self.add_topics(id, &change.added, group_of);
        for topic in &change.moved {
            let channel = self.topics.get(*topic).key.channel;
            self.move_topic(id, *topic, group_of(channel));
        }
        for channel in &change.wildcards {
            self.set_wildcard(id, *channel, Some(group_of(*channel)));
        }
        self.flag_named_channels(id);
    }

    fn unsubscribe(&mut self, id: SessionId, request: &SubscribeRequest) {
        let session = &self.sessions[id];
        let mut topics = Vec::new();
        let mut wildcards = Vec::new();
        for (channel, selection) in request.names.iter() {
            let feed = session.feed;
            let keys = selection.symbols.iter().map(|s| TopicKey { feed, channel, symbol: *s });
            let known = keys.filter_map(|key| self.topics.find(&key));
            topics.extend(known.filter(|topic| session.find_named(*topic).is_ok()));
            if selection.all && session.wildcards[channel].is_some() {
                wildcards.push(channel);
            }
        }
        dedup_in_order(&mut topics);
        let names = self.names_with_wildcards(&topics, &wildcards);
        self.hand_over_to_wildcard(id, &topics);
        self.remove_topics(id, topics);
        self.end_unsubscribe(id, request.id, names, &wildcards);
    }

    /// Removes `"*"` subscriptions and answers an unsubscribe command.
    pub(super) fn end_unsubscribe(
        &mut self,
        id: SessionId,
        command: Option<u64>,
        names: SubscriptionSet,
        wildcards: &[Channel],
    ) {
        self.remove_wildcard_starts(id, wildcards);
        for channel in wildcards {
            self.set_wildcard(id, *channel, None);
        }
        self.flag_named_channels(id);
        self.drop_empty_groups(id);
        self.acknowledge(id, Ack { command, names, ..Ack::default() });
    }

    fn names_with_wildcards(
        &self,
        topics: &[LocalTopicId],
        wildcards: &[Channel],
    ) -> SubscriptionSet {
        let mut names = self.names_of(topics);
        for channel in wildcards {
            names[*channel].all = true;
        }
        names
    }
}

/// Removes repetitions and keeps the order of first appearance.
pub(super) fn dedup_in_order(topics: &mut Vec<LocalTopicId>) {
    let mut numbered: Vec<(LocalTopicId, usize)> = topics.iter().copied().zip(0..).collect();
    numbered.sort_unstable();
    numbered.dedup_by_key(|(topic, _)| *topic);
    numbered.sort_unstable_by_key(|(_, number)| *number);
    topics.clear();
    topics.extend(numbered.into_iter().map(|(topic, _)| topic));
}

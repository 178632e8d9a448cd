//! Where the subscriptions of a subscribe command begin: now, after the ticks that the peer has, or
//! in the past.

use tickwire_protocol::{
    Channel, Control, Replay, ReplaySpeed, ReplayStart, Resume, ResumeOutcome,
    ResumePoint as RequestedPoint, SubscribeRequest, Symbol, UnixNanos,
};

use super::super::history::playback::Playback;
use super::super::latest::rate_groups::RateGroupId;
use super::super::{LocalTopicId, Position, SessionId, TopicKey};
use super::Shard;
use super::catch_up::Starts;
use super::refusal::Refusal;
use super::session::DeliveryState;
use super::topics::Topic;

/// How the subscriptions of a subscribe command begin.
#[derive(Debug, Default)]
pub(super) struct SubscribeOutcome {
    pub(super) resumed: Option<ResumeOutcome>,
    /// The time at which a replay begins.
    pub(super) replays_from: Option<UnixNanos>,
    /// The ticks that are no longer available.
    pub(super) gaps: Vec<Control>,
    /// Topics that begin now, with their last values.
    pub(super) new_topics: Vec<LocalTopicId>,
    /// Channels whose `"*"` begins now, with last values.
    pub(super) new_wildcards: Vec<Channel>,
    /// Starts of the topics and channels that resume or are replayed.
    starts: Starts,
    /// Receive time before which ticks are not sent.
    since: UnixNanos,
}

/// The last tick of a topic that a peer has.
#[derive(Debug, Clone, Copy)]
enum ResumePoint {
    /// The topic's tick at this position, or its last tick before the position.
    Position(Position),
    /// The tick with this sequence number.
    Seq(u64),
}

impl SubscribeOutcome {
    /// Returns the position that a session may resume from until it has been sent its gaps: the one
    /// that it named, or 0. `None` if there are no gaps.
    pub(super) fn position_before_gaps(&self, requested: Option<&Resume>) -> Option<u64> {
        match (self.resumed?, &requested?.point) {
            _ if self.gaps.is_empty() => None,
            (ResumeOutcome::Gap, RequestedPoint::Position(position)) => Some(*position),
            _ => Some(0),
        }
    }

    fn push_gap(&mut self, key: TopicKey, from: Option<u64>, to: Option<u64>) {
        let TopicKey { channel, symbol, .. } = key;
        self.gaps.push(Control::Gap { channel, symbol, from, to, lagged: false });
    }
}

impl Shard {
    /// Determines where new subscriptions begin, and places the session's cursor there.
    pub(super) fn start_subscriptions(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
    ) -> SubscribeOutcome {
        self.remove_wildcard_starts(id, &wildcards);
        let is_all = self.every_subscriptions(id) == topics.len() + wildcards.len();
        let mut outcome = match (&request.resume, request.replay) {
            (Some(Resume { epoch, point }), _)
                if *epoch == self.epoch && self.has_issued(point) =>
            {
                self.resume(id, point, topics, wildcards)
            }
            (Some(_), _) => self.resume_in_new_epoch(id, topics, wildcards),
            (None, Some(replay)) => self.replay(replay, topics, wildcards),
            (None, None) => SubscribeOutcome {
                new_topics: topics,
                new_wildcards: wildcards,
                ..SubscribeOutcome::default()
            },
        };
        self.place_cursor(id, request.replay, &mut outcome, is_all);
        outcome
    }

    /// Returns whether this epoch can have issued a position. If not, the peer means another epoch
    /// with the same name.
    fn has_issued(&self, point: &RequestedPoint) -> bool {
        match point {
            RequestedPoint::Position(position) => Position(*position) < self.head(),
            RequestedPoint::After(_) => true,
        }
    }

    /// Removes the starts of topics that a session gets by the `"*"` of these channels, because
    /// that subscription is about to get another start or to end.
    pub(super) fn remove_wildcard_starts(&mut self, id: SessionId, wildcards: &[Channel]) {
        let topics = &self.topics;
        let session = &mut self.sessions[id];
        let Some(mut cursor) = session.cursor.take() else { return };
        cursor.retain_topics(|topic| {
            session.find_named(topic).is_ok()
                || topics.channel(topic).is_some_and(|channel| !wildcards.contains(&channel))
        });
        session.cursor = Some(cursor);
    }

    /// Places the cursor where subscriptions begin. In a session that catches up, subscriptions
    /// that begin now need a start too: without one they would be sent earlier ticks.
    fn place_cursor(
        &mut self,
        id: SessionId,
        replay: Option<Replay>,
        outcome: &mut SubscribeOutcome,
        is_all: bool,
    ) {
        let head = self.head();
        let session = &self.sessions[id];
        if let Some(cursor) = &session.cursor {
            // Topics with a start reached the session by "*" before, and continue.
            outcome.new_topics.retain(|topic| !cursor.has_topic(*topic));
        }
        let mut starts = outcome.starts.clone();
        let every = |topic: &&LocalTopicId| self.group_of(id, **topic) == Some(RateGroupId::EVERY);
        starts.topics.extend(outcome.new_topics.iter().filter(every).map(|topic| (*topic, head)));
        let every = |channel: &&Channel| session.wildcards[**channel] == Some(RateGroupId::EVERY);
        let new_wildcards = outcome.new_wildcards.iter().filter(every);
        starts.wildcards.extend(new_wildcards.map(|channel| (*channel, head)));
        let was_catching_up = session.cursor.is_some();
        self.start_at(id, &starts, is_all);
        let start = self.window.start();
        let mut positions = outcome.starts.positions();
        if let Some(cursor) = &mut self.sessions[id].cursor
            && (!was_catching_up || positions.any(|at| at < start))
        {
            // Other subscriptions may then be sent somewhat more than they asked for.
            cursor.since =
                if was_catching_up { cursor.since.min(outcome.since) } else { outcome.since };
        }
        if let Some(Replay { speed: ReplaySpeed::Factor(speed), .. }) = replay
            && let Some(cursor) = &mut self.sessions[id].cursor
        {
            let from = outcome.replays_from.unwrap_or(self.now);
            cursor.playback = Some(Playback { began: self.now, from, speed });
        }
    }

    fn resume(
        &mut self,
        id: SessionId,
        point: &RequestedPoint,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
    ) -> SubscribeOutcome {
        let mut outcome = SubscribeOutcome::default();
        for topic in topics {
            let TopicKey { channel, symbol, .. } = self.topics.get(topic).key;
            match resume_point(point, channel, symbol) {
                Some(point) => self.resume_topic(topic, point, &mut outcome),
                None => outcome.new_topics.push(topic),
            }
        }
        for channel in wildcards {
            self.resume_wildcard(id, channel, point, &mut outcome);
        }
        let is_complete = outcome.gaps.is_empty();
        outcome.resumed =
            Some(if is_complete { ResumeOutcome::Complete } else { ResumeOutcome::Gap });
        self.stats.resumed_complete += u64::from(is_complete);
        self.stats.resumed_with_gap += u64::from(!is_complete);
        outcome
    }

    /// Continues a topic after the last tick that the peer has.
    fn resume_topic(
        &mut self,
        topic: LocalTopicId,
        point: ResumePoint,
        outcome: &mut SubscribeOutcome,
    ) {
        let start = self.window.start();
        let head = self.head();
        let entry = self.topics.get_mut(topic);
        let key = entry.key;
        let has_seen_all = match point {
            ResumePoint::Position(position) => self.coverage.is_complete_from(position.plus(1)),
            ResumePoint::Seq(_) => self.coverage.is_complete(),
        };
        let Some(last) = &mut entry.last else {
            if !has_seen_all {
                outcome.push_gap(key, None, None);
            }
            return outcome.starts.topics.push((topic, head));
        };
        last.positions.trim(start, head);
        let oldest = last.oldest_seq();
        let newest = last.tick.seq.0;
        // Where the topic continues, and the first missing tick, if ticks are missing and it is
        // known.
        let (at, missing) = match point {
            ResumePoint::Position(position) => {
                let next = position.plus(1);
                let is_missed = next < start && last.positions.last_removed() > position;
                if is_missed && self.disk.index.holds(next) {
                    (next, None)
                } else {
                    (next.clamp(start, head), is_missed.then_some(None))
                }
            }
            ResumePoint::Seq(seq) if seq >= newest => (head, None),
            ResumePoint::Seq(seq) => {
                let at = match usize::try_from((seq + 1).saturating_sub(oldest)) {
                    Ok(0) => start, // everything in the log
                    index => {
                        let index = index.ok();
                        index.and_then(|index| last.positions.get(index, head)).unwrap_or(head)
                    }
                };
                (at, (seq + 1 < oldest).then_some(Some(seq + 1)))
            }
        };
        // Ticks that the shard has not seen are unknown, unless the sequence numbers continue after
        // them.
        let is_unknown = !self.coverage.is_complete_from(last.position) && !has_seen_all;
        if missing.is_some() || is_unknown {
            let to = (!is_unknown).then(|| oldest - 1);
            outcome.push_gap(key, missing.flatten(), to);
        }
        outcome.starts.topics.push((topic, at));
    }

    /// Continues the `"*"` of a channel: all its topics that the session does not subscribe to by
    /// name. A topic of which the peer has no tick begins with everything in the log.
    fn resume_wildcard(
        &mut self,
        id: SessionId,
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
        let session = &self.sessions[id];
        let is_by_wildcard = |(topic, entry): &(LocalTopicId, &Topic)| {
            entry.key.feed == session.feed
                && entry.key.channel == channel
                && session.find_named(*topic).is_err()
        };
        let topics: Vec<_> =
            self.topics.iter().filter(is_by_wildcard).map(|(topic, _)| topic).collect();
        for topic in topics {
            let symbol = self.topics.get(topic).key.symbol;
            let point = resume_point(point, channel, symbol).unwrap_or(ResumePoint::Seq(0));
            self.resume_topic(topic, point, outcome);
            if outcome.starts.topics.last().is_some_and(|(_, its)| *its <= at) {
                outcome.starts.topics.pop(); // it begins with the channel
            }
        }
    }

    /// Begins subscriptions of a peer that was in another epoch: how many ticks it misses is
    /// unknown.
    fn resume_in_new_epoch(
        &mut self,
        id: SessionId,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
    ) -> SubscribeOutcome {
        self.stats.resumed_new_epoch += 1;
        let mut outcome = SubscribeOutcome {
            resumed: Some(ResumeOutcome::NewEpoch),
            ..SubscribeOutcome::default()
        };
        for topic in &topics {
            let entry = self.topics.get(*topic);
            if entry.last.is_some() {
                outcome.push_gap(entry.key, None, None);
            }
        }
        let session = &self.sessions[id];
        for (topic, entry) in self.topics.iter() {
            if entry.key.feed == session.feed
                && entry.last.is_some()
                && wildcards.contains(&entry.key.channel)
                && session.find_named(topic).is_err()
            {
                outcome.push_gap(entry.key, None, None);
            }
        }
        outcome.new_topics = topics;
        outcome.new_wildcards = wildcards;
        outcome
    }

    fn replay(
        &mut self,
        replay: Replay,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
    ) -> SubscribeOutcome {
        self.stats.replays += 1;
        let requested = match replay.from {
            ReplayStart::At(time) => time.min(self.now),
            ReplayStart::Ago(ago) => {
                let ago_ns = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
                UnixNanos(self.now.0.saturating_sub(ago_ns))
            }
        };
        let (at, from) = self.replay_start(requested);
        let starts = Starts {
            topics: topics.into_iter().map(|topic| (topic, at)).collect(),
            wildcards: wildcards.into_iter().map(|channel| (channel, at)).collect(),
        };
        SubscribeOutcome {
            replays_from: Some(from),
            since: requested,
            starts,
            ..SubscribeOutcome::default()
        }
    }

    /// Returns the position at which a replay begins, and the time of that position.
    fn replay_start(&self, requested: UnixNanos) -> (Position, UnixNanos) {
        let at = self.window.received_from(requested);
        let is_all = at == self.window.start();
        if is_all
            && let Some(on_disk) = self.disk.index.received_from(requested)
            && on_disk < at
            && let Some(oldest) = self.disk.index.oldest_received()
        {
            return (on_disk, requested.max(oldest));
        }
        let from = match self.window.received(at) {
            Some(first) if is_all => requested.max(first),
            Some(_) => requested,
            None => self.now,
        };
        (at, from)
    }

    /// Refuses a command that combines a replay at a speed with other subscriptions to every tick.
    pub(super) fn refuse_beside_replay(
        &self,
        id: SessionId,
        request: &SubscribeRequest,
        adds_every: bool,
    ) -> Result<(), Refusal> {
        let cursor = self.sessions[id].cursor.as_ref();
        if adds_every && cursor.is_some_and(|cursor| cursor.playback.is_some()) {
            return Err(Refusal::invalid("a replay at a speed is playing: use another connection"));
        }
        let has_speed = request.replay.is_some_and(|replay| replay.speed != ReplaySpeed::Max);
        if has_speed && self.wants_every(id) {
            return Err(Refusal::invalid(
                "field speed: the session has other names with every tick: use another connection",
            ));
        }
        Ok(())
    }

    /// Ends the catch-up of a session that has no subscription to every tick any more.
    pub(super) fn stop_needless_catch_up(&mut self, id: SessionId) {
        let is_catching_up = self.sessions.hot(id).delivery == DeliveryState::CatchingUp;
        if is_catching_up && !self.wants_every(id) {
            self.end_catch_up(id);
            self.sessions.hot_mut(id).delivery = DeliveryState::Live;
        }
    }
}

/// Returns the last tick of a topic that a peer has, if the peer has named one.
fn resume_point(point: &RequestedPoint, channel: Channel, symbol: Symbol) -> Option<ResumePoint> {
    let after = match point {
        RequestedPoint::Position(position) => {
            return Some(ResumePoint::Position(Position(*position)));
        }
        RequestedPoint::After(after) => &after[channel],
    };
    let index = after.binary_search_by_key(&symbol, |(symbol, _)| *symbol).ok()?;
    Some(ResumePoint::Seq(after[index].1.0))
}

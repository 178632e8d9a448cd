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
use super::session::{DeliveryState, WriteState};

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
    /// Channels whose `"*"` resumes at a position and whose topics have to be visited, because
    /// some may continue later or miss ticks.
    pub(super) unvisited: Vec<(Channel, Position)>,
    /// Starts of the topics and channels that resume or are replayed.
    pub(super) starts: Starts,
    /// Receive time before which ticks are not sent.
    since: UnixNanos,
}

/// The last tick of a topic that a peer has.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResumePoint {
    /// The topic's tick at this position, or its last tick before the position.
    Position(Position),
    /// The tick with this sequence number.
    Seq(u64),
}

impl SubscribeOutcome {
    pub(super) fn push_gap(&mut self, key: TopicKey, from: Option<u64>, to: Option<u64>) {
        let TopicKey { channel, symbol, .. } = key;
        self.gaps.push(Control::Gap { channel, symbol, from, to, lagged: false });
    }
}

/// Returns the position that a session may resume from until it has been sent its gaps: the one
/// that it named, or 0. `None` if there are no gaps.
pub(super) fn position_before_gaps(
    requested: Option<&Resume>,
    resumed: Option<ResumeOutcome>,
    has_gaps: bool,
) -> Option<u64> {
    match (resumed?, &requested?.point) {
        _ if !has_gaps => None,
        (ResumeOutcome::Gap, RequestedPoint::Position(position)) => Some(*position),
        _ => Some(0),
    }
}

impl Shard {
    /// Determines where new subscriptions begin, and places the session's cursor there. A replay
    /// begins at `replay_start`.
    pub(super) fn start_subscriptions(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
        replay_start: Option<(Position, UnixNanos)>,
    ) -> SubscribeOutcome {
        self.remove_wildcard_starts(id, &wildcards);
        let is_all = self.every_subscriptions(id) == topics.len() + wildcards.len();
        let mut outcome = self.starts_of(id, request, topics, wildcards, replay_start);
        self.visit_topics(id, request, &mut outcome);
        self.place_cursor(id, request.replay, &mut outcome, is_all);
        outcome
    }

    /// Determines where `"*"` subscriptions begin, and places the session's cursor there. Their
    /// topics are left to be visited.
    pub(super) fn start_wildcards(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
        wildcards: Vec<Channel>,
        replay_start: Option<(Position, UnixNanos)>,
    ) -> SubscribeOutcome {
        self.remove_wildcard_starts(id, &wildcards);
        let mut outcome = self.starts_of(id, request, Vec::new(), wildcards, replay_start);
        self.place_cursor(id, request.replay, &mut outcome, false);
        outcome
    }

    fn starts_of(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
        replay_start: Option<(Position, UnixNanos)>,
    ) -> SubscribeOutcome {
        match (&request.resume, request.replay.zip(replay_start)) {
            (Some(resume), _) if self.may_resume(id, resume) => {
                self.resume(&resume.point, topics, wildcards)
            }
            (Some(_), _) => self.resume_in_new_epoch(id, topics, wildcards),
            (None, Some((replay, start))) => self.replay(replay, start, topics, wildcards),
            (None, None) => SubscribeOutcome {
                new_topics: topics,
                new_wildcards: wildcards,
                ..SubscribeOutcome::default()
            },
        }
    }

    /// Returns whether a session may resume: it names this epoch.
    pub(super) fn may_resume(&self, id: SessionId, resume: &Resume) -> bool {
        resume.epoch == self.epoch && self.has_issued(id, &resume.point)
    }

    /// Counts a subscribe command.
    pub(super) fn count_subscribe(&mut self, resumed: Option<ResumeOutcome>, is_replay: bool) {
        match resumed {
            Some(ResumeOutcome::Complete) => self.stats.resumed_complete += 1,
            Some(ResumeOutcome::Gap) => self.stats.resumed_with_gap += 1,
            Some(ResumeOutcome::NewEpoch) => self.stats.resumed_new_epoch += 1,
            None => self.stats.replays += u64::from(is_replay),
        }
    }

    /// Returns whether this epoch can have issued a position. If not, the peer means another epoch
    /// with the same name.
    fn has_issued(&self, id: SessionId, point: &RequestedPoint) -> bool {
        match point {
            RequestedPoint::Position(position) => Position(*position) < self.present(id).head,
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
        let present = self.present(id).head;
        let session = &self.sessions[id];
        let was_catching_up = session.cursor.as_ref().is_some_and(|cursor| !cursor.only_holds);
        if let Some(cursor) = &session.cursor {
            // Topics with a start reached the session by "*" before, and continue.
            outcome.new_topics.retain(|topic| !cursor.has_topic(*topic));
        }
        let mut starts = outcome.starts.clone();
        if was_catching_up || starts.positions().next().is_some() {
            let every =
                |topic: &&LocalTopicId| self.group_of(id, **topic) == Some(RateGroupId::EVERY);
            let new_topics = outcome.new_topics.iter().filter(every);
            starts.topics.extend(new_topics.map(|topic| (*topic, present)));
            let every =
                |channel: &&Channel| session.wildcards[**channel] == Some(RateGroupId::EVERY);
            let new_wildcards = outcome.new_wildcards.iter().filter(every);
            starts.wildcards.extend(new_wildcards.map(|channel| (*channel, present)));
        }
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
        point: &RequestedPoint,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
    ) -> SubscribeOutcome {
        let mut outcome = SubscribeOutcome {
            resumed: Some(ResumeOutcome::Complete),
            ..SubscribeOutcome::default()
        };
        for topic in topics {
            let TopicKey { channel, symbol, .. } = self.topics.get(topic).key;
            match resume_point(point, channel, symbol) {
                Some(point) => self.resume_topic(topic, point, &mut outcome),
                None => outcome.new_topics.push(topic),
            }
        }
        for channel in wildcards {
            self.resume_wildcard(channel, point, &mut outcome);
        }
        outcome
    }

    /// Continues a topic after the last tick that the peer has.
    pub(super) fn resume_topic(
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

    /// Begins subscriptions of a peer that was in another epoch: how many ticks it misses is
    /// unknown.
    fn resume_in_new_epoch(
        &self,
        id: SessionId,
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
    ) -> SubscribeOutcome {
        let mut outcome = SubscribeOutcome {
            resumed: Some(ResumeOutcome::NewEpoch),
            ..SubscribeOutcome::default()
        };
        let present = self.present(id).head;
        for topic in topics.iter().filter(|topic| self.has_ticked_before(**topic, present)) {
            outcome.push_gap(self.topics.get(*topic).key, None, None);
        }
        outcome.new_topics = topics;
        outcome.new_wildcards = wildcards;
        outcome
    }

    fn replay(
        &self,
        replay: Replay,
        (at, from): (Position, UnixNanos),
        topics: Vec<LocalTopicId>,
        wildcards: Vec<Channel>,
    ) -> SubscribeOutcome {
        let starts = Starts {
            topics: topics.into_iter().map(|topic| (topic, at)).collect(),
            wildcards: wildcards.into_iter().map(|channel| (channel, at)).collect(),
        };
        SubscribeOutcome {
            replays_from: Some(from),
            since: self.requested_start(replay).min(from),
            starts,
            ..SubscribeOutcome::default()
        }
    }

    /// Returns the time at which a replay is to begin.
    fn requested_start(&self, replay: Replay) -> UnixNanos {
        match replay.from {
            ReplayStart::At(time) => time.min(self.now),
            ReplayStart::Ago(ago) => {
                let ago_ns = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
                UnixNanos(self.now.0.saturating_sub(ago_ns))
            }
        }
    }

    /// Returns the position at which a replay begins, and the time of that position.
    pub(super) fn replay_start(&self, replay: Replay) -> (Position, UnixNanos) {
        let requested = self.requested_start(replay);
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
            let hot = self.sessions.hot_mut(id);
            hot.delivery = DeliveryState::Live;
            if hot.write_state == WriteState::Ready {
                self.ready.move_to_live(id);
            }
        }
    }
}

/// Returns the last tick of a topic that a peer has, if the peer has named one.
pub(super) fn resume_point(
    point: &RequestedPoint,
    channel: Channel,
    symbol: Symbol,
) -> Option<ResumePoint> {
    let after = match point {
        RequestedPoint::Position(position) => {
            return Some(ResumePoint::Position(Position(*position)));
        }
        RequestedPoint::After(after) => &after[channel],
    };
    let index = after.binary_search_by_key(&symbol, |(symbol, _)| *symbol).ok()?;
    Some(ResumePoint::Seq(after[index].1.0))
}

//! Subscribing to what was: resume and replay.

use tickwire_protocol::{
    Channel, Control, PerChannel, Replay, ReplaySpeed, ReplayStart, Resume, ResumeOutcome,
    ResumePoint, Seq, SubscribeRequest, Symbol, UnixNanos,
};

use super::super::catch_up::Pace;
use super::super::session::Feed;
use super::super::subscriber::LaneId;
use super::super::topics::LocalId;
use super::super::{Position, SessionId};
use super::Shard;

/// How the new names of a subscribe begin.
#[derive(Debug, Default)]
pub(super) struct Begun {
    pub(super) resumed: Option<ResumeOutcome>,
    /// The time at which a replay begins.
    pub(super) from: Option<UnixNanos>,
    /// What is missing.
    pub(super) gaps: Vec<Control>,
    /// Names that begin now, with their last values.
    pub(super) fresh: Vec<LocalId>,
    /// Channels of which the same is true.
    pub(super) fresh_wild: Vec<Channel>,
    /// Where names begin that go on or are replayed.
    topics: Vec<(LocalId, Position)>,
    wild: Vec<(Channel, Position)>,
    /// What was received before is not wanted.
    since: UnixNanos,
}

/// The last tick of a topic that a peer has.
#[derive(Debug, Clone, Copy)]
enum Behind {
    Position(Position),
    Seq(u64),
}

type After = PerChannel<Vec<(Symbol, Seq)>>;

impl Begun {
    /// The position a session may resume from as long as it has not been told what it misses, if it does
    /// miss anything: the one it named, or one before all ticks.
    pub(super) fn before_gaps(&self, asked: Option<&Resume>) -> Option<u64> {
        match (self.resumed?, &asked?.point) {
            _ if self.gaps.is_empty() => None,
            (ResumeOutcome::Gap, ResumePoint::Position(position)) => Some(*position),
            _ => Some(0),
        }
    }
}

impl Shard {
    /// Makes new names begin where a subscribe wants them to.
    pub(super) fn begin(
        &mut self,
        id: SessionId,
        asked: &SubscribeRequest,
        topics: Vec<LocalId>,
        wild: Vec<Channel>,
    ) -> Begun {
        self.forget_places(id, &wild);
        let alone = self.every_names(id) == topics.len() + wild.len();
        let mut begun = match (&asked.resume, asked.replay) {
            (Some(Resume { epoch, point }), _)
                if *epoch == self.epoch && self.has_come_to(point) =>
            {
                self.resume(id, point, topics, wild)
            }
            (Some(_), _) => self.resume_in_other_epoch(id, topics, wild),
            (None, Some(replay)) => self.replay(replay, topics, wild),
            (None, None) => Begun { fresh: topics, fresh_wild: wild, ..Begun::default() },
        };
        self.place(id, asked.replay, &mut begun, alone);
        begun
    }

    /// Whether this epoch can have given a peer that position. If not, it is not the epoch the peer means.
    fn has_come_to(&self, point: &ResumePoint) -> bool {
        match point {
            ResumePoint::Position(position) => Position(*position) < self.head(),
            ResumePoint::After(_) => true,
        }
    }

    /// The `"*"` of channels begins anew, or ends: topics that came by it have no place any more.
    pub(super) fn forget_places(&mut self, id: SessionId, wild: &[Channel]) {
        let Self { sessions, topics, .. } = self;
        let session = &mut sessions[id.slot()];
        let Some(mut cursor) = session.catch_up.take() else { return };
        cursor.forget_unless(|topic| {
            session.find(topic).is_ok()
                || topics.channel(topic).is_some_and(|channel| !wild.contains(&channel))
        });
        session.catch_up = Some(cursor);
    }

    /// Puts the cursor where names begin. In a session that catches up also those that begin now need a
    /// place, or they would be sent what was before.
    fn place(&mut self, id: SessionId, replay: Option<Replay>, begun: &mut Begun, alone: bool) {
        let head = self.head();
        let session = &self.sessions[id.slot()];
        if let Some(cursor) = &session.catch_up {
            // They have come by "*" so far, and go on.
            begun.fresh.retain(|topic| cursor.own(*topic).is_none());
        }
        let every = |topic: &&LocalId| self.lane_of(id, **topic) == Some(LaneId::EVERY);
        let fresh = begun.fresh.iter().filter(every).map(|topic| (*topic, head));
        let topics: Vec<_> = begun.topics.iter().copied().chain(fresh).collect();
        let every = |channel: &&Channel| session.wild[**channel] == Some(LaneId::EVERY);
        let fresh = begun.fresh_wild.iter().filter(every).map(|channel| (*channel, head));
        let wild: Vec<_> = begun.wild.iter().copied().chain(fresh).collect();
        let was_catching_up = self.sessions[id.slot()].catch_up.is_some();
        self.begin_at(id, &topics, &wild, alone);
        let start = self.view.start();
        let mut begins =
            begun.topics.iter().map(|(_, at)| *at).chain(begun.wild.iter().map(|(_, at)| *at));
        if let Some(cursor) = &mut self.sessions[id.slot()].catch_up
            && (!was_catching_up || begins.any(|at| at < start))
        {
            // Names with other beginnings may be sent a little more than they asked for.
            cursor.since =
                if was_catching_up { cursor.since.min(begun.since) } else { begun.since };
        }
        if let Some(Replay { speed: ReplaySpeed::Factor(speed), .. }) = replay
            && let Some(cursor) = &mut self.sessions[id.slot()].catch_up
        {
            let from = begun.from.unwrap_or(self.now);
            cursor.pace = Some(Pace { began: self.now, from, speed });
        }
    }

    fn resume(
        &mut self,
        id: SessionId,
        point: &ResumePoint,
        topics: Vec<LocalId>,
        wild: Vec<Channel>,
    ) -> Begun {
        let mut begun = Begun::default();
        for topic in topics {
            let (_, channel, symbol) = self.topics.get(topic).key;
            match behind(point, channel, symbol) {
                Some(point) => self.go_on(topic, point, &mut begun),
                None => begun.fresh.push(topic),
            }
        }
        for channel in wild {
            self.go_on_with_all(id, channel, point, &mut begun);
        }
        begun.resumed =
            Some(if begun.gaps.is_empty() { ResumeOutcome::Complete } else { ResumeOutcome::Gap });
        self.stats.resumed_all += u64::from(begun.gaps.is_empty());
        self.stats.resumed_gap += u64::from(!begun.gaps.is_empty());
        begun
    }

    /// A topic goes on behind the last tick a peer has.
    fn go_on(&mut self, topic: LocalId, behind: Behind, begun: &mut Begun) {
        let (start, head) = (self.view.start(), self.head());
        let entry = self.topics.get_mut(topic);
        let (_, channel, symbol) = entry.key;
        let knows_all = match behind {
            Behind::Position(position) => position.plus(1) >= self.unseen_until,
            Behind::Seq(_) => self.unseen_until == Position(0),
        };
        let Some(last) = &mut entry.last else {
            if !knows_all {
                begun.gaps.push(Control::Gap {
                    channel,
                    symbol,
                    from: None,
                    to: None,
                    lagged: false,
                });
            }
            return begun.topics.push((topic, head));
        };
        last.past.trim(start, head);
        let (oldest, newest) = (last.oldest_seq(), last.tick.seq.0);
        let (at, missing) = match behind {
            Behind::Position(position) => {
                let next = position.plus(1);
                let is_missed = next < start && last.past.gone() > position;
                if is_missed && self.disk_index.holds(next) {
                    (next, None)
                } else {
                    (next.clamp(start, head), is_missed.then_some(None))
                }
            }
            Behind::Seq(seq) if seq >= newest => (head, None),
            Behind::Seq(seq) => {
                let at = match usize::try_from((seq + 1).saturating_sub(oldest)) {
                    Ok(0) => start, // all there is
                    place => {
                        place.ok().and_then(|place| last.past.position(place, head)).unwrap_or(head)
                    }
                };
                (at, (seq + 1 < oldest).then_some(Some(seq + 1)))
            }
        };
        // What the shard has not seen, nobody knows, unless the numbers go on behind it.
        let unseen = last.at < self.unseen_until && !knows_all;
        let to = (!unseen).then(|| oldest - 1);
        if missing.is_some() || unseen {
            let from = missing.flatten();
            begun.gaps.push(Control::Gap { channel, symbol, from, to, lagged: false });
        }
        begun.topics.push((topic, at));
    }

    /// All topics of a channel go on that are not named; of those a peer does not know it wants all
    /// there is.
    fn go_on_with_all(
        &mut self,
        id: SessionId,
        channel: Channel,
        point: &ResumePoint,
        begun: &mut Begun,
    ) {
        let (start, head) = (self.view.start(), self.head());
        let at = match point {
            ResumePoint::Position(position) => {
                let next = Position(*position).plus(1);
                if self.disk_index.holds(next) { next.min(head) } else { next.clamp(start, head) }
            }
            ResumePoint::After(_) => start,
        };
        begun.wild.push((channel, at));
        if let ResumePoint::Position(position) = point
            && (at < start || Position(*position).plus(1) >= start)
        {
            return; // nothing can be missing
        }
        let session = &self.sessions[id.slot()];
        let ours = |(topic, entry): &(LocalId, &super::super::topics::Topic)| {
            let (feed, of, _) = entry.key;
            feed == session.feed && of == channel && session.find(*topic).is_err()
        };
        let topics: Vec<_> = self.topics.iter().filter(ours).map(|(topic, _)| topic).collect();
        for topic in topics {
            let (.., symbol) = self.topics.get(topic).key;
            let behind = behind(point, channel, symbol);
            let others = begun.topics.len();
            self.go_on(topic, behind.unwrap_or(Behind::Seq(0)), begun);
            if begun.topics.last().is_some_and(|(_, its)| begun.topics.len() > others && *its <= at)
            {
                begun.topics.pop(); // it begins with the others
            }
        }
    }

    /// Nobody knows what is missing: numbers mean something else now.
    fn resume_in_other_epoch(
        &mut self,
        id: SessionId,
        topics: Vec<LocalId>,
        wild: Vec<Channel>,
    ) -> Begun {
        self.stats.resumed_epoch += 1;
        let feed = self.sessions[id.slot()].feed;
        let mut gaps = Vec::new();
        let mut tell = |(_, channel, symbol): super::super::topics::Key| {
            gaps.push(Control::Gap { channel, symbol, from: None, to: None, lagged: false });
        };
        for topic in &topics {
            let entry = self.topics.get(*topic);
            entry.last.is_some().then(|| tell(entry.key));
        }
        for (topic, entry) in self.topics.iter() {
            let (of, channel, _) = entry.key;
            let named = || self.sessions[id.slot()].find(topic).is_ok();
            if of == feed && entry.last.is_some() && wild.contains(&channel) && !named() {
                tell(entry.key);
            }
        }
        let resumed = Some(ResumeOutcome::NewEpoch);
        Begun { resumed, gaps, fresh: topics, fresh_wild: wild, ..Begun::default() }
    }

    fn replay(&mut self, replay: Replay, topics: Vec<LocalId>, wild: Vec<Channel>) -> Begun {
        self.stats.replays += 1;
        let asked = match replay.from {
            ReplayStart::At(time) => time.min(self.now),
            ReplayStart::Ago(ago) => {
                let ago_ns = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
                UnixNanos(self.now.0.saturating_sub(ago_ns))
            }
        };
        let (at, from) = self.replay_from(asked);
        Begun {
            from: Some(from),
            since: asked,
            topics: topics.into_iter().map(|topic| (topic, at)).collect(),
            wild: wild.into_iter().map(|channel| (channel, at)).collect(),
            ..Begun::default()
        }
    }

    /// Where a replay begins, and the time that is.
    fn replay_from(&self, asked: UnixNanos) -> (Position, UnixNanos) {
        let at = self.view.received_from(asked);
        let is_all = at == self.view.start();
        if is_all
            && let Some(older) = self.disk_index.received_from(asked).filter(|older| *older < at)
            && let Some(oldest) = self.disk_index.oldest_received()
        {
            return (older, asked.max(oldest));
        }
        let from = match self.view.received(at) {
            Some(first) if is_all => asked.max(first),
            Some(_) => asked,
            None => self.now,
        };
        (at, from)
    }

    /// Why a session may not have more names now that are delivered tick by tick, if it may not: a
    /// replay at a pace is alone.
    pub(super) fn refuse_beside_replay(
        &self,
        id: SessionId,
        asked: &SubscribeRequest,
        adds_every: bool,
    ) -> Option<&'static str> {
        let plays = self.sessions[id.slot()].catch_up.as_ref().is_some_and(|c| c.pace.is_some());
        let is_paced = |replay: Replay| replay.speed != ReplaySpeed::Max;
        if plays && adds_every {
            return Some("a replay at a speed is playing: use another connection");
        }
        (asked.replay.is_some_and(is_paced) && self.wants_every(id)).then_some(
            "field speed: the session has other names with every tick: use another connection",
        )
    }

    /// A session that wants every tick of nothing any more has nothing to catch up on.
    pub(super) fn stop_needless_catch_up(&mut self, id: SessionId) {
        if self.hot[id.slot()].feed == Feed::CatchingUp && !self.wants_every(id) {
            self.end_catch_up(id);
            self.hot[id.slot()].feed = Feed::Live;
        }
    }
}

/// The last tick a peer has of a topic, if it says.
fn behind(point: &ResumePoint, channel: Channel, symbol: Symbol) -> Option<Behind> {
    let after: &After = match point {
        ResumePoint::Position(position) => return Some(Behind::Position(Position(*position))),
        ResumePoint::After(after) => after,
    };
    let place = after[channel].binary_search_by_key(&symbol, |(symbol, _)| *symbol).ok()?;
    Some(Behind::Seq(after[channel][place].1.0))
}

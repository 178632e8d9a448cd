//! Expectations for resumed and replayed names.

use tickwire_protocol::{
    Command, Control, Delivery, Replay, ReplaySpeed, ReplayStart, Resume, ResumeOutcome,
    ResumePoint, SubscribeRequest, UnixNanos,
};

use super::{Mode, Observer, Paced, Track};
use crate::connection::Expected;
use crate::oracle::{Facts, Name};

/// First and last number of a gap, as far as the hub knows them.
pub(super) type Gap = (Option<u64>, Option<u64>);

/// Returns the position at which a new name or wildcard starts; `None` for now.
pub(super) fn begin(
    expected: &Expected,
    asked: &SubscribeRequest,
    name: Option<Name>,
    epoch: Option<&str>,
    facts: &Facts<'_>,
) -> Option<u64> {
    match (&asked.resume, asked.replay) {
        (Some(Resume { epoch: of, point }), _) if epoch == Some(of) => match point {
            ResumePoint::Position(position) => Some(position + 1),
            ResumePoint::After(_) => match name {
                Some(name) => after(point, name).map(|_| 1),
                None => Some(1),
            },
        },
        (None, Some(replay)) => {
            let from = facts.oracle.received_from(asked_ns(replay, expected.now_ns));
            Some(from.clamp(expected.start, expected.head))
        }
        _ => None,
    }
}

/// Returns the number of the last tick that a peer claims to have.
fn after(point: &ResumePoint, (channel, symbol): Name) -> Option<u64> {
    let ResumePoint::After(after) = point else { return None };
    after[channel].iter().find(|(of, _)| *of == symbol).map(|(_, seq)| seq.0)
}

fn asked_ns(replay: Replay, now_ns: u64) -> u64 {
    match replay.from {
        ReplayStart::At(time) => time.0.min(now_ns),
        ReplayStart::Ago(ago) => now_ns - u64::try_from(ago.as_nanos()).unwrap(),
    }
}

impl Observer {
    /// Starts a name as [`begin`] says. Its evicted ticks must be reported next.
    pub(super) fn begin_resumed(
        &mut self,
        expected: &Expected,
        asked: &SubscribeRequest,
        name: Name,
        begin: Option<u64>,
        facts: &Facts<'_>,
    ) {
        let Some(resume) = &asked.resume else { return };
        self.catches_up = true;
        self.position = 0;
        let Some(base) = begin else {
            if self.epoch.as_ref() != Some(&resume.epoch) && expected.ticked.contains(&name) {
                self.gaps_due.insert(name, (None, None));
            }
            return;
        };
        let topic = self.topic(name);
        let known = after(&resume.point, name);
        let last = known.unwrap_or_else(|| facts.oracle.count_before(topic, base));
        if !facts.unseen.is_empty() {
            self.tracks.insert(name, Track::AfterGap { last });
            return;
        }
        self.tracks.insert(name, Track::Every { next: last + 1 });
        let evicted = facts.oracle.count_before(topic, expected.start);
        if evicted > last && expected.ticked.contains(&name) {
            let by_number = matches!(resume.point, ResumePoint::After(_));
            self.gaps_due.insert(name, (by_number.then_some(last + 1), Some(evicted)));
        }
    }

    /// Checks the part of an ack about history.
    pub(super) fn check_history(
        &mut self,
        expected: &Expected,
        asked: &SubscribeRequest,
        resumed: Option<ResumeOutcome>,
        from: Option<UnixNanos>,
        facts: &Facts<'_>,
    ) {
        self.positioned |= asked.pos;
        let outcome = match (&asked.resume, &self.epoch) {
            (None, _) => None,
            (Some(resume), Some(epoch)) if resume.epoch != *epoch => Some(ResumeOutcome::NewEpoch),
            _ if self.gaps_due.is_empty() => Some(ResumeOutcome::Complete),
            _ => Some(ResumeOutcome::Gap),
        };
        let may_miss_more = !facts.unseen.is_empty() || facts.start > expected.start;
        let has_more = may_miss_more && resumed == Some(ResumeOutcome::Gap);
        assert!(
            resumed == outcome || !facts.unseen.is_empty() || has_more,
            "{resumed:?}: {:?}",
            self.gaps_due
        );
        assert_eq!(from.is_some(), asked.replay.is_some());
        if let (Some(replay), Some(UnixNanos(from_ns))) = (asked.replay, from) {
            self.catches_up = true;
            self.position = 0;
            let now_ns = expected.now_ns;
            assert!(
                (asked_ns(replay, now_ns)..=now_ns).contains(&from_ns),
                "{replay:?}: {from_ns}"
            );
            if let ReplaySpeed::Factor(speed) = replay.speed
                && asked.names.total() > 0
            {
                let thousandths = speed.thousandths().into();
                let head = expected.head;
                self.paced = Some(Paced { head, began_ns: now_ns, from_ns, thousandths });
            }
        }
    }

    /// Handles a received position.
    pub(super) fn check_position(&mut self, pos: Option<u64>, facts: &Facts<'_>) {
        assert_eq!(pos.is_some(), self.positioned, "positions are sent exactly if requested");
        self.last_position = pos;
        self.check_last_position(facts);
    }

    /// Asserts that a refused command conflicts with a paced replay, which must be the only
    /// subscription to every tick.
    pub(super) fn check_refusal(&self, expected: &Expected) {
        let Command::Subscribe(asked) = &expected.command else {
            panic!("refused: {expected:?}");
        };
        let every = |mode: &Mode| mode.delivery == Delivery::Every;
        let has = self.names.values().chain(self.wildcards.values()).any(every);
        let paced = |replay: Replay| replay.speed != ReplaySpeed::Max;
        let conflicts = asked.replay.is_some_and(paced) && has;
        assert!(self.paced.is_some() || conflicts, "refused: {asked:?}");
    }

    /// Handles a gap that follows an answer. It is longer if the log moved on while the command was
    /// carried out in pieces.
    pub(super) fn resumed_gap(
        &mut self,
        name: Name,
        (from, to): Gap,
        expected: Gap,
        facts: &Facts<'_>,
    ) {
        let is_evicted = |to: u64| {
            facts.oracle.position(self.topic(name), to).is_some_and(|at| at < facts.start)
        };
        let is_longer = to > expected.1 && expected.1.is_some() && to.is_some_and(is_evicted);
        assert!(to == expected.1 || is_longer, "gap of {name:?} to {to:?}, not {expected:?}");
        assert!(from == expected.0 || from.is_none(), "gap of {name:?}: {from:?}, {expected:?}");
        if let Some(to) = to {
            self.tracks.insert(name, Track::Every { next: to + 1 });
            self.has.insert(name, to);
        }
    }

    /// Handles a gap of a cursor that the log overtook.
    pub(super) fn overtaken(&mut self, name: Name, (from, to): Gap, facts: &Facts<'_>) {
        assert!(self.catches_up, "a gap of {name:?} from {from:?} to {to:?}");
        let track = self.track(name, facts);
        if !facts.unseen.is_empty() {
            if let Some(track) = track {
                self.tracks.insert(name, Track::AfterGap { last: track.last() });
            }
            return;
        }
        let Some(Track::Every { next }) = track else {
            panic!("a gap of {name:?} in state {track:?}");
        };
        let to = to.expect("the shard has seen all ticks");
        assert!(
            from.is_none_or(|from| from == next) && to >= next,
            "gap of {name:?} to {to}, expected from {next}"
        );
        let at = facts.oracle.position(self.topic(name), to).expect("the topic has this tick");
        assert!(at < facts.start, "gap of {name:?} to {to}, which is not evicted");
        self.tracks.insert(name, Track::Every { next: to + 1 });
        self.has.insert(name, to);
    }

    /// Returns whether a control element may come now: before expected gaps, only gaps and errors
    /// may.
    pub(super) fn may_precede_gaps(&self, control: &Control) -> bool {
        self.gaps_due.is_empty() || matches!(control, Control::Gap { .. } | Control::Error { .. })
    }
}

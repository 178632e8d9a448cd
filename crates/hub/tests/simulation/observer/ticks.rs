//! Ticks: each must be one that the hub sent, and the next of its topic.

use tickwire_protocol::Tick;

use super::{Observer, Paced, Snapshot, Track};
use crate::oracle::{Facts, Name};

impl Observer {
    pub(super) fn tick(&mut self, tick: &Tick, facts: &Facts<'_>) {
        let name = (tick.channel(), tick.symbol);
        let (position, true_tick) = facts
            .oracle
            .tick(self.topic(name), tick.seq.0)
            .unwrap_or_else(|| panic!("the hub never sent {tick:?}"));
        assert_eq!(tick, true_tick);
        self.ticks += 1;
        assert!(self.gaps_due.is_empty(), "{tick:?} comes before {:?}", self.gaps_due);
        self.has.insert(name, tick.seq.0);
        match &mut self.snapshot {
            Snapshot::Open(values) => {
                let is_unknown = self.catches_up && !facts.unseen.is_empty();
                let value = values.remove(&name).or_else(|| is_unknown.then_some(0));
                let value = value.expect("the snapshot has each topic once");
                let may_be_newer = self.catches_up; // the command was carried out in pieces
                assert!(
                    value == tick.seq.0 || may_be_newer && value < tick.seq.0,
                    "last value of {name:?}: {}, not {value}",
                    tick.seq.0
                );
                return self.has_value(name, value, tick.seq.0, facts);
            }
            Snapshot::Due(_) => panic!("{tick:?} comes before the snapshot"),
            Snapshot::None => {}
        }
        let track = self
            .track(name, facts)
            .unwrap_or_else(|| panic!("{tick:?} belongs to no subscription"));
        let seq = tick.seq.0;
        let follows = match track {
            Track::Every { next } => {
                let skips = self.may_skip && self.log_overruns && seq > next;
                assert!(seq == next || skips, "{name:?}: {seq}, not {next}");
                Track::Every { next: seq + 1 }
            }
            Track::AfterGap { last } => {
                assert!(seq > last, "{name:?}: {seq} repeats a tick up to {last}");
                Track::Every { next: seq + 1 }
            }
            Track::Latest { last, .. } => {
                assert!(seq > last, "{name:?}: {seq} is not newer than {last}");
                Track::Latest { last: seq, waived: 0 }
            }
        };
        if matches!(follows, Track::Every { .. }) {
            assert!(
                position > self.position || self.may_skip && self.log_overruns,
                "position {position} comes after {}",
                self.position
            );
            self.position = position;
            self.received.insert(name);
            self.check_pace(position, facts);
        } else {
            self.received.remove(&name);
        }
        self.tracks.insert(name, follows);
    }

    /// Asserts that a paced replay is not early.
    pub(super) fn check_pace(&self, position: u64, facts: &Facts<'_>) {
        let Some(Paced { head, began_ns, from_ns, thousandths }) = self.paced else { return };
        if position >= head {
            return; // the tick may be live
        }
        let since = facts.oracle.received_ns(position).saturating_sub(from_ns);
        let due_ns = began_ns + since * 1_000 / thousandths;
        assert!(due_ns <= facts.now_ns + 1_000, "{position} is due at {due_ns}");
    }

    /// Handles a snapshot value: older ticks of its topic are no longer expected. The topic may
    /// have ticked since the command, when its value was `before`.
    pub(super) fn has_value(&mut self, name: Name, before: u64, seq: u64, facts: &Facts<'_>) {
        match self.track(name, facts) {
            Some(Track::Latest { last, waived }) => {
                self.tracks.insert(name, Track::Latest { last: last.max(seq), waived });
            }
            Some(Track::Every { next }) if next == before + 1 => {
                self.tracks.insert(name, Track::Every { next: seq + 1 });
            }
            _ => {}
        }
    }

    /// Asserts that the client has everything up to a position. Ticks that the shard has not seen
    /// cannot count as the newest.
    pub(crate) fn check_complete(&self, head: u64, facts: &Facts<'_>) {
        for name in facts.oracle.names(self.feed) {
            let newest = facts.last_before(self.topic(name), head);
            let (last, waived) = match self.track(name, facts) {
                Some(Track::Every { next }) => {
                    let skips = self.may_skip && self.log_overruns;
                    assert!(
                        next == newest + 1 || skips,
                        "{name:?}: expects {next}, newest {newest}"
                    );
                    continue;
                }
                Some(Track::Latest { last, waived }) => (last, waived),
                Some(Track::AfterGap { .. }) | None => continue,
            };
            let at = facts.oracle.position(self.topic(name), newest).unwrap_or_default();
            let is_seen = !facts.unseen.iter().any(|unseen| unseen.contains(&at));
            assert!(
                last == newest || newest <= waived || !is_seen,
                "{name:?}: has {last}, newest {newest}"
            );
        }
        assert!(matches!(self.snapshot, Snapshot::None), "{:?} is not complete", self.snapshot);
    }
}

//! The pending newest ticks of a session, and the times at which they may be sent.

use std::collections::{BTreeMap, BTreeSet};

use tickwire_protocol::MaxRate;

use super::Name;

/// A rate group: names of a session that share a rate. Without a rate, ticks are sent as fast as
/// the socket accepts them.
pub(crate) type Rate = Option<MaxRate>;

/// Greatest delay of a timer: the step of the timer wheel.
pub(crate) const STEP_NS: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// Offset of the session's send times within an interval, in units of 2^-32. The only number
    /// taken from the core: it is required only to differ between sessions.
    phase: u64,
    lanes: BTreeMap<Rate, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    owed: BTreeSet<Name>,
    /// Ticks left to send at the current send time.
    slot: BTreeSet<Name>,
    /// The next send time; valid while a tick is pending.
    opens: u64,
}

impl Lane {
    fn is_due(&self, rate: Rate, now: u64) -> bool {
        !self.owed.is_empty() && (rate.is_none() || !self.slot.is_empty() || self.opens <= now)
    }
}

impl Slots {
    pub(crate) fn new(session: u32) -> Self {
        let phase = u64::from(session.wrapping_mul(0x9e37_79b9) & 0xf000_0000);
        Self { phase, lanes: BTreeMap::new() }
    }

    /// Marks a topic's newest tick as pending. Returns whether one was pending already.
    pub(crate) fn owe(
        &mut self,
        name: Name,
        rate: Rate,
        rates: &BTreeSet<MaxRate>,
        now: u64,
    ) -> bool {
        let next = self.next_slot(rate, rates, now);
        let lane = self.lanes.entry(rate).or_default();
        if lane.owed.is_empty() {
            lane.slot.clear();
            lane.opens = next;
        }
        !lane.owed.insert(name)
    }

    /// Removes pending topics.
    pub(crate) fn forget(&mut self, gone: impl Fn(&Name) -> bool) {
        for lane in self.lanes.values_mut() {
            lane.owed.retain(|name| !gone(name));
            lane.slot.retain(|name| !gone(name));
        }
    }

    /// Handles a sent topic. Asserts that it was sent at most once per send time, and not early.
    pub(crate) fn sent(&mut self, name: Name, rates: &BTreeSet<MaxRate>, now: u64) {
        let found = self.lanes.iter().find(|(_, lane)| lane.owed.contains(&name));
        let (&rate, _) = found.unwrap_or_else(|| panic!("{name:?} is not owed"));
        let next = self.next_slot(rate, rates, now);
        let lane = self.lanes.get_mut(&rate).unwrap();
        if !lane.slot.contains(&name) {
            let opens = rate.map_or(0, |_| lane.opens);
            assert!(opens <= now, "{name:?} {} ns before its slot", opens - now);
            lane.slot.clone_from(&lane.owed);
        }
        lane.owed.remove(&name);
        lane.slot.remove(&name);
        lane.opens = next;
    }

    /// Returns all pending topics, due or not.
    pub(crate) fn owed(&self) -> impl Iterator<Item = Name> {
        self.lanes.values().flat_map(|lane| lane.owed.iter().copied())
    }

    /// Returns the topics that may be sent now.
    pub(crate) fn due(&self, now: u64) -> impl Iterator<Item = Name> {
        let due = self.lanes.iter().filter(move |(rate, lane)| lane.is_due(**rate, now));
        due.flat_map(|(_, lane)| lane.owed.iter().copied())
    }

    /// Returns the topics that a message must contain while it has room. Topics without a rate that
    /// ticked during the previous message may wait for the next one.
    pub(crate) fn first(&self, now: u64) -> impl Iterator<Item = Name> {
        let due = self.lanes.iter().filter(move |(rate, lane)| lane.is_due(**rate, now));
        due.flat_map(|(rate, lane)| match rate {
            None => lane.slot.iter().copied(),
            Some(_) => lane.owed.iter().copied(),
        })
    }

    /// Returns when the next pending topic may be sent.
    pub(crate) fn opens(&self) -> Option<u64> {
        let waiting = self.lanes.iter().filter(|(_, lane)| !lane.owed.is_empty());
        waiting.map(|(rate, lane)| if rate.is_some() { lane.opens } else { 0 }).min()
    }

    /// Returns the first send time of a rate after a time. All send times of a session coincide
    /// with those of its fastest rate.
    fn next_slot(&self, rate: Rate, rates: &BTreeSet<MaxRate>, now: u64) -> u64 {
        let (Some(rate), Some(fastest)) = (rate, rates.last()) else { return 0 };
        let fastest = fastest.interval_ns();
        let times = (rate.interval_ns() + fastest / 2) / fastest; // to the nearest
        let interval = times * fastest;
        let mut slot = ((fastest * self.phase) >> 32) + ((times * self.phase) >> 32) * fastest;
        if slot <= now {
            slot += (now - slot) / interval * interval;
        }
        while slot <= now {
            slot += interval;
        }
        while slot > now + interval {
            slot -= interval;
        }
        slot
    }
}

//! The newest ticks a session is owed, and when it may have them.

use std::collections::{BTreeMap, BTreeSet};

use tickwire_protocol::MaxRate;

use super::Name;

/// Names of a session that share a rate. Without one they leave as fast as the socket takes them.
pub(crate) type Rate = Option<MaxRate>;

/// How late an alarm may go off: the step of the timing wheel.
pub(crate) const STEP_NS: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// Where the session's slots lie within an interval, in parts of 2^32. The one number that is
    /// taken from the core: the contract only wants it to differ from session to session.
    phase: u64,
    lanes: BTreeMap<Rate, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    owed: BTreeSet<Name>,
    /// What is left of the slot that is being served.
    slot: BTreeSet<Name>,
    /// When the next slot opens; means something while anything is owed.
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

    /// A topic has ticked. Says whether its tick before was still owed.
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

    /// Topics are owed no more.
    pub(crate) fn forget(&mut self, gone: impl Fn(&Name) -> bool) {
        for lane in self.lanes.values_mut() {
            lane.owed.retain(|name| !gone(name));
            lane.slot.retain(|name| !gone(name));
        }
    }

    /// A topic has been sent: each at most once in a slot, and none before its slot.
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

    /// All that is owed, due or not.
    pub(crate) fn owed(&self) -> impl Iterator<Item = Name> {
        self.lanes.values().flat_map(|lane| lane.owed.iter().copied())
    }

    /// What may leave now.
    pub(crate) fn due(&self, now: u64) -> impl Iterator<Item = Name> {
        let due = self.lanes.iter().filter(move |(rate, lane)| lane.is_due(**rate, now));
        due.flat_map(|(_, lane)| lane.owed.iter().copied())
    }

    /// What should be in a message as long as there is room. What ticks without a rate may wait for the
    /// next message if it came while those before it were being sent.
    pub(crate) fn first(&self, now: u64) -> impl Iterator<Item = Name> {
        let due = self.lanes.iter().filter(move |(rate, lane)| lane.is_due(**rate, now));
        due.flat_map(|(rate, lane)| match rate {
            None => lane.slot.iter().copied(),
            Some(_) => lane.owed.iter().copied(),
        })
    }

    /// When the next of what is owed may leave.
    pub(crate) fn opens(&self) -> Option<u64> {
        let waiting = self.lanes.iter().filter(|(_, lane)| !lane.owed.is_empty());
        waiting.map(|(rate, lane)| if rate.is_some() { lane.opens } else { 0 }).min()
    }

    /// The first slot of a rate behind a time. All slots of a session fall on those of its fastest rate.
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

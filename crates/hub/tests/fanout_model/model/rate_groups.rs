//! The topics of a session whose newest tick is pending, and the times at which they may be sent.

use std::collections::{BTreeMap, BTreeSet};

use tickwire_protocol::MaxRate;

use super::Name;

/// The greatest rate of a name. Without one, ticks are sent as fast as the socket accepts them.
pub(crate) type Rate = Option<MaxRate>;

/// Greatest delay of a timer: the step of the timer wheel.
pub(crate) const STEP_NS: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct RateGroups {
    /// Offset of the session's send times within an interval, in units of 2^-32. The only number
    /// taken from the core: it is required only to differ between sessions.
    phase: u64,
    groups: BTreeMap<Rate, RateGroup>,
}

/// The topics of a session that share a rate.
#[derive(Debug, Default)]
struct RateGroup {
    /// Topics whose newest tick is pending.
    dirty: BTreeSet<Name>,
    /// Topics left to send at the current send time.
    unsent: BTreeSet<Name>,
    /// The next send time; valid while a tick is pending.
    send_at: u64,
}

impl RateGroup {
    fn is_due(&self, rate: Rate, now: u64) -> bool {
        !self.dirty.is_empty() && (rate.is_none() || !self.unsent.is_empty() || self.send_at <= now)
    }
}

impl RateGroups {
    pub(crate) fn new(session: u32) -> Self {
        let phase = u64::from(session.wrapping_mul(0x9e37_79b9) & 0xf000_0000);
        Self { phase, groups: BTreeMap::new() }
    }

    /// Marks a topic's newest tick as pending. Returns whether one was pending already.
    pub(crate) fn mark_dirty(
        &mut self,
        name: Name,
        rate: Rate,
        rates: &BTreeSet<MaxRate>,
        now: u64,
    ) -> bool {
        let next = self.send_time_after(rate, rates, now);
        let group = self.groups.entry(rate).or_default();
        if group.dirty.is_empty() {
            group.unsent.clear();
            group.send_at = next;
        }
        !group.dirty.insert(name)
    }

    /// Removes topics.
    pub(crate) fn forget(&mut self, is_removed: impl Fn(&Name) -> bool) {
        for group in self.groups.values_mut() {
            group.dirty.retain(|name| !is_removed(name));
            group.unsent.retain(|name| !is_removed(name));
        }
    }

    /// Handles a sent topic. Asserts that it was sent at most once per send time, and not early.
    pub(crate) fn sent(&mut self, name: Name, rates: &BTreeSet<MaxRate>, now: u64) {
        let found = self.groups.iter().find(|(_, group)| group.dirty.contains(&name));
        let (&rate, _) = found.unwrap_or_else(|| panic!("{name:?} is not dirty"));
        let next = self.send_time_after(rate, rates, now);
        let group = self.groups.get_mut(&rate).unwrap();
        if !group.unsent.contains(&name) {
            let send_at = rate.map_or(0, |_| group.send_at);
            assert!(send_at <= now, "{name:?} {} ns before its send time", send_at - now);
            group.unsent.clone_from(&group.dirty);
        }
        group.dirty.remove(&name);
        group.unsent.remove(&name);
        group.send_at = next;
    }

    /// Returns all topics whose newest tick is pending, due or not.
    pub(crate) fn dirty(&self) -> impl Iterator<Item = Name> {
        self.groups.values().flat_map(|group| group.dirty.iter().copied())
    }

    /// Returns the topics that may be sent now.
    pub(crate) fn due(&self, now: u64) -> impl Iterator<Item = Name> {
        let due = self.groups.iter().filter(move |(rate, group)| group.is_due(**rate, now));
        due.flat_map(|(_, group)| group.dirty.iter().copied())
    }

    /// Returns the topics that a message must contain while it has room. Topics without a rate that
    /// ticked during the previous message may wait for the next one.
    pub(crate) fn required(&self, now: u64) -> impl Iterator<Item = Name> {
        let due = self.groups.iter().filter(move |(rate, group)| group.is_due(**rate, now));
        due.flat_map(|(rate, group)| match rate {
            None => group.unsent.iter().copied(),
            Some(_) => group.dirty.iter().copied(),
        })
    }

    /// Returns when the next pending topic may be sent.
    pub(crate) fn next_send_time(&self) -> Option<u64> {
        let waiting = self.groups.iter().filter(|(_, group)| !group.dirty.is_empty());
        waiting.map(|(rate, group)| if rate.is_some() { group.send_at } else { 0 }).min()
    }

    /// Returns the first send time of a rate after a time. All send times of a session coincide
    /// with those of its fastest rate.
    fn send_time_after(&self, rate: Rate, rates: &BTreeSet<MaxRate>, now: u64) -> u64 {
        let (Some(rate), Some(fastest)) = (rate, rates.last()) else { return 0 };
        let fastest = fastest.interval_ns();
        let times = (rate.interval_ns() + fastest / 2) / fastest; // to the nearest
        let interval = times * fastest;
        let mut time = ((fastest * self.phase) >> 32) + ((times * self.phase) >> 32) * fastest;
        if time <= now {
            time += (now - time) / interval * interval;
        }
        while time <= now {
            time += interval;
        }
        while time > now + interval {
            time -= interval;
        }
        time
    }
}

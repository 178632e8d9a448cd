//! The `latest` subscriptions of one session, grouped by their maximum rate.

use tickwire_protocol::{MaxRate, UnixNanos};

use super::super::{LocalTopicId, SessionId};
use super::dirty_set::DirtySet;
use super::timer_wheel::TimerStep;

/// Largest number of different rates in one session.
pub(crate) const RATES_MAX: usize = 8;

/// Identifies a rate group within its session, or stands for the delivery of every tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RateGroupId(u8);

impl RateGroupId {
    /// No rate group: every tick is delivered. All groups deliver only the newest tick of a topic.
    pub(crate) const EVERY: Self = Self(0);

    /// Returns the id of the group at an index of the session's list of groups.
    pub(crate) fn of_index(index: usize) -> Self {
        Self(u8::try_from(index + 1).expect("a session has few rate groups"))
    }

    /// Returns the group's index in the session's list; `None` for [`RateGroupId::EVERY`].
    pub(crate) const fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }
}

/// The `latest` subscriptions of a session: one group for each rate, and one for those without a
/// rate.
#[derive(Debug)]
pub(crate) struct RateGroups {
    groups: Vec<RateGroup>,
    /// Offset of the session's send times within an interval, as a fraction of 2^32. It differs
    /// from session to session, so that not all sessions of a shard are written at once.
    phase: u32,
    /// The timers that are set for the session: the one that will make it ready, and later ones
    /// that an earlier send time has made superfluous.
    pub(crate) timers: Vec<TimerStep>,
}

/// Subscriptions of a session that share a rate, and which of their topics are dirty.
#[derive(Debug)]
struct RateGroup {
    /// Maximum rate of the group. `None`: as fast as the socket accepts data.
    rate: Option<MaxRate>,
    /// Time between two send times: a multiple of that of the session's fastest group, or 0 without
    /// a rate.
    interval_ns: u64,
    /// Offset of the send times within an interval. Unused without a rate.
    offset_ns: u64,
    /// Number of subscriptions in the group; `"*"` counts as one. An empty group can get another
    /// rate.
    subscriptions: usize,
    dirty: DirtySet,
    /// Send time of the dirty topics that are not due yet. Valid only while there are such topics.
    send_at: UnixNanos,
    /// Number of dirty topics, first in order, whose send time has passed.
    due: usize,
}

/// The result of marking a topic as dirty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// The topic was dirty already: its previous tick will not be sent.
    Again,
    /// The topic may be sent at once.
    SendNow,
    /// The topic may be sent at a time.
    SendAt(UnixNanos),
}

/// Error: the session has the maximum number of different rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyRates;

impl RateGroups {
    pub(crate) const fn new(id: SessionId) -> Self {
        // Multiples of the golden ratio spread evenly, however many there are. Only sixteen phases:
        // a shard that wakes for one session should find others that are due too.
        let phase = id.0.wrapping_mul(0x9e37_79b9) & 0xf000_0000;
        Self { groups: Vec::new(), phase, timers: Vec::new() }
    }

    /// Returns the group of a rate, which is created if necessary.
    ///
    /// # Errors
    /// Fails if the session has [`RATES_MAX`] other rates.
    pub(crate) fn group(&mut self, rate: Option<MaxRate>) -> Result<RateGroupId, TooManyRates> {
        let is_it = |group: &RateGroup| group.rate == rate && group.subscriptions > 0;
        if let Some(index) = self.groups.iter().position(is_it) {
            return Ok(RateGroupId::of_index(index));
        }
        let used = self.groups.iter().filter(|g| g.subscriptions > 0 && g.rate.is_some());
        if rate.is_some() && used.count() >= RATES_MAX {
            return Err(TooManyRates);
        }
        let group = RateGroup {
            rate,
            interval_ns: 0,
            offset_ns: 0,
            subscriptions: 0,
            dirty: DirtySet::default(),
            send_at: UnixNanos::default(),
            due: 0,
        };
        let unused = self.groups.iter().position(|group| group.subscriptions == 0);
        let index = unused.unwrap_or(self.groups.len());
        if index == self.groups.len() {
            self.groups.push(group);
        } else {
            self.groups[index] = group;
        }
        Ok(RateGroupId::of_index(index))
    }

    /// Returns the rate of a group.
    pub(crate) fn rate(&self, index: usize) -> Option<MaxRate> {
        self.groups[index].rate
    }

    /// Returns the number of subscriptions in all groups.
    pub(crate) fn subscriptions(&self) -> usize {
        self.groups.iter().map(|group| group.subscriptions).sum()
    }

    /// Adds a subscription to a group.
    pub(crate) fn add(&mut self, index: usize) {
        self.groups[index].subscriptions += 1;
        if self.groups[index].subscriptions == 1 {
            self.set_intervals();
        }
    }

    /// Removes a subscription from a group.
    pub(crate) fn remove(&mut self, index: usize) {
        let group = &mut self.groups[index];
        group.subscriptions -= 1;
        if group.subscriptions == 0 {
            group.dirty = DirtySet::default();
            group.due = 0;
            self.set_intervals();
        }
    }

    /// Aligns the send times of all groups with those of the fastest, so that one write serves all.
    fn set_intervals(&mut self) {
        let used = self.groups.iter().filter(|group| group.subscriptions > 0);
        let fastest = used.filter_map(|group| group.rate).max().map_or(0, MaxRate::interval_ns);
        let part_of = |whole: u64| {
            let part = (u128::from(whole) * u128::from(self.phase)) >> 32;
            u64::try_from(part).expect("a fraction of the whole")
        };
        for group in &mut self.groups {
            let multiple = group.rate.map_or(0, |rate| {
                let nearest = (rate.interval_ns() + fastest / 2).checked_div(fastest);
                nearest.unwrap_or_default().max(1)
            });
            group.interval_ns = fastest * multiple;
            group.offset_ns = part_of(fastest) + fastest * part_of(multiple);
        }
    }

    /// Marks a topic of a group as dirty: its newest tick is to be sent.
    pub(crate) fn mark_dirty(
        &mut self,
        index: usize,
        topic: LocalTopicId,
        now: UnixNanos,
    ) -> Marked {
        match self.groups[index].dirty.insert(topic) {
            true => self.send_time(index, now),
            false => Marked::Again,
        }
    }

    /// Like [`RateGroups::mark_dirty`], but for a topic that is known not to be dirty.
    #[inline]
    pub(crate) fn mark_new_dirty(
        &mut self,
        index: usize,
        topic: LocalTopicId,
        now: UnixNanos,
    ) -> Marked {
        self.groups[index].dirty.insert_new(topic);
        self.send_time(index, now)
    }

    fn send_time(&mut self, index: usize, now: UnixNanos) -> Marked {
        let group = &mut self.groups[index];
        if group.interval_ns == 0 {
            return Marked::SendNow;
        }
        if group.dirty.len() == 1 {
            group.due = 0;
            group.send_at = group.next_send_time(now);
        }
        Marked::SendAt(group.send_at)
    }

    /// Marks a topic of a group as clean.
    pub(crate) fn mark_clean(&mut self, index: usize, topic: LocalTopicId) {
        let group = &mut self.groups[index];
        group.due = group.dirty.remove(topic, group.due);
    }

    /// Marks the topics of a group as clean that `keep` does not select.
    pub(crate) fn retain_dirty(&mut self, index: usize, keep: impl FnMut(LocalTopicId) -> bool) {
        let group = &mut self.groups[index];
        group.due = group.dirty.retain(group.due, keep);
    }

    /// Marks the topics of all groups as clean that `keep` does not select.
    pub(crate) fn retain_all_dirty(&mut self, mut keep: impl FnMut(LocalTopicId) -> bool) {
        for index in 0..self.groups.len() {
            self.retain_dirty(index, &mut keep);
        }
    }

    /// Marks all topics as clean and returns those that were dirty, whether due or not.
    pub(crate) fn take_all(&mut self) -> Vec<LocalTopicId> {
        let mut all = Vec::new();
        for group in &mut self.groups {
            group.dirty.take(usize::MAX, |topic| {
                all.push(topic);
                true
            });
        }
        all
    }

    /// Returns whether any dirty topic may be sent.
    pub(crate) fn is_due(&self, now: UnixNanos) -> bool {
        self.groups.iter().any(|group| group.is_due(now))
    }

    /// Returns the next send time, if any topic is dirty; 0 if one may be sent already.
    pub(crate) fn next_send_time(&self) -> Option<UnixNanos> {
        let waiting = self.groups.iter().filter(|group| !group.dirty.is_empty());
        waiting.map(|group| if group.due > 0 { UnixNanos::default() } else { group.send_at }).min()
    }

    /// Offers the topics that may be sent now, until `accept` refuses one, and marks the accepted
    /// ones as clean. Returns their number. A topic that becomes dirty while others of its group
    /// are being sent waits for the next send time.
    pub(crate) fn take_due(
        &mut self,
        now: UnixNanos,
        mut accept: impl FnMut(LocalTopicId) -> bool,
    ) -> usize {
        let mut taken = 0;
        for group in &mut self.groups {
            if !group.is_due(now) {
                continue;
            }
            let due = if group.due > 0 { group.due } else { group.dirty.len() };
            let accepted = group.dirty.take(due, &mut accept);
            taken += accepted;
            if accepted > 0 {
                group.due = due - accepted;
                if group.interval_ns > 0 {
                    group.send_at = group.next_send_time(now);
                }
            }
            if accepted < due {
                break; // the message is full
            }
        }
        taken
    }

    /// Releases the memory of empty sets, for a session that has been idle.
    pub(crate) fn release_memory(&mut self) {
        self.groups.iter_mut().for_each(|group| group.dirty.release_memory());
    }
}

impl RateGroup {
    fn is_due(&self, now: UnixNanos) -> bool {
        !self.dirty.is_empty() && (self.interval_ns == 0 || self.send_at <= now || self.due > 0)
    }

    /// Returns the first send time after `now`, for a group with a rate.
    fn next_send_time(&self, now: UnixNanos) -> UnixNanos {
        let elapsed = (now.0 + self.interval_ns - self.offset_ns) % self.interval_ns;
        UnixNanos(now.0 + self.interval_ns - elapsed)
    }
}

#[cfg(test)]
mod tests;

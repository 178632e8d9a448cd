//! How one session is served the newest ticks only.

use tickwire_protocol::{MaxRate, UnixNanos};

use super::SessionId;
use super::marks::Marks;
use super::subscriber::LaneId;
use super::topics::LocalId;
use super::wheel::Due;

/// Different rates a session may have.
pub(crate) const RATES_MAX: usize = 8;

/// The `latest` part of a session: a lane per rate.
#[derive(Debug)]
pub(crate) struct Latest {
    lanes: Vec<Lane>,
    /// Where the session's slots lie within an interval: a fraction of 2^32, another one for each
    /// session, so that a shard's sessions do not all have their slots at once.
    phase: u32,
    /// The alarms that are set for it: the one that will make it ready, and later ones that an
    /// earlier slot has come before.
    pub(crate) alarms: Vec<Due>,
}

/// Names of a session that share a rate, and which of them have ticked.
#[derive(Debug)]
struct Lane {
    /// `None`: as fast as the socket takes it.
    rate: Option<MaxRate>,
    /// Time between two slots; a multiple of that of the session's fastest lane. 0 without a rate.
    interval_ns: u64,
    /// Where its slots lie within an interval; means nothing without a rate.
    offset_ns: u64,
    /// Names in this lane, `"*"` counted as one. Without any it may be given another rate.
    names: usize,
    marks: Marks,
    /// When its marks may leave that do not belong to the slot that is open; means something only
    /// while there are any.
    opens: UnixNanos,
    /// Marks that still belong to the slot that is open: the first in line.
    left: usize,
}

/// What came of marking a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// It was marked already: the tick before is not sent.
    Again,
    /// It may leave at once.
    Now,
    /// It may leave when a slot opens.
    At(UnixNanos),
}

/// No room for another rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyRates;

impl Latest {
    pub(crate) const fn new(id: SessionId) -> Self {
        // Multiples of the golden ratio spread evenly, however many there are. Sixteen groups: a shard
        // that wakes for one session should find others whose slot has come too.
        let phase = id.0.wrapping_mul(0x9e37_79b9) & 0xf000_0000;
        Self { lanes: Vec::new(), phase, alarms: Vec::new() }
    }

    /// The lane of a rate, made if there is none.
    pub(crate) fn lane(&mut self, rate: Option<MaxRate>) -> Result<LaneId, TooManyRates> {
        if let Some(lane) = self.lanes.iter().position(|lane| lane.rate == rate && lane.names > 0) {
            return Ok(LaneId::of_index(lane));
        }
        let used = self.lanes.iter().filter(|lane| lane.names > 0 && lane.rate.is_some());
        if rate.is_some() && used.count() >= RATES_MAX {
            return Err(TooManyRates);
        }
        let fresh = Lane {
            rate,
            interval_ns: 0,
            offset_ns: 0,
            names: 0,
            marks: Marks::default(),
            opens: UnixNanos::default(),
            left: 0,
        };
        let place = self.lanes.iter().position(|lane| lane.names == 0).unwrap_or(self.lanes.len());
        if place == self.lanes.len() {
            self.lanes.push(fresh);
        } else {
            self.lanes[place] = fresh;
        }
        Ok(LaneId::of_index(place))
    }

    /// The rate of a lane.
    pub(crate) fn rate(&self, index: usize) -> Option<MaxRate> {
        self.lanes[index].rate
    }

    /// Names it has in all lanes.
    pub(crate) fn names(&self) -> usize {
        self.lanes.iter().map(|lane| lane.names).sum()
    }

    /// A name is put into a lane.
    pub(crate) fn enter(&mut self, index: usize) {
        self.lanes[index].names += 1;
        if self.lanes[index].names == 1 {
            self.set_intervals();
        }
    }

    /// A name leaves a lane.
    pub(crate) fn leave(&mut self, index: usize) {
        let lane = &mut self.lanes[index];
        lane.names -= 1;
        if lane.names == 0 {
            lane.marks = Marks::default();
            lane.left = 0;
            self.set_intervals();
        }
    }

    /// Slots of all lanes fall together with those of the fastest: one write for all of them.
    fn set_intervals(&mut self) {
        let used = self.lanes.iter().filter(|lane| lane.names > 0);
        let fastest = used.filter_map(|lane| lane.rate).max().map_or(0, MaxRate::interval_ns);
        let part_of = |whole: u64| {
            let part = (u128::from(whole) * u128::from(self.phase)) >> 32;
            u64::try_from(part).expect("a fraction of the whole")
        };
        for lane in &mut self.lanes {
            let slots = lane.rate.map_or(0, |rate| {
                let nearest = (rate.interval_ns() + fastest / 2).checked_div(fastest);
                nearest.unwrap_or_default().max(1)
            });
            lane.interval_ns = fastest * slots;
            lane.offset_ns = part_of(fastest) + fastest * part_of(slots);
        }
    }

    /// The newest tick of a topic is owed from now on.
    pub(crate) fn mark(&mut self, index: usize, topic: LocalId, now: UnixNanos) -> Marked {
        if self.lanes[index].marks.insert(topic) { self.marked(index, now) } else { Marked::Again }
    }

    /// The same for a topic that is known not to be owed yet.
    #[inline]
    pub(crate) fn mark_new(&mut self, index: usize, topic: LocalId, now: UnixNanos) -> Marked {
        self.lanes[index].marks.insert_new(topic);
        self.marked(index, now)
    }

    fn marked(&mut self, index: usize, now: UnixNanos) -> Marked {
        let lane = &mut self.lanes[index];
        if lane.interval_ns == 0 {
            return Marked::Now;
        }
        if lane.marks.len() == 1 {
            lane.left = 0;
            lane.opens = lane.next_slot(now);
        }
        Marked::At(lane.opens)
    }

    /// A topic of a lane is owed no more.
    pub(crate) fn unmark(&mut self, index: usize, topic: LocalId) {
        let lane = &mut self.lanes[index];
        lane.left = lane.marks.remove(topic, lane.left);
    }

    /// Topics of a lane are owed no more, but for some.
    pub(crate) fn unmark_unless(&mut self, index: usize, keep: impl FnMut(LocalId) -> bool) {
        let lane = &mut self.lanes[index];
        lane.left = lane.marks.retain(lane.left, keep);
    }

    /// Topics of all lanes are owed no more, but for some.
    pub(crate) fn unmark_all_unless(&mut self, mut keep: impl FnMut(LocalId) -> bool) {
        for lane in 0..self.lanes.len() {
            self.unmark_unless(lane, &mut keep);
        }
    }

    /// Takes out everything that is owed, due or not.
    pub(crate) fn take_all(&mut self) -> Vec<LocalId> {
        let mut all = Vec::new();
        for lane in &mut self.lanes {
            lane.marks.take(usize::MAX, |topic| {
                all.push(topic);
                true
            });
        }
        all
    }

    /// Whether anything may leave by a time.
    pub(crate) fn is_due(&self, now: UnixNanos) -> bool {
        self.lanes.iter().any(|lane| lane.is_due(now))
    }

    /// When the next marks may leave, if there are any.
    pub(crate) fn next(&self) -> Option<UnixNanos> {
        let waiting = self.lanes.iter().filter(|lane| !lane.marks.is_empty());
        waiting.map(|lane| if lane.left > 0 { UnixNanos::default() } else { lane.opens }).min()
    }

    /// Offers what may leave now, until one is not accepted, and says how many were. What is marked
    /// while a slot is being served waits for the next one.
    pub(crate) fn take_due(
        &mut self,
        now: UnixNanos,
        mut accept: impl FnMut(LocalId) -> bool,
    ) -> usize {
        let mut taken = 0;
        for lane in &mut self.lanes {
            if !lane.is_due(now) {
                continue;
            }
            let line = if lane.left > 0 { lane.left } else { lane.marks.len() };
            let accepted = lane.marks.take(line, &mut accept);
            taken += accepted;
            if accepted > 0 {
                lane.left = line - accepted;
                if lane.interval_ns > 0 {
                    lane.opens = lane.next_slot(now);
                }
            }
            if accepted < line {
                break; // the message is full
            }
        }
        taken
    }

    /// Gives memory back, for a session that has been quiet.
    pub(crate) fn release(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.marks.release());
    }
}

impl Lane {
    fn is_due(&self, now: UnixNanos) -> bool {
        !self.marks.is_empty() && (self.interval_ns == 0 || self.opens <= now || self.left > 0)
    }

    /// The first slot behind a time, of a lane that has a rate.
    fn next_slot(&self, now: UnixNanos) -> UnixNanos {
        let past = (now.0 + self.interval_ns - self.offset_ns) % self.interval_ns;
        UnixNanos(now.0 + self.interval_ns - past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rate(per_second: f64) -> Option<MaxRate> {
        Some(MaxRate::per_second(per_second).unwrap())
    }

    fn lane_of(latest: &mut Latest, rate: Option<MaxRate>) -> usize {
        let index = latest.lane(rate).unwrap().index().unwrap();
        latest.enter(index);
        index
    }

    fn take(latest: &mut Latest, now: u64) -> Vec<u32> {
        let mut taken = Vec::new();
        latest.take_due(UnixNanos(now), |topic| {
            taken.push(topic.0);
            true
        });
        taken
    }

    #[test]
    fn slots_of_sessions_are_spread_over_the_interval() {
        let now = UnixNanos(1_700_000_000_000_000_000);
        let mut parts = [0; 16];
        for id in 0..1_000 {
            let mut latest = Latest::new(SessionId(id));
            let lane = lane_of(&mut latest, rate(10.0));
            let Marked::At(slot) = latest.mark(lane, LocalId(1), now) else { panic!("no slot") };
            assert!(slot > now && slot.0 <= now.0 + 100 * MS);
            let part = usize::try_from((slot.0 - now.0 - 1) * 16 / (100 * MS)).unwrap();
            parts[part] += 1;
        }
        assert!(parts.iter().all(|count| (55..=70).contains(count)), "{parts:?}");
    }

    #[test]
    fn a_lane_has_one_slot_in_each_interval() {
        let mut latest = Latest::new(SessionId(3));
        let lane = lane_of(&mut latest, rate(10.0));
        let mut sent = Vec::new();
        for ms in 5_000..8_000 {
            let now = ms * MS;
            latest.mark(lane, LocalId(7), UnixNanos(now));
            if !take(&mut latest, now).is_empty() {
                sent.push(ms);
            }
        }
        assert!((29..=30).contains(&sent.len()), "{sent:?}");
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] == 100), "{sent:?}");
    }

    #[test]
    fn rates_round_to_multiples_of_the_fastest_slot() {
        let mut latest = Latest::new(SessionId(9));
        let lanes = [rate(3.0), rate(10.0), rate(0.1), None];
        let lanes = lanes.map(|rate| lane_of(&mut latest, rate));
        let intervals = lanes.map(|lane| latest.lanes[lane].interval_ns / MS);
        assert_eq!(intervals, [300, 100, 10_000, 0]);
        latest.leave(lanes[1]);
        assert_eq!(latest.lanes[lanes[0]].interval_ns, rate(3.0).unwrap().interval_ns());
        assert_eq!(lane_of(&mut latest, rate(50.0)), lanes[1], "its place is given away");
        assert_eq!(latest.lanes[lanes[2]].interval_ns, 10_000 * MS);
    }

    #[test]
    fn slots_of_all_rates_fall_on_those_of_the_fastest() {
        for id in [1, 2, 9, 1_000] {
            let mut latest = Latest::new(SessionId(id));
            let lanes = [10.0, 3.0, 0.7].map(|per_second| lane_of(&mut latest, rate(per_second)));
            let slots = lanes.map(|lane| {
                let slot = latest.mark(lane, LocalId(1), UnixNanos(5_000 * MS));
                let Marked::At(slot) = slot else { panic!("no slot") };
                slot.0 % (100 * MS)
            });
            assert_eq!(slots, [slots[0]; 3]);
        }
    }

    #[test]
    fn topic_that_leaves_amid_a_slot_makes_no_room_for_a_second_tick_of_another() {
        for count in [4_u32, 100] {
            let mut latest = Latest::new(SessionId(0));
            let lane = lane_of(&mut latest, rate(10.0));
            for topic in 0..count {
                latest.mark(lane, LocalId(topic), UnixNanos(0));
            }
            let slot = latest.next().unwrap();
            latest.take_due(slot, |topic| topic.0 < 2);
            latest.mark(lane, LocalId(0), slot);
            latest.unmark(lane, LocalId(2));
            let rest = take(&mut latest, slot.0);
            assert_eq!(rest, (3..count).collect::<Vec<_>>());
            latest.mark(lane, LocalId(1), slot);
            assert!(!latest.is_due(slot));
            assert_eq!(take(&mut latest, slot.0 + 100 * MS), [0, 1]);
        }
    }

    #[test]
    fn what_is_marked_while_a_slot_is_served_waits_for_the_next() {
        let mut latest = Latest::new(SessionId(0));
        let lane = lane_of(&mut latest, rate(10.0));
        let now = UnixNanos(1_000 * MS);
        for topic in 0..4 {
            latest.mark(lane, LocalId(topic), now);
        }
        let slot = latest.next().unwrap();
        assert!(!latest.is_due(now));
        let mut room = 3; // a full message, or a full socket
        let accept = |_| {
            room -= 1;
            room >= 0
        };
        assert_eq!(latest.take_due(slot, accept), 3);
        latest.mark(lane, LocalId(0), slot);
        latest.mark(lane, LocalId(1), slot);
        assert_eq!(take(&mut latest, slot.0), [3]);
        assert!(!latest.is_due(slot));
        assert_eq!(latest.next(), Some(UnixNanos(slot.0 + 100 * MS)));
        assert_eq!(take(&mut latest, slot.0 + 100 * MS), [0, 1]);
        assert_eq!(latest.next(), None);
    }

    #[test]
    fn without_a_rate_everything_may_leave_at_once() {
        let mut latest = Latest::new(SessionId(0));
        let lane = lane_of(&mut latest, None);
        let now = UnixNanos(5);
        assert_eq!(latest.mark(lane, LocalId(1), now), Marked::Now);
        assert_eq!(latest.mark(lane, LocalId(1), now), Marked::Again);
        assert_eq!(take(&mut latest, 5), [1]);
        assert!(!latest.is_due(now));
    }

    #[test]
    fn a_session_has_a_bounded_number_of_rates() {
        let mut latest = Latest::new(SessionId(0));
        for per_second in 1_u32..=8 {
            lane_of(&mut latest, rate(f64::from(per_second)));
        }
        assert_eq!(latest.lane(rate(9.0)), Err(TooManyRates));
        assert!(latest.lane(rate(8.0)).is_ok());
        assert!(latest.lane(None).is_ok());
    }
}

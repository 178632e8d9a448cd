//! What the numbers of ticks say about those that did not come.

use rustc_hash::FxHashMap;
use tickwire_protocol::Channel;

use crate::Topic;

/// The last number seen of every topic. As large as the number of topics the hub has.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    topics: FxHashMap<Topic, Numbers>,
    /// Of topics that go through a part again, the numbers that have been given: first and last. Few.
    again: FxHashMap<Topic, (u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Numbers {
    /// From here to `last` every number was given, or told as missing.
    first: u64,
    last: u64,
    /// The last number seen before this connection: up to there ticks may come again.
    held: u64,
}

impl Numbers {
    /// The tick with this number is the first.
    const fn from(first: u64) -> Self {
        Self { first, last: first, held: 0 }
    }

    /// The first tick is the one behind this number.
    const fn behind(last: u64) -> Self {
        Self { first: last.saturating_add(1), last, held: 0 }
    }
}

/// What a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing is missing.
    InOrder,
    /// `from` to `to` did not come live.
    Gap { from: u64, to: u64 },
    /// It has come before, and the hub is right to send it again.
    Known,
    /// Not newer than what has come before on this connection.
    Stale { expected: u64 },
}

impl Sequence {
    /// A live tick. The first of a topic sets the base.
    pub(crate) fn live(&mut self, topic: Topic, seq: u64) -> Seen {
        if !self.again.is_empty() && self.is_given(topic, seq) {
            return Seen::Known;
        }
        let Some(numbers) = self.topics.get_mut(&topic) else {
            self.topics.insert(topic, Numbers::from(seq));
            return Seen::InOrder;
        };
        let expected = numbers.last.saturating_add(1);
        if seq <= numbers.held {
            return Seen::Known;
        }
        if seq < expected {
            return Seen::Stale { expected };
        }
        numbers.last = seq;
        if seq == expected { Seen::InOrder } else { Seen::Gap { from: expected, to: seq - 1 } }
    }

    /// Whether a topic goes through a part again and its tick with this number has been given.
    fn is_given(&mut self, topic: Topic, seq: u64) -> bool {
        let Some((first, last)) = self.again.get(&topic).copied() else { return false };
        if seq < first {
            return false;
        }
        let is_given = seq <= last;
        let numbers = self.topics.entry(topic).or_insert_with(|| Numbers::behind(first - 1));
        if is_given {
            numbers.last = numbers.last.max(seq);
        } else {
            if numbers.last >= first - 1 {
                numbers.last = numbers.last.max(last);
            }
            self.again.remove(&topic);
        }
        is_given
    }

    /// The hub sends a topic from further back than it was. What has been given is not given again.
    pub(crate) fn go_back(&mut self, topic: Topic) {
        let Some(Numbers { first, last, .. }) = self.topics.remove(&topic) else { return };
        let given = match self.again.remove(&topic) {
            Some((next, end)) if last.saturating_add(1) >= next => (first.min(next), last.max(end)),
            _ => (first, last),
        };
        if given.0 <= given.1 {
            self.again.insert(topic, given);
        }
    }

    /// What was seen of a topic up to now may come again.
    pub(crate) fn hold_topic(&mut self, topic: &Topic) {
        if let Some(numbers) = self.topics.get_mut(topic) {
            numbers.held = numbers.last;
        }
    }

    /// A last value: it sets the base, and what it is ahead of the old base did not come live.
    pub(crate) fn snapshot(&mut self, topic: Topic, seq: u64) -> Seen {
        let numbers = self.topics.entry(topic).or_insert_with(|| Numbers::behind(seq));
        let expected = numbers.last.saturating_add(1);
        numbers.last = seq.max(numbers.last);
        if seq < expected { Seen::InOrder } else { Seen::Gap { from: expected, to: seq } }
    }

    /// The last number seen of a topic.
    pub(crate) fn last(&self, topic: &Topic) -> Option<u64> {
        self.topics.get(topic).map(|numbers| numbers.last)
    }

    /// The numbers up to `to` will not come, and that has been told.
    pub(crate) fn skip(&mut self, topic: Topic, to: u64) {
        let numbers = self.topics.entry(topic).or_insert_with(|| Numbers::behind(to));
        numbers.last = to.max(numbers.last);
    }

    /// Forgets a topic: the next tick sets its base.
    pub(crate) fn forget(&mut self, topic: &Topic) {
        self.topics.remove(topic);
        self.again.remove(topic);
    }

    /// Another connection: what was seen up to now may come again. Forgets the topics that are not
    /// to be kept.
    pub(crate) fn hold(&mut self, keep: impl Fn(&Topic) -> bool) {
        self.retain(keep);
        self.topics.values_mut().for_each(|numbers| numbers.held = numbers.last);
    }

    /// The topics of a channel that have a base.
    pub(crate) fn topics(&self, channel: Channel) -> impl Iterator<Item = &Topic> {
        self.topics.keys().filter(move |topic| topic.channel == channel)
    }

    /// Forgets the topics that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Topic) -> bool) {
        self.topics.retain(|topic, _| keep(topic));
        self.again.retain(|topic, _| keep(topic));
    }

    /// Forgets everything: the numbers of another life of the hub mean nothing.
    pub(crate) fn clear(&mut self) {
        self.topics.clear();
        self.again.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_protocol::Symbol;

    fn topic(symbol: &str) -> Topic {
        Topic { symbol: Symbol::new(symbol).unwrap(), channel: Channel::Trades }
    }

    #[test]
    fn first_live_tick_sets_the_base() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.live(topic("A"), 7), Seen::InOrder);
        assert_eq!(sequence.live(topic("A"), 8), Seen::InOrder);
        assert_eq!(sequence.live(topic("B"), 1), Seen::InOrder);
    }

    #[test]
    fn gap_is_reported_once() {
        let mut sequence = Sequence::default();
        sequence.live(topic("A"), 1);
        assert_eq!(sequence.live(topic("A"), 5), Seen::Gap { from: 2, to: 4 });
        assert_eq!(sequence.live(topic("A"), 6), Seen::InOrder);
    }

    #[test]
    fn repeated_and_older_ticks_are_stale_and_keep_the_base() {
        let mut sequence = Sequence::default();
        sequence.live(topic("A"), 5);
        assert_eq!(sequence.live(topic("A"), 5), Seen::Stale { expected: 6 });
        assert_eq!(sequence.live(topic("A"), 2), Seen::Stale { expected: 6 });
        assert_eq!(sequence.live(topic("A"), 6), Seen::InOrder);
    }

    #[test]
    fn snapshot_sets_the_base_and_shows_what_was_missed() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.snapshot(topic("A"), 5), Seen::InOrder);
        assert_eq!(sequence.live(topic("A"), 6), Seen::InOrder);
        assert_eq!(sequence.snapshot(topic("A"), 6), Seen::InOrder);
        assert_eq!(sequence.snapshot(topic("A"), 9), Seen::Gap { from: 7, to: 9 });
        assert_eq!(sequence.live(topic("A"), 10), Seen::InOrder);
    }

    #[test]
    fn skipped_numbers_are_no_gap_and_do_not_go_back() {
        let mut sequence = Sequence::default();
        sequence.live(topic("A"), 5);
        sequence.skip(topic("A"), 9);
        assert_eq!(sequence.live(topic("A"), 10), Seen::InOrder);
        sequence.skip(topic("A"), 7);
        assert_eq!(sequence.last(&topic("A")), Some(10));
        sequence.skip(topic("B"), 3);
        assert_eq!(sequence.live(topic("B"), 3), Seen::Stale { expected: 4 });
        sequence.forget(&topic("B"));
        assert_eq!(sequence.live(topic("B"), 3), Seen::InOrder);
    }

    #[test]
    fn what_came_on_an_earlier_connection_may_come_again() {
        let mut sequence = Sequence::default();
        sequence.live(topic("A"), 5);
        sequence.live(topic("B"), 5);
        sequence.hold(|kept| *kept == topic("A"));
        assert_eq!(sequence.live(topic("A"), 4), Seen::Known);
        assert_eq!(sequence.live(topic("A"), 5), Seen::Known);
        assert_eq!(sequence.live(topic("A"), 6), Seen::InOrder);
        assert_eq!(sequence.live(topic("A"), 6), Seen::Stale { expected: 7 });
        assert_eq!(sequence.live(topic("B"), 2), Seen::InOrder);
    }

    #[test]
    fn going_back_gives_what_was_not_given_and_nothing_twice() {
        let mut sequence = Sequence::default();
        for seq in 60..=100 {
            sequence.live(topic("A"), seq);
        }
        sequence.go_back(topic("A"));
        let seen: Vec<Seen> = (10..60).map(|seq| sequence.live(topic("A"), seq)).collect();
        assert_eq!(seen, [Seen::InOrder; 50]);
        sequence.go_back(topic("A"));
        let seen: Vec<Seen> = (10..=100).map(|seq| sequence.live(topic("A"), seq)).collect();
        assert_eq!(seen, [Seen::Known; 91]);
        assert_eq!(sequence.live(topic("A"), 101), Seen::InOrder);
        assert_eq!(sequence.live(topic("A"), 101), Seen::Stale { expected: 102 });
    }

    #[test]
    fn going_back_shows_what_is_missing_before_and_behind_what_was_given() {
        let mut sequence = Sequence::default();
        sequence.live(topic("A"), 60);
        sequence.live(topic("A"), 61);
        sequence.go_back(topic("A"));
        assert_eq!(sequence.live(topic("A"), 10), Seen::InOrder);
        assert_eq!(sequence.live(topic("A"), 12), Seen::Gap { from: 11, to: 11 });
        assert_eq!(sequence.live(topic("A"), 60), Seen::Known);
        assert_eq!(sequence.live(topic("A"), 64), Seen::Gap { from: 62, to: 63 });
    }

    #[test]
    fn last_value_is_given_when_it_comes_as_a_tick() {
        let mut sequence = Sequence::default();
        sequence.snapshot(topic("A"), 5);
        sequence.go_back(topic("A"));
        assert_eq!(sequence.live(topic("A"), 4), Seen::InOrder);
        assert_eq!(sequence.live(topic("A"), 5), Seen::InOrder);
    }

    #[test]
    fn forgotten_topics_start_anew() {
        let mut sequence = Sequence::default();
        sequence.live(topic("A"), 5);
        sequence.live(topic("B"), 5);
        sequence.retain(|kept| *kept == topic("B"));
        assert_eq!(sequence.live(topic("A"), 9), Seen::InOrder);
        assert_eq!(sequence.live(topic("B"), 9), Seen::Gap { from: 6, to: 8 });
        sequence.clear();
        assert_eq!(sequence.live(topic("B"), 1), Seen::InOrder);
    }
}

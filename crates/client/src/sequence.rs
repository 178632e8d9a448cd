//! Finds missing and repeated ticks by their sequence numbers.

use rustc_hash::FxHashMap;
use tickwire_protocol::Channel;

use crate::Topic;

/// The sequence numbers that have been received of each topic. The last number of a topic is its
/// *base*, against which the next tick is checked. The size is bounded by the number of topics of
/// the hub.
#[derive(Debug, Default)]
pub(crate) struct SequenceTracker {
    topics: FxHashMap<Topic, TopicSequence>,
    /// Topics that the hub sends again from an earlier tick, with the first and the last number
    /// that the application already has. There are few of them.
    rewound: FxHashMap<Topic, (u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct TopicSequence {
    /// Every number from `first` to `last` was delivered or reported as missing.
    first: u64,
    last: u64,
    /// Up to this number the hub may send ticks again: they were received on an earlier connection,
    /// or by another name.
    repeatable: u64,
}

impl TopicSequence {
    /// Returns the state of a topic whose first tick has this number.
    const fn starting_with(first: u64) -> Self {
        Self { first, last: first, repeatable: 0 }
    }

    /// Returns the state of a topic whose first tick will be the one after this number.
    const fn starting_after(last: u64) -> Self {
        Self { first: last.saturating_add(1), last, repeatable: 0 }
    }
}

/// What the sequence number of a tick says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeqCheck {
    /// No tick of the topic is missing before this one.
    InOrder,
    /// The ticks `from` to `to` were not received live.
    Gap { from: u64, to: u64 },
    /// The tick was received before, and the hub rightly sends it again.
    Repeated,
    /// The tick is not newer than an earlier one on this connection.
    OutOfOrder { expected: u64 },
}

impl SequenceTracker {
    /// Checks a live tick. The first tick of a topic sets its base.
    pub(crate) fn check_live(&mut self, topic: Topic, seq: u64) -> SeqCheck {
        if !self.rewound.is_empty() && self.is_delivered(topic, seq) {
            return SeqCheck::Repeated;
        }
        let Some(numbers) = self.topics.get_mut(&topic) else {
            self.topics.insert(topic, TopicSequence::starting_with(seq));
            return SeqCheck::InOrder;
        };
        let expected = numbers.last.saturating_add(1);
        if seq <= numbers.repeatable {
            return SeqCheck::Repeated;
        }
        if seq < expected {
            return SeqCheck::OutOfOrder { expected };
        }
        numbers.last = seq;
        if seq == expected {
            SeqCheck::InOrder
        } else {
            SeqCheck::Gap { from: expected, to: seq - 1 }
        }
    }

    /// Returns whether the application already has this tick of a rewound topic.
    fn is_delivered(&mut self, topic: Topic, seq: u64) -> bool {
        let Some((first, last)) = self.rewound.get(&topic).copied() else { return false };
        if seq < first {
            return false;
        }
        let is_delivered = seq <= last;
        let numbers =
            self.topics.entry(topic).or_insert_with(|| TopicSequence::starting_after(first - 1));
        if is_delivered {
            numbers.last = numbers.last.max(seq);
        } else {
            if numbers.last >= first - 1 {
                numbers.last = numbers.last.max(last);
            }
            self.rewound.remove(&topic);
        }
        is_delivered
    }

    /// Prepares for a topic that the hub sends again from an earlier tick. Ticks that the
    /// application has are not delivered again.
    pub(crate) fn rewind(&mut self, topic: Topic) {
        let Some(TopicSequence { first, last, .. }) = self.topics.remove(&topic) else { return };
        let delivered = match self.rewound.remove(&topic) {
            Some((next, end)) if last.saturating_add(1) >= next => (first.min(next), last.max(end)),
            _ => (first, last),
        };
        if delivered.0 <= delivered.1 {
            self.rewound.insert(topic, delivered);
        }
    }

    /// Allows the hub to send again the ticks of a topic that were received so far.
    pub(crate) fn allow_repeats(&mut self, topic: &Topic) {
        if let Some(numbers) = self.topics.get_mut(topic) {
            numbers.repeatable = numbers.last;
        }
    }

    /// Checks a tick of a snapshot, which sets the base of its topic. Numbers between the old base
    /// and the new one were not received live.
    pub(crate) fn check_snapshot(&mut self, topic: Topic, seq: u64) -> SeqCheck {
        let numbers =
            self.topics.entry(topic).or_insert_with(|| TopicSequence::starting_after(seq));
        let expected = numbers.last.saturating_add(1);
        numbers.last = seq.max(numbers.last);
        if seq < expected { SeqCheck::InOrder } else { SeqCheck::Gap { from: expected, to: seq } }
    }

    /// Returns the last number received of a topic.
    pub(crate) fn last(&self, topic: &Topic) -> Option<u64> {
        self.topics.get(topic).map(|numbers| numbers.last)
    }

    /// Skips numbers up to `to`: they will not be received, which has been reported.
    pub(crate) fn skip_to(&mut self, topic: Topic, to: u64) {
        let numbers = self.topics.entry(topic).or_insert_with(|| TopicSequence::starting_after(to));
        numbers.last = to.max(numbers.last);
    }

    /// Forgets a topic, so that its next tick sets its base.
    pub(crate) fn forget(&mut self, topic: &Topic) {
        self.topics.remove(topic);
        self.rewound.remove(topic);
    }

    /// Prepares for a new connection, on which the hub may send again the ticks that were received
    /// so far. Forgets the topics for which `keep` is false.
    pub(crate) fn on_reconnect(&mut self, keep: impl Fn(&Topic) -> bool) {
        self.retain(keep);
        self.topics.values_mut().for_each(|numbers| numbers.repeatable = numbers.last);
    }

    /// Returns the topics of a channel that have a base.
    pub(crate) fn topics(&self, channel: Channel) -> impl Iterator<Item = &Topic> {
        self.topics.keys().filter(move |topic| topic.channel == channel)
    }

    /// Forgets the topics for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Topic) -> bool) {
        self.topics.retain(|topic, _| keep(topic));
        self.rewound.retain(|topic, _| keep(topic));
    }

    /// Forgets all topics: numbers of another epoch have no meaning.
    pub(crate) fn clear(&mut self) {
        self.topics.clear();
        self.rewound.clear();
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
        let mut sequence = SequenceTracker::default();
        assert_eq!(sequence.check_live(topic("A"), 7), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("A"), 8), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("B"), 1), SeqCheck::InOrder);
    }

    #[test]
    fn gap_is_reported_once() {
        let mut sequence = SequenceTracker::default();
        sequence.check_live(topic("A"), 1);
        assert_eq!(sequence.check_live(topic("A"), 5), SeqCheck::Gap { from: 2, to: 4 });
        assert_eq!(sequence.check_live(topic("A"), 6), SeqCheck::InOrder);
    }

    #[test]
    fn repeated_and_older_ticks_are_out_of_order_and_keep_the_base() {
        let mut sequence = SequenceTracker::default();
        sequence.check_live(topic("A"), 5);
        assert_eq!(sequence.check_live(topic("A"), 5), SeqCheck::OutOfOrder { expected: 6 });
        assert_eq!(sequence.check_live(topic("A"), 2), SeqCheck::OutOfOrder { expected: 6 });
        assert_eq!(sequence.check_live(topic("A"), 6), SeqCheck::InOrder);
    }

    #[test]
    fn snapshot_sets_the_base_and_shows_missing_ticks() {
        let mut sequence = SequenceTracker::default();
        assert_eq!(sequence.check_snapshot(topic("A"), 5), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("A"), 6), SeqCheck::InOrder);
        assert_eq!(sequence.check_snapshot(topic("A"), 6), SeqCheck::InOrder);
        assert_eq!(sequence.check_snapshot(topic("A"), 9), SeqCheck::Gap { from: 7, to: 9 });
        assert_eq!(sequence.check_live(topic("A"), 10), SeqCheck::InOrder);
    }

    #[test]
    fn skipped_numbers_are_no_gap_and_never_lower_the_base() {
        let mut sequence = SequenceTracker::default();
        sequence.check_live(topic("A"), 5);
        sequence.skip_to(topic("A"), 9);
        assert_eq!(sequence.check_live(topic("A"), 10), SeqCheck::InOrder);
        sequence.skip_to(topic("A"), 7);
        assert_eq!(sequence.last(&topic("A")), Some(10));
        sequence.skip_to(topic("B"), 3);
        assert_eq!(sequence.check_live(topic("B"), 3), SeqCheck::OutOfOrder { expected: 4 });
        sequence.forget(&topic("B"));
        assert_eq!(sequence.check_live(topic("B"), 3), SeqCheck::InOrder);
    }

    #[test]
    fn ticks_of_an_earlier_connection_may_be_repeated() {
        let mut sequence = SequenceTracker::default();
        sequence.check_live(topic("A"), 5);
        sequence.check_live(topic("B"), 5);
        sequence.on_reconnect(|kept| *kept == topic("A"));
        assert_eq!(sequence.check_live(topic("A"), 4), SeqCheck::Repeated);
        assert_eq!(sequence.check_live(topic("A"), 5), SeqCheck::Repeated);
        assert_eq!(sequence.check_live(topic("A"), 6), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("A"), 6), SeqCheck::OutOfOrder { expected: 7 });
        assert_eq!(sequence.check_live(topic("B"), 2), SeqCheck::InOrder);
    }

    #[test]
    fn rewind_delivers_missing_ticks_and_nothing_twice() {
        let mut sequence = SequenceTracker::default();
        for seq in 60..=100 {
            sequence.check_live(topic("A"), seq);
        }
        sequence.rewind(topic("A"));
        let checks: Vec<SeqCheck> =
            (10..60).map(|seq| sequence.check_live(topic("A"), seq)).collect();
        assert_eq!(checks, [SeqCheck::InOrder; 50]);
        sequence.rewind(topic("A"));
        let checks: Vec<SeqCheck> =
            (10..=100).map(|seq| sequence.check_live(topic("A"), seq)).collect();
        assert_eq!(checks, [SeqCheck::Repeated; 91]);
        assert_eq!(sequence.check_live(topic("A"), 101), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("A"), 101), SeqCheck::OutOfOrder { expected: 102 });
    }

    #[test]
    fn rewind_shows_gaps_before_and_after_the_delivered_ticks() {
        let mut sequence = SequenceTracker::default();
        sequence.check_live(topic("A"), 60);
        sequence.check_live(topic("A"), 61);
        sequence.rewind(topic("A"));
        assert_eq!(sequence.check_live(topic("A"), 10), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("A"), 12), SeqCheck::Gap { from: 11, to: 11 });
        assert_eq!(sequence.check_live(topic("A"), 60), SeqCheck::Repeated);
        assert_eq!(sequence.check_live(topic("A"), 64), SeqCheck::Gap { from: 62, to: 63 });
    }

    #[test]
    fn last_value_is_delivered_again_as_a_tick_after_a_rewind() {
        let mut sequence = SequenceTracker::default();
        sequence.check_snapshot(topic("A"), 5);
        sequence.rewind(topic("A"));
        assert_eq!(sequence.check_live(topic("A"), 4), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("A"), 5), SeqCheck::InOrder);
    }

    #[test]
    fn forgotten_topics_get_a_new_base() {
        let mut sequence = SequenceTracker::default();
        sequence.check_live(topic("A"), 5);
        sequence.check_live(topic("B"), 5);
        sequence.retain(|kept| *kept == topic("B"));
        assert_eq!(sequence.check_live(topic("A"), 9), SeqCheck::InOrder);
        assert_eq!(sequence.check_live(topic("B"), 9), SeqCheck::Gap { from: 6, to: 8 });
        sequence.clear();
        assert_eq!(sequence.check_live(topic("B"), 1), SeqCheck::InOrder);
    }
}

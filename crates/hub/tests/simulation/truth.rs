//! What the hub has issued, noted beside it: what every observer must agree with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tickwire_hub::fanout::Batch;
use tickwire_protocol::{Channel, Symbol, Tick};

use crate::source;

pub(crate) type Name = (Channel, Symbol);
/// Feed, channel, symbol.
pub(crate) type Topic = (u8, Channel, Symbol);

/// The ticks of one epoch.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// `ticks[i]` has position `i + 1`.
    ticks: Vec<(Topic, Tick)>,
    /// When each of them was received.
    times: Vec<u64>,
    /// Positions of the ticks of a topic, in order of their numbers.
    topics: BTreeMap<Topic, Vec<u64>>,
    /// Which ticks of their sources were taken, by publisher.
    sources: BTreeMap<u64, BTreeSet<u64>>,
    received_ns: u64,
}

/// What a client's observations are compared with.
pub(crate) struct Facts<'a> {
    pub(crate) truth: &'a Truth,
    /// Positions that the client's shard has not seen, since it fell out of the log.
    pub(crate) unseen: &'a [Range<u64>],
    /// Where the log begins by now.
    pub(crate) start: u64,
    pub(crate) now_ns: u64,
}

impl Facts<'_> {
    /// Number of the last tick of a topic before a position. A shard cannot tell of a topic of which it
    /// has seen nothing: what passed it by before it saw one counts as before.
    pub(crate) fn last_before(&self, topic: Topic, position: u64) -> u64 {
        let mut last = self.truth.count_before(topic, position);
        if last == 0
            && let Some(first) = self.truth.position(topic, last + 1)
            && let Some(unseen) = self.unseen.iter().find(|unseen| unseen.contains(&first))
        {
            last = self.truth.count_before(topic, unseen.end);
        }
        last
    }
}

impl Truth {
    /// Notes a batch that shards can see from now on, and checks how it was numbered.
    pub(crate) fn issue(&mut self, batch: &Batch) {
        assert_eq!(batch.first().0, self.head(), "positions are contiguous");
        assert!(batch.received().0 >= self.received_ns, "receive times never go back");
        self.received_ns = batch.received().0;
        for numbered in batch.ticks() {
            let tick = &numbered.tick;
            let topic = (numbered.feed.0, tick.channel(), tick.symbol);
            let positions = self.topics.entry(topic).or_default();
            positions.push(self.ticks.len() as u64 + 1);
            assert_eq!(tick.seq.0, positions.len() as u64, "numbers of {topic:?} are contiguous");
            self.check_source(tick);
            self.ticks.push((topic, tick.clone()));
            self.times.push(self.received_ns);
        }
    }

    /// Notes a batch that a log on disk has: what was issued before is what it was.
    pub(crate) fn recover(&mut self, batch: &Batch) {
        if batch.first().0 >= self.head() {
            return self.issue(batch);
        }
        for (numbered, position) in batch.ticks().iter().zip(batch.first().0..) {
            let at = usize::try_from(position - 1).unwrap();
            assert_eq!(numbered.tick, self.ticks[at].1, "at position {position}");
            assert_eq!(batch.received().0, self.times[at], "at position {position}");
        }
    }

    /// Nothing is taken twice; of who is acknowledged everything is, in its order.
    fn check_source(&mut self, tick: &Tick) {
        let (publisher, index) = source::origin(tick);
        let taken = self.sources.entry(publisher).or_default();
        if source::is_acknowledged(publisher) {
            let last = taken.last();
            let follows = last.is_none_or(|last| index == last + 1);
            assert!(follows, "publisher {publisher}: {index} follows {last:?}");
        }
        assert!(taken.insert(index), "publisher {publisher}: {index} comes twice");
    }

    /// Position of the next tick.
    pub(crate) fn head(&self) -> u64 {
        self.ticks.len() as u64 + 1
    }

    /// A tick by its number, with its position.
    pub(crate) fn tick(&self, topic: Topic, seq: u64) -> Option<(u64, &Tick)> {
        let position = self.position(topic, seq)?;
        Some((position, &self.ticks[usize::try_from(position - 1).unwrap()].1))
    }

    pub(crate) fn position(&self, topic: Topic, seq: u64) -> Option<u64> {
        let at = usize::try_from(seq.checked_sub(1)?).unwrap();
        self.topics.get(&topic)?.get(at).copied()
    }

    /// When the tick at a position was received.
    pub(crate) fn received_ns(&self, position: u64) -> u64 {
        self.times[usize::try_from(position - 1).unwrap()]
    }

    /// Position of the first tick received at a time or later.
    pub(crate) fn received_from(&self, time_ns: u64) -> u64 {
        self.times.partition_point(|received| *received < time_ns) as u64 + 1
    }

    /// How many ticks of a topic lie before a position; that is the number of the last of them.
    pub(crate) fn count_before(&self, topic: Topic, position: u64) -> u64 {
        let positions = self.topics.get(&topic).map_or(&[][..], |positions| &positions[..]);
        positions.partition_point(|at| *at < position) as u64
    }

    /// Number of the newest tick; 0 if there is none.
    pub(crate) fn newest(&self, topic: Topic) -> u64 {
        self.topics.get(&topic).map_or(0, |positions| positions.len() as u64)
    }

    /// Names that have ticked on a feed.
    pub(crate) fn names(&self, feed: u8) -> impl Iterator<Item = Name> {
        let of_feed = self.topics.keys().filter(move |topic| topic.0 == feed);
        of_feed.map(|(_, channel, symbol)| (*channel, *symbol))
    }
}

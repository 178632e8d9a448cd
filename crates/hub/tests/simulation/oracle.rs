//! The oracle: an independent record of every tick that the hub sent, for comparison by observers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tickwire_hub::fanout::Batch;
use tickwire_protocol::{Channel, Symbol, Tick};

use crate::source;

pub(crate) type Name = (Channel, Symbol);
/// A topic: feed, channel and symbol.
pub(crate) type Topic = (u8, Channel, Symbol);

/// The ticks of one epoch.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// `ticks[i]` has position `i + 1`.
    ticks: Vec<(Topic, Tick)>,
    /// Receive time of each tick.
    times: Vec<u64>,
    /// Positions of the ticks of each topic, in order.
    topics: BTreeMap<Topic, Vec<u64>>,
    /// Indices of the accepted ticks, by publisher.
    sources: BTreeMap<u64, BTreeSet<u64>>,
    received_ns: u64,
}

/// The facts that a client's observations are compared with.
pub(crate) struct Facts<'a> {
    pub(crate) oracle: &'a Oracle,
    /// Positions that the client's shard has not seen after the log overran it.
    pub(crate) unseen: &'a [Range<u64>],
    /// Current start of the log.
    pub(crate) start: u64,
    pub(crate) now_ns: u64,
}

impl Facts<'_> {
    /// Returns the number of a topic's last tick before a position. A shard cannot report ticks of
    /// a topic that it has not seen; those it missed before its first one count as before.
    pub(crate) fn last_before(&self, topic: Topic, position: u64) -> u64 {
        let mut last = self.oracle.count_before(topic, position);
        if last == 0
            && let Some(first) = self.oracle.position(topic, last + 1)
            && let Some(unseen) = self.unseen.iter().find(|unseen| unseen.contains(&first))
        {
            last = self.oracle.count_before(topic, unseen.end);
        }
        last
    }
}

impl Oracle {
    /// Records a batch that becomes visible to shards, and checks its numbering.
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

    /// Records a batch of a recovered log, which must agree with what was sent before.
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

    /// Asserts that no tick was accepted twice, and that acknowledged publishers have no holes.
    fn check_source(&mut self, tick: &Tick) {
        let (publisher, index) = source::origin(tick);
        let taken = self.sources.entry(publisher).or_default();
        if source::is_acknowledged(publisher) {
            let last = taken.last();
            let follows = last.is_none_or(|last| index == last + 1);
            assert!(follows, "publisher {publisher}: {index} follows {last:?}");
        }
        assert!(taken.insert(index), "publisher {publisher}: {index} is repeated");
    }

    /// Returns the position of the next tick.
    pub(crate) fn head(&self) -> u64 {
        self.ticks.len() as u64 + 1
    }

    /// Returns a tick and its position by its number.
    pub(crate) fn tick(&self, topic: Topic, seq: u64) -> Option<(u64, &Tick)> {
        let position = self.position(topic, seq)?;
        Some((position, &self.ticks[usize::try_from(position - 1).unwrap()].1))
    }

    pub(crate) fn position(&self, topic: Topic, seq: u64) -> Option<u64> {
        let at = usize::try_from(seq.checked_sub(1)?).unwrap();
        self.topics.get(&topic)?.get(at).copied()
    }

    /// Returns the receive time of the tick at a position.
    pub(crate) fn received_ns(&self, position: u64) -> u64 {
        self.times[usize::try_from(position - 1).unwrap()]
    }

    /// Returns the position of the first tick received at a time or later.
    pub(crate) fn received_from(&self, time_ns: u64) -> u64 {
        self.times.partition_point(|received| *received < time_ns) as u64 + 1
    }

    /// Returns the number of ticks of a topic before a position, which is the number of the last
    /// one.
    pub(crate) fn count_before(&self, topic: Topic, position: u64) -> u64 {
        let positions = self.topics.get(&topic).map_or(&[][..], |positions| &positions[..]);
        positions.partition_point(|at| *at < position) as u64
    }

    /// Returns the number of the newest tick, or 0 if there is none.
    pub(crate) fn newest(&self, topic: Topic) -> u64 {
        self.topics.get(&topic).map_or(0, |positions| positions.len() as u64)
    }

    /// Returns the names of a feed that have ticked.
    pub(crate) fn names(&self, feed: u8) -> impl Iterator<Item = Name> {
        let of_feed = self.topics.keys().filter(move |topic| topic.0 == feed);
        of_feed.map(|(_, channel, symbol)| (*channel, *symbol))
    }
}

//! All topics of the hub: how many sessions subscribe to each, and since when it ticks.
//!
//! The router adds topics at their first tick; shards add the changes in their numbers of
//! subscribers at the end of a turn. No tick after the first one touches the registry. What a
//! topic's ticks say (their number, the last value) is kept by the shards and read from them when
//! asked, see [`topic_counts`](crate::serving::topic_counts).
//!
//! Each method finishes its access to the map before it returns or accesses the map again: a guard
//! of a `DashMap` holds a lock, so a second access under a guard could deadlock.

mod client_demand;
mod demand;
mod symbol_index;
#[cfg(test)]
mod tests;

use std::collections::BinaryHeap;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tickwire_protocol::{Channel, Symbol, UnixNanos};

use crate::config::TIMELINES_MAX;
use crate::fanout::{FeedId, InterestChange, TopicInterest, TopicKey};
use client_demand::ClientDemand;
pub(crate) use client_demand::{ClientNames, ShardIndex};
use demand::DemandListeners;
pub(crate) use demand::{DemandSubscription, elements};
use symbol_index::SymbolIndex;

/// The topics of all feeds, for every shard, the router and the HTTP API.
#[derive(Debug)]
pub(crate) struct TopicRegistry {
    /// Topics that have ticked or have subscribers, and each `"*"` (no symbol) that has
    /// subscribers.
    topics: DashMap<TopicInterest, TopicState>,
    symbols: SymbolIndex,
    demand: DemandListeners,
    client_demand: ClientDemand,
}

/// The registry's knowledge of one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TopicState {
    first_tick: FirstTick,
    /// Number of sessions that subscribe to the topic, by timeline.
    subscribers: [u32; TIMELINES_MAX],
}

/// When a topic or a symbol ticked for the first time, from the earliest on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum FirstTick {
    /// Before the oldest tick in memory at start: recovered from the log on disk.
    BeforeHistory,
    /// Received at this time.
    At(UnixNanos),
    /// It has never ticked.
    #[default]
    Never,
}

impl FirstTick {
    /// Returns whether the first tick had been received at a time.
    fn is_by(self, time: UnixNanos) -> bool {
        self <= Self::At(time)
    }
}

/// Result of a symbol search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundSymbols {
    /// Symbols of the feed that the search could have found, whatever the query.
    pub(crate) total: usize,
    /// Matching symbols, each with the channels on which it has ticked.
    pub(crate) symbols: Vec<(Symbol, Vec<Channel>)>,
}

impl TopicState {
    /// Returns the number of sessions of a timeline that subscribe to the topic by name.
    pub(crate) const fn subscribers(&self, timeline: usize) -> u32 {
        self.subscribers[timeline]
    }

    /// Returns whether the topic had ticked at a time. First ticks that were recovered from disk
    /// without a time count as older than any time.
    pub(crate) fn has_ticked_by(&self, time: UnixNanos) -> bool {
        self.first_tick.is_by(time)
    }

    fn has_ticked(&self) -> bool {
        self.first_tick != FirstTick::Never
    }

    /// Returns whether any session of any timeline subscribes to the topic.
    fn is_wanted(&self) -> bool {
        self.subscribers.iter().any(|count| *count > 0)
    }
}

impl TopicRegistry {
    /// Creates an empty registry for a number of feeds.
    pub(crate) fn new(feeds: usize) -> Self {
        Self {
            topics: DashMap::new(),
            symbols: SymbolIndex::new(feeds),
            demand: DemandListeners::default(),
            client_demand: ClientDemand::default(),
        }
    }

    /// Adds topics that tick for the first time, at the time when these ticks were received.
    pub(crate) fn add_ticked(&self, topics: &[TopicKey], received: UnixNanos) {
        self.add(topics.iter().map(|topic| (*topic, FirstTick::At(received))));
    }

    /// Adds topics that ticked before the hub started, each with the time at which its first tick
    /// was received; `None` if that tick is older than the log in memory.
    pub(crate) fn add_recovered(&self, topics: &[(TopicKey, Option<UnixNanos>)]) {
        let first_tick =
            |time: Option<UnixNanos>| time.map_or(FirstTick::BeforeHistory, FirstTick::At);
        self.add(topics.iter().map(|(topic, time)| (*topic, first_tick(*time))));
        self.symbols.merge();
    }

    fn add(&self, topics: impl Iterator<Item = (TopicKey, FirstTick)> + Clone) {
        for (topic, first_tick) in topics.clone() {
            self.topics.entry(interest(topic)).or_default().first_tick = first_tick;
        }
        self.symbols.push(topics.map(|(topic, first)| (topic.feed, topic.symbol, first)));
    }

    /// Applies the changes in the numbers of subscribers of one shard of a timeline, and notifies
    /// publishers of interests that gained their first subscriber or lost their last.
    pub(crate) fn apply(&self, timeline: usize, changes: &[InterestChange]) {
        let crossed = changes.iter().filter(|change| self.apply_one(timeline, change));
        let crossed: Vec<_> = crossed.map(|change| change.interest).collect();
        self.demand.mark(&crossed);
    }

    /// Returns whether the interest gained its first subscriber or lost its last.
    fn apply_one(&self, timeline: usize, change: &InterestChange) -> bool {
        let entry = self.topics.entry(change.interest);
        let mut state = match &entry {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(_) => TopicState::default(),
        };
        let was_wanted = state.is_wanted();
        let count = &mut state.subscribers[timeline];
        let sum = i64::from(*count).saturating_add(change.delta);
        debug_assert!(sum >= 0, "{change:?} on {count}");
        *count = u32::try_from(sum.max(0)).unwrap_or(u32::MAX);
        let is_wanted = state.is_wanted();
        match entry {
            Entry::Occupied(entry) if !is_wanted && !state.has_ticked() => _ = entry.remove(),
            Entry::Occupied(mut entry) => _ = entry.insert(state),
            Entry::Vacant(_) if !is_wanted => {}
            Entry::Vacant(entry) => _ = entry.insert(state),
        }
        was_wanted != is_wanted
    }

    /// Finds symbols of a feed that had ticked at the time `until`: first those that start with the
    /// query, then those that contain it, each group sorted. Finds only symbols that `may_read`
    /// accepts.
    pub(crate) fn search(
        &self,
        feed: FeedId,
        until: UnixNanos,
        query: &str,
        limit: usize,
        may_read: impl Fn(&Symbol) -> bool,
    ) -> FoundSymbols {
        let (total, found) = self.symbols.search(feed, until, query, limit, may_read);
        let symbols = found.into_iter().map(|symbol| (symbol, self.channels(feed, symbol, until)));
        FoundSymbols { total, symbols: symbols.collect() }
    }

    /// Returns the channels on which a symbol had ticked at a time.
    fn channels(&self, feed: FeedId, symbol: Symbol, until: UnixNanos) -> Vec<Channel> {
        let has_ticked = |channel: &Channel| {
            let topic = TopicKey { feed, channel: *channel, symbol };
            self.state(&interest(topic)).is_some_and(|state| state.has_ticked_by(until))
        };
        Channel::ALL.into_iter().filter(has_ticked).collect()
    }

    /// Returns a copy of the state of an interest.
    fn state(&self, interest: &TopicInterest) -> Option<TopicState> {
        self.topics.get(interest).map(|state| *state)
    }

    /// Returns the `limit` smallest ranks of the topics, ascending. `rank` returns `None` for
    /// topics that are not listed.
    ///
    /// `rank` is called while a part of the map is locked and must not call the registry.
    pub(crate) fn first_by<R: Ord>(
        &self,
        limit: usize,
        mut rank: impl FnMut(&TopicInterest, &TopicState) -> Option<R>,
    ) -> Vec<R> {
        let mut first = BinaryHeap::new();
        for topic in &self.topics {
            let Some(rank) = rank(topic.key(), topic.value()) else { continue };
            if first.len() < limit {
                first.push(rank);
            } else if first.peek().is_some_and(|largest| rank < *largest) {
                first.pop();
                first.push(rank);
            }
        }
        first.into_sorted_vec()
    }

    /// Returns the topics that had ticked at a time, in no order.
    pub(crate) fn ticked_by(&self, time: UnixNanos) -> Vec<TopicKey> {
        let ticked = self.topics.iter().filter(|topic| topic.has_ticked_by(time));
        let key = |topic: &TopicInterest| {
            let TopicInterest { feed, channel, symbol } = *topic;
            Some(TopicKey { feed, channel, symbol: symbol? })
        };
        ticked.filter_map(|topic| key(topic.key())).collect()
    }

    /// Returns the number of sessions of a timeline that subscribe to `"*"` of a channel.
    pub(crate) fn wildcard_subscribers(
        &self,
        feed: FeedId,
        channel: Channel,
        timeline: usize,
    ) -> u32 {
        let all = TopicInterest { feed, channel, symbol: None };
        self.state(&all).map_or(0, |state| state.subscribers(timeline))
    }

    /// Subscribes a publisher to the demand for a feed. The first call of
    /// [`DemandSubscription::take`] returns all of it. With `symbols`, only demand for these is
    /// reported, by name; a `"*"` counts as demand for each of them.
    pub(crate) fn subscribe_demand(
        self: &Arc<Self>,
        feed: FeedId,
        symbols: Option<Arc<[Symbol]>>,
    ) -> DemandSubscription {
        DemandSubscription::new(self.clone(), feed, symbols)
    }

    /// Adds a shard that will read the names of its clients. Must precede all publishers.
    pub(crate) fn add_shard(&self, shard: ShardIndex) {
        self.client_demand.add_shard(shard);
    }

    /// Returns a number if shards shall read the names of their clients: all of them again whenever
    /// the number has changed.
    pub(crate) fn client_names_round(&self) -> Option<u64> {
        self.client_demand.round()
    }

    /// Stores the names that a shard read for a round, and notifies publishers of changes.
    pub(crate) fn set_client_names(&self, shard: ShardIndex, round: u64, names: ClientNames) {
        if self.client_demand.store(shard, round, names) {
            self.demand.notify_all();
        }
    }

    fn is_wanted(&self, interest: &TopicInterest) -> bool {
        self.state(interest).is_some_and(|state| state.is_wanted())
    }

    /// Returns the interests of a feed that any session subscribes to.
    fn wanted(&self, feed: FeedId) -> Vec<TopicInterest> {
        let of_feed = self.topics.iter().filter(|topic| topic.key().feed == feed);
        of_feed.filter(|topic| topic.is_wanted()).map(|topic| *topic.key()).collect()
    }
}

const fn interest(TopicKey { feed, channel, symbol }: TopicKey) -> TopicInterest {
    TopicInterest { feed, channel, symbol: Some(symbol) }
}

//! The registry compared with a plain map, and driven by several threads at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tickwire_protocol::{Channel, Symbol, UnixNanos};

use super::demand::DemandChange;
use super::{DemandSubscription, TopicRegistry};
use crate::config::TIMELINES_MAX;
use crate::fanout::{FeedId, InterestChange, TopicInterest, TopicKey};

const FEEDS: u8 = 2;
const SYMBOLS: [&str; 8] = ["A", "AA", "AAPL", "B", "BRK.A", "BRK.B", "SPAA", "Z"];

/// Returns every interest that a test can choose, `"*"` included.
fn interests() -> Vec<TopicInterest> {
    let mut interests = Vec::new();
    for feed in (0..FEEDS).map(FeedId) {
        for channel in [Channel::Trades, Channel::Quotes, Channel::Bars] {
            let symbols = SYMBOLS.map(|name| Some(Symbol::new(name).unwrap()));
            let all = symbols.into_iter().chain([None]);
            interests.extend(all.map(|symbol| TopicInterest { feed, channel, symbol }));
        }
    }
    interests
}

/// A model of the registry, made of plain maps.
#[derive(Default)]
struct Model {
    /// Subscribers by timeline.
    subscribers: BTreeMap<(usize, TopicInterest), i64>,
    /// Times of first ticks.
    ticked: BTreeMap<TopicInterest, UnixNanos>,
}

impl Model {
    fn apply(&mut self, timeline: usize, change: InterestChange) {
        *self.subscribers.entry((timeline, change.interest)).or_default() += change.delta;
    }

    fn subscribers(&self, timeline: usize, interest: TopicInterest) -> i64 {
        self.subscribers.get(&(timeline, interest)).copied().unwrap_or(0)
    }

    fn wanted(&self, feed: FeedId) -> BTreeSet<TopicInterest> {
        let wanted = self.subscribers.iter().filter(|(_, count)| **count > 0);
        wanted
            .map(|((_, interest), _)| *interest)
            .filter(|interest| interest.feed == feed)
            .collect()
    }

    fn search(&self, feed: FeedId, query: &str, limit: usize) -> Vec<(Symbol, Vec<Channel>)> {
        let mut symbols: BTreeMap<Symbol, Vec<Channel>> = BTreeMap::new();
        for interest in self.ticked.keys().filter(|interest| interest.feed == feed) {
            symbols.entry(interest.symbol.unwrap()).or_default().push(interest.channel);
        }
        let (first, then): (Vec<_>, Vec<_>) = symbols
            .into_iter()
            .filter(|(symbol, _)| symbol.as_str().contains(query))
            .partition(|(symbol, _)| symbol.as_str().starts_with(query));
        first.into_iter().chain(then).take(limit).collect()
    }
}

/// Applies the changes that a subscription to demand reports to `wanted`, the interests that its
/// publisher considers wanted.
fn apply_changes(subscription: &mut DemandSubscription, wanted: &mut BTreeSet<TopicInterest>) {
    for DemandChange { interest, is_wanted } in subscription.take() {
        let has_changed =
            if is_wanted { wanted.insert(interest) } else { wanted.remove(&interest) };
        assert!(has_changed, "{interest:?} was reported as {is_wanted} twice");
    }
}

fn compare(registry: &TopicRegistry, model: &Model, random: &mut StdRng) {
    for interest in interests() {
        let state = registry.state(&interest);
        for timeline in 0..TIMELINES_MAX {
            let count = state.map_or(0, |state| state.subscribers(timeline));
            assert_eq!(i64::from(count), model.subscribers(timeline, interest), "{interest:?}");
        }
        let ticked = model.ticked.get(&interest);
        for time in (0..50).map(UnixNanos) {
            let has_ticked = state.is_some_and(|state| state.has_ticked_by(time));
            assert_eq!(has_ticked, ticked.is_some_and(|first| *first <= time), "{interest:?}");
        }
        let is_known = state.is_some();
        let is_needed = ticked.is_some() || model.wanted(interest.feed).contains(&interest);
        assert_eq!(is_known, is_needed, "{interest:?} is kept for nothing, or was forgotten");
    }
    let query = ["", "A", "AA", "B", "RK", "Z", "."][random.random_range(0..7)];
    let limit = random.random_range(1..10);
    for feed in (0..FEEDS).map(FeedId) {
        let found = registry.search(feed, UnixNanos(u64::MAX), query, limit, |_| true);
        assert_eq!(found.symbols, model.search(feed, query, limit), "{query:?} of {feed:?}");
        assert_eq!(found.total, model.search(feed, "", usize::MAX).len());
    }
}

#[test]
fn registry_agrees_with_a_plain_map() {
    let mut random = StdRng::seed_from_u64(7);
    let interests = interests();
    let registry = Arc::new(TopicRegistry::new(usize::from(FEEDS)));
    let mut model = Model::default();
    let mut subscription = registry.subscribe_demand(FeedId(1), None);
    let mut wanted = BTreeSet::new();
    for step in 0..2_000 {
        let interest = interests[random.random_range(0..interests.len())];
        let timeline = random.random_range(0..TIMELINES_MAX);
        match random.random_range(0..10) {
            0 if interest.symbol.is_some() && !model.ticked.contains_key(&interest) => {
                let time = UnixNanos(random.random_range(1..50));
                let key = topic_key(interest);
                registry.add_ticked(&[key], time);
                model.ticked.insert(interest, time);
            }
            1..6 => {
                let delta = random.random_range(1..3);
                let change = InterestChange { interest, delta };
                registry.apply(timeline, &[change]);
                model.apply(timeline, change);
            }
            6..9 => {
                let delta = -model.subscribers(timeline, interest);
                let change = InterestChange { interest, delta };
                registry.apply(timeline, &[change]);
                model.apply(timeline, change);
            }
            _ => {
                apply_changes(&mut subscription, &mut wanted);
                assert_eq!(wanted, model.wanted(FeedId(1)));
            }
        }
        if step % 20 == 0 {
            compare(&registry, &model, &mut random);
        }
    }
}

#[test]
fn demand_is_reported_whole_at_first_and_then_as_changes() {
    let registry = Arc::new(TopicRegistry::new(1));
    let interest = |symbol: &str| TopicInterest {
        feed: FeedId(0),
        channel: Channel::Trades,
        symbol: Some(Symbol::new(symbol).unwrap()),
    };
    let change = |symbol, delta| InterestChange { interest: interest(symbol), delta };
    let reported = |symbol, is_wanted| DemandChange { interest: interest(symbol), is_wanted };
    registry.apply(0, &[change("A", 1), change("B", 2)]);
    let mut subscription = registry.subscribe_demand(FeedId(0), None);
    assert_eq!(subscription.take(), [reported("A", true), reported("B", true)]);
    registry.apply(1, &[change("A", 1)]);
    registry.apply(0, &[change("A", -1), change("B", -1)]);
    assert_eq!(subscription.take(), [], "both still have a subscriber");
    registry.apply(0, &[change("B", -1), change("C", 1), change("C", -1)]);
    assert_eq!(subscription.take(), [reported("B", false)], "C has changed back");
    drop(subscription);
    registry.apply(0, &[change("C", 1)]);
}

/// Rounds of changes that each thread makes.
const ROUNDS: u64 = 400;

/// Simulates a shard whose sessions subscribe and unsubscribe at random. Returns a model of the
/// subscriptions that remain.
fn subscribe_at_random(registry: &TopicRegistry, thread: u64) -> Model {
    let mut random = StdRng::seed_from_u64(thread);
    let interests = interests();
    let timeline = usize::try_from(thread).unwrap() % 2; // two shards in each of two timelines
    let mut model = Model::default();
    for _ in 0..ROUNDS {
        let mut changes = Vec::new();
        for _ in 0..random.random_range(1..20) {
            let interest = interests[random.random_range(0..interests.len())];
            let leaves = model.subscribers(timeline, interest) > 0 && random.random_bool(0.7);
            let change = InterestChange { interest, delta: if leaves { -1 } else { 1 } };
            model.apply(timeline, change);
            changes.push(change);
        }
        registry.apply(timeline, &changes);
    }
    model
}

/// Sets a flag when dropped. The flag ends the loops of the reader threads, also if the test fails.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Returns the topic of an interest in one symbol.
fn topic_key(interest: TopicInterest) -> TopicKey {
    let TopicInterest { feed, channel, symbol } = interest;
    TopicKey { feed, channel, symbol: symbol.unwrap() }
}

#[test]
fn concurrent_changes_add_up_and_the_last_report_of_demand_is_true() {
    let registry = Arc::new(TopicRegistry::new(usize::from(FEEDS)));
    let is_done = AtomicBool::new(false);
    let mut topics = interests();
    topics.retain(|interest| interest.symbol.is_some());
    let (models, wanted) = thread::scope(|scope| {
        let done = SetWhenDropped(&is_done);
        let router = scope.spawn(|| {
            for (time, topic) in (1..).zip(&topics) {
                let key = topic_key(*topic);
                registry.add_ticked(&[key], UnixNanos(time));
                thread::yield_now();
            }
        });
        let readers = [FeedId(0), FeedId(1)].map(|feed| {
            let registry = &registry;
            let is_done = &is_done;
            scope.spawn(move || {
                let mut subscription = registry.subscribe_demand(feed, None);
                let mut wanted = BTreeSet::new();
                while !is_done.load(Ordering::SeqCst) {
                    apply_changes(&mut subscription, &mut wanted);
                    let found = registry.search(feed, UnixNanos(u64::MAX), "A", 3, |_| true);
                    assert!(found.symbols.iter().all(|(_, channels)| !channels.is_empty()));
                    let listed = registry.first_by(5, |interest, _| Some(*interest));
                    assert!(listed.is_sorted());
                }
                apply_changes(&mut subscription, &mut wanted);
                wanted
            })
        });
        let shards = [0, 1, 2, 3].map(|thread| {
            let registry = &registry;
            scope.spawn(move || subscribe_at_random(registry, thread))
        });
        let models = shards.map(|shard| shard.join().unwrap());
        router.join().unwrap();
        drop(done);
        (models, readers.map(|reader| reader.join().unwrap()))
    });
    let mut sum = Model::default();
    for ((timeline, interest), delta) in models.into_iter().flat_map(|model| model.subscribers) {
        sum.apply(timeline, InterestChange { interest, delta });
    }
    sum.ticked = topics.into_iter().zip((1..).map(UnixNanos)).collect();
    compare(&registry, &sum, &mut StdRng::seed_from_u64(1));
    assert_eq!(wanted, [FeedId(0), FeedId(1)].map(|feed| sum.wanted(feed)));
}

#[test]
fn demand_of_a_publisher_with_symbols_names_only_these() {
    let registry = Arc::new(TopicRegistry::new(1));
    let [a, aa, aapl] = ["A", "AA", "AAPL"].map(|name| Symbol::new(name).unwrap());
    let mut subscription = registry.subscribe_demand(FeedId(0), Some(Arc::from([a, aa])));
    let mut change = |symbol: Option<Symbol>, delta: i64| {
        let interest = TopicInterest { feed: FeedId(0), channel: Channel::Trades, symbol };
        registry.apply(0, &[InterestChange { interest, delta }]);
        let changes = subscription.take().into_iter();
        changes.map(|change| (change.interest.symbol, change.is_wanted)).collect::<Vec<_>>()
    };
    assert_eq!(change(Some(aapl), 1), []);
    assert_eq!(change(Some(a), 1), [(Some(a), true)]);
    assert_eq!(change(None, 1), [(Some(aa), true)], "all symbols are wanted");
    assert_eq!(change(Some(a), -1), []);
    assert_eq!(change(None, -1), [(Some(a), false), (Some(aa), false)]);
}

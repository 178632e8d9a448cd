//! Pages of the list compared with a sorted vector.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::fanout::{FeedId, InterestChange, TopicKey};
use crate::serving::topic_rates::RateTable;

const LIVE: usize = 0;
const DELAYED: usize = 1;

fn key(feed: u8, channel: Channel, symbol: &str) -> TopicKey {
    TopicKey { feed: FeedId(feed), channel, symbol: Symbol::new(symbol).unwrap() }
}

fn subscribe(
    registry: &TopicRegistry,
    timeline: usize,
    feed: u8,
    symbol: Option<&str>,
    delta: i64,
) {
    let symbol = symbol.map(|name| Symbol::new(name).unwrap());
    let interest = TopicInterest { feed: FeedId(feed), channel: Channel::Trades, symbol };
    registry.apply(timeline, &[InterestChange { interest, delta }]);
}

fn view(name: &str, feed: u8, timeline: usize, until: u64) -> ListedView {
    let name = name.to_owned();
    let view = View { feed: FeedId(feed), timeline };
    ListedView { name, view, until: UnixNanos(until), rates: None }
}

fn ranking(views: Vec<ListedView>) -> Ranking {
    Ranking { views, may_read: Box::new(|_, _| true), sort: Sort::Subscribers, cursor: None }
}

fn symbols(ranking: &Ranking, registry: &TopicRegistry) -> Vec<String> {
    let (total, ranks) = ranking.first(registry, usize::MAX);
    assert_eq!(total, ranks.len());
    let text =
        |rank: Rank| format!("{} {} {}", ranking.view(&rank).name, rank.symbol, rank.subscribers);
    ranks.into_iter().map(text).collect()
}

#[test]
fn topics_with_the_most_subscribers_come_first() {
    let registry = TopicRegistry::new(2);
    registry.add_ticked(
        &[key(0, Channel::Trades, "QUIET"), key(1, Channel::Trades, "A")],
        UnixNanos(5),
    );
    for (feed, symbol, sessions) in [(0, "B", 2), (0, "A", 2), (1, "A", 7)] {
        subscribe(&registry, LIVE, feed, Some(symbol), sessions);
    }
    let ranking = ranking(vec![view("eu", 1, LIVE, 9), view("us", 0, LIVE, 9)]);
    assert_eq!(symbols(&ranking, &registry), ["eu A 7", "us A 2", "us B 2", "us QUIET 0"]);
}

#[test]
fn delayed_view_lists_neither_later_first_ticks_nor_subscribers_of_live_views() {
    let registry = TopicRegistry::new(1);
    registry.add_recovered(&[(key(0, Channel::Trades, "OLD"), None)]);
    registry.add_ticked(&[key(0, Channel::Trades, "EARLY")], UnixNanos(100));
    registry.add_ticked(&[key(0, Channel::Trades, "LATE")], UnixNanos(101));
    subscribe(&registry, LIVE, 0, Some("LIVE"), 3);
    subscribe(&registry, LIVE, 0, Some("EARLY"), 2);
    subscribe(&registry, DELAYED, 0, Some("LATE"), 1);
    let listed = |until| symbols(&ranking(vec![view("late", 0, DELAYED, until)]), &registry);
    assert_eq!(listed(99), ["late LATE 1", "late OLD 0"]);
    assert_eq!(listed(100), ["late LATE 1", "late EARLY 0", "late OLD 0"]);
}

#[test]
fn topics_that_may_not_be_read_are_neither_listed_nor_counted() {
    let registry = TopicRegistry::new(2);
    for symbol in [Some("A"), Some("B"), None] {
        subscribe(&registry, LIVE, 0, symbol, 1);
        subscribe(&registry, LIVE, 1, symbol, 1);
    }
    let a = Symbol::new("A").unwrap();
    let views = vec![view("main", 0, LIVE, 9)];
    let ranking =
        Ranking { may_read: Box::new(move |_, symbol| symbol == Some(a)), ..ranking(views) };
    assert_eq!(symbols(&ranking, &registry), ["main A 1"]);
    assert!(ranking.wildcards(&registry).is_empty());
}

#[test]
fn wildcards_are_listed_by_channel_and_count_for_no_topic() {
    let registry = TopicRegistry::new(1);
    subscribe(&registry, LIVE, 0, None, 2);
    subscribe(&registry, DELAYED, 0, None, 5);
    let ranking = ranking(vec![view("main", 0, LIVE, 9)]);
    let wildcards = ranking.wildcards(&registry);
    assert_eq!(wildcards.len(), 1);
    let ListedWildcard { view, channel, subscribers } = &wildcards[0];
    assert_eq!((view.as_str(), *channel, *subscribers), ("main", Channel::Trades, 2));
    assert!(symbols(&ranking, &registry).is_empty());
}

#[test]
fn pages_follow_each_other_without_a_gap_or_a_repetition() {
    let mut random = StdRng::seed_from_u64(3);
    let registry = TopicRegistry::new(2);
    let mut rates = [RateTable::new(), RateTable::new()];
    let mut expected = Vec::new();
    for number in 0..200 {
        let feed: u8 = random.random_range(0..2);
        let channel = Channel::ALL[random.random_range(0..Channel::COUNT)];
        let key = key(feed, channel, &format!("S{number}"));
        registry.add_ticked(&[key], UnixNanos(1));
        let rate = random.random_range(0..10);
        if rate > 0 {
            rates[usize::from(feed)].insert(key, rate);
        }
        let view = ["main", "other"][usize::from(feed)];
        expected.push((Reverse(rate), view.to_owned(), key.symbol, channel));
    }
    expected.sort();
    let mut views = vec![view("main", 0, LIVE, 9), view("other", 1, LIVE, 9)];
    for (view, rates) in views.iter_mut().zip(rates) {
        view.rates = Some(Arc::new(rates));
    }
    let mut ranking = Ranking { sort: Sort::Rate, ..ranking(views) };
    let mut listed = Vec::new();
    loop {
        let (total, page) = ranking.first(&registry, random.random_range(1..30));
        assert_eq!(total, 200);
        let Some(last) = page.last() else { break };
        let cursor = ranking.cursor_after(last);
        let row =
            |rank: &Rank| (rank.value, ranking.view(rank).name.clone(), rank.symbol, rank.channel);
        listed.extend(page.iter().map(row));
        ranking.cursor = Some(cursor.to_string().parse().unwrap());
    }
    assert_eq!(listed, expected);
}

#[test]
fn text_that_is_no_cursor_is_refused() {
    let cursor = "12:main:trades:BRK.B".parse::<Cursor>().unwrap();
    assert_eq!(cursor.to_string(), "12:main:trades:BRK.B");
    for text in ["", "x", "12:main:trades", "12:main:nothing:A", "-1:main:trades:A", "1:m:trades:a"]
    {
        assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text:?}");
    }
}

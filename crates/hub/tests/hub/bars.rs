//! Bars that the hub makes from trades.

use std::collections::BTreeMap;

use tickwire_hub::Config;
use tickwire_protocol::{Bar, Conditions, Encoding, Price, Symbol, Tick, TickData, UnixNanos};

use tickwire_feeder::{Replay, ReplayConfig, Source};

use crate::kit::{self, Client, Publisher, TestHub, seqs};

/// 2026-01-02T14:30:00Z, the start of the session in New York.
const OPENING: u64 = 1_767_364_200_000_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

fn trade(symbol: &str, time: u64, id: u64) -> Tick {
    let mut tick = kit::trade(symbol, id);
    tick.time = UnixNanos(time);
    let TickData::Trade(trade) = &mut tick.data else { panic!("not a trade") };
    trade.conditions = Conditions::new(["@"]).unwrap();
    tick
}

fn bar(tick: &Tick) -> &Bar {
    match &tick.data {
        TickData::Bar(bar) | TickData::UpdatedBar(bar) | TickData::DailyBar(bar) => bar,
        other => panic!("not a bar: {other:?}"),
    }
}

/// Returns the expected bars by kind, symbol and start, with the other fields as text.
fn expected() -> BTreeMap<(String, UnixNanos), Vec<String>> {
    let rows = include_str!("../bars/excerpt.csv").lines().skip(1);
    let row = |line: &str| {
        let fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        assert_eq!(fields[1], "XXX");
        ((fields[0].clone(), fields[2].parse().unwrap()), fields[3..].to_vec())
    };
    rows.map(row).collect()
}

fn fields_of(bar: &Bar) -> Vec<String> {
    let Bar { open, high, low, close, volume, trades, vwap } = bar;
    let price = Price::to_string;
    let volume = volume.to_string();
    let trades = trades.to_string();
    vec![price(open), price(high), price(low), price(close), volume, trades, price(vwap)]
}

#[test]
fn bars_of_real_trades_match_an_independent_implementation() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../feeder/tests/data/trades.csv.gz");
    let config = ReplayConfig { files: vec![data.into()], ..ReplayConfig::default() };
    let mut source = Replay::open(config).unwrap();
    let hub = TestHub::default();
    let mut client = Client::session(&hub, Encoding::MsgpackArray);
    client.subscribe(r#""bars":["XXX"],"updatedBars":["XXX"],"dailyBars":["XXX"]"#);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "p");
    let mut last = UnixNanos(0);
    while let Some(tick) = source.next_tick().unwrap() {
        last = tick.time;
        publisher.send(&[tick]);
    }
    // A trade of another symbol advances the feed's clock, which closes the open minutes.
    publisher.publish(&[trade("ZZZ", last.0 + 3 * MINUTE, 1)]);
    let expected = expected();
    let mut found = BTreeMap::new();
    // A bar is sent again when it changes. The last version is compared, and `data` bounds the
    // wait.
    while found != expected {
        for tick in client.data() {
            let kind = if tick.channel().letter() == "d" { "d" } else { "b" };
            found.insert((kind.to_owned(), tick.time), fields_of(bar(&tick)));
        }
    }
    assert!(expected.len() > 20, "{}", expected.len());
}

#[test]
fn clock_closes_a_minute_without_another_trade() {
    let hub = TestHub::default();
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""bars":["A"],"dailyBars":["A"]"#);
    Publisher::acknowledged(&hub, "p").0.publish(&[trade("A", OPENING + MINUTE - 1, 7)]);
    let bars = client.take(2);
    assert_eq!((bars[0].channel().letter(), bars[1].channel().letter()), ("b", "d"));
    assert_eq!((bars[0].time, bar(&bars[0]).trades), (UnixNanos(OPENING), 1));
    hub.until_metric("tickwire_bars_total", 2);
}

#[test]
fn late_trade_updates_its_minute_and_later_snapshots() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let times = [0, MINUTE, 2 * MINUTE];
    publisher.publish(&times.map(|time| trade("A", OPENING + time, 1)));
    publisher.publish(&[trade("A", OPENING + MINUTE + 1, 2)]);
    let mut client = Client::msgpack(&hub);
    client.send(r#"{"action":"subscribe","bars":["A"],"updatedBars":["A"],"dailyBars":["A"]}"#);
    client.answer();
    assert_eq!(client.control()["T"], "snapshot");
    let mut ticks = client.take(3);
    ticks.sort_by_key(|tick| tick.channel().letter());
    let [minute, day, updated] = ticks.as_slice() else { panic!("{ticks:?}") };
    assert_eq!((minute.time.0, bar(minute).trades), (OPENING + MINUTE, 1));
    assert_eq!((updated.time.0, bar(updated).trades), (OPENING + MINUTE, 2));
    assert_eq!(bar(day).trades, 3);
    assert_eq!((minute.seq.0, updated.seq.0), (2, 1), "each channel has its own sequence numbers");
}

#[test]
fn hub_makes_no_bars_of_a_kind_that_the_feed_publishes() {
    let hub = TestHub::default();
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["*"],"bars":["*"],"dailyBars":["*"]"#);
    let theirs = Tick { data: TickData::Bar(Bar::default()), ..trade("A", OPENING, 0) };
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&[theirs, trade("A", OPENING, 1)]);
    publisher.publish(&[trade("A", OPENING + MINUTE, 2)]);
    let letters: String = client.take(4).iter().map(|tick| tick.channel().letter()).collect();
    assert_eq!(letters, "bttd", "the hub still makes the other kind");
}

#[test]
fn bars_can_be_turned_off() {
    let hub = TestHub::start(Config { bars: false, ..kit::config() });
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["*"],"bars":["*"],"dailyBars":["*"]"#);
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&[0, 1, 2].map(|minute| trade("A", OPENING + minute * MINUTE, minute)));
    assert_eq!(seqs(&client.take(3)), [1, 2, 3]);
    client.nothing_pending();
    assert_eq!(hub.metric("tickwire_topics"), 1);
}

#[test]
fn restarted_hub_continues_the_open_minute_and_day() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { data_dir: Some(folder.path().to_owned()), ..kit::config() };
    let first = TestHub::start(config());
    let before = [0, MINUTE, MINUTE + 1].map(|time| trade("A", OPENING + time, 1));
    Publisher::acknowledged(&first, "p").0.publish(&before);
    drop(first);
    let second = TestHub::start(config());
    let mut client = Client::msgpack(&second);
    client.subscribe(r#""bars":["A"],"dailyBars":["A"]"#);
    let after = [MINUTE + 2, 2 * MINUTE].map(|time| trade("A", OPENING + time, 2));
    Publisher::acknowledged(&second, "p").0.publish(&after);
    let bars = client.take(2);
    assert_eq!((bars[0].symbol, bars[0].seq.0), (Symbol::new("A").unwrap(), 2));
    assert_eq!((bar(&bars[0]).trades, bar(&bars[1]).trades), (3, 4));
}

#[test]
fn restarted_hub_closes_the_open_minute_without_another_tick() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { data_dir: Some(folder.path().to_owned()), ..kit::config() };
    let first = TestHub::start(config());
    Publisher::acknowledged(&first, "p").0.publish(&[trade("A", OPENING + MINUTE - 1, 1)]);
    drop(first);
    TestHub::start(config()).until_metric("tickwire_topics", 3); // the trade, its minute, its day
}

#[test]
fn trade_ahead_of_the_clock_closes_no_minute_of_another_symbol_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { data_dir: Some(folder.path().to_owned()), ..kit::config() };
    let now = unix_now().0;
    let early = now - now % MINUTE - MINUTE; // this minute ends by the clock of the feed only
    let first = TestHub::start(config());
    let mut client = Client::msgpack(&first);
    client.subscribe(r#""trades":["*"],"bars":["*"],"updatedBars":["*"],"dailyBars":["*"]"#);
    let mut publisher = Publisher::acknowledged(&first, "p").0;
    for tick in [trade("A", early, 1), trade("Z", now + 50 * MINUTE, 2), trade("A", early, 3)] {
        publisher.publish(&[tick]);
    }
    let letters: String = client.take(3).iter().map(|tick| tick.channel().letter()).collect();
    assert_eq!(letters, "ttt", "the trade ahead is published, and no minute is closed");
    client.nothing_pending();
    assert_eq!(first.metric(r#"tickwire_feed_trades_ahead_total{feed="main"}"#), 1);
    drop((client, publisher, first));
    let second = TestHub::start(config());
    let mut client = Client::msgpack(&second);
    client.subscribe(r#""trades":["A"],"bars":["A"],"updatedBars":["A"]"#);
    let mut publisher = Publisher::acknowledged(&second, "q").0;
    publisher.publish(&[trade("A", early, 4), trade("A", early + MINUTE, 5)]);
    let ticks = client.take(3);
    let letters: String = ticks.iter().map(|tick| tick.channel().letter()).collect();
    assert_eq!((letters.as_str(), bar(&ticks[2]).trades), ("ttb", 3));
}

#[expect(clippy::disallowed_methods, reason = "the hub compares times of trades with its clock")]
fn unix_now() -> UnixNanos {
    std::time::SystemTime::now().into()
}

/// Returns a publisher that turns off the hub's bars after its first trade, while a minute is open.
fn publisher_with_bars_of_its_own(hub: &TestHub) -> Publisher {
    let mut publisher = Publisher::acknowledged(hub, "relay").0;
    publisher.publish(&[trade("A", OPENING, 1)]);
    publisher.client.send(r#"{"action":"report","state":"live","no_bars":true}"#);
    publisher.publish(&[1, 2].map(|minute| trade("A", OPENING + minute * MINUTE, 1 + minute)));
    publisher
}

#[test]
fn publisher_can_turn_off_bars_for_its_feed() {
    let hub = TestHub::default();
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["*"],"bars":["*"],"updatedBars":["*"],"dailyBars":["*"]"#);
    let mut publisher = publisher_with_bars_of_its_own(&hub);
    let theirs = Tick { data: TickData::Bar(Bar::default()), ..trade("A", OPENING, 0) };
    publisher.publish(&[theirs]);
    let letters: String = client.take(4).iter().map(|tick| tick.channel().letter()).collect();
    assert_eq!(letters, "tttb", "one bar of the first minute: the publisher's");
    client.nothing_pending();
    assert_eq!(hub.metric("tickwire_bars_total"), 0);
}

#[test]
fn restarted_hub_remembers_feeds_without_bars() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { data_dir: Some(folder.path().to_owned()), ..kit::config() };
    let first = TestHub::start(config());
    drop(publisher_with_bars_of_its_own(&first));
    drop(first);
    let second = TestHub::start(config());
    // Another publisher continues the feed before the first one returns.
    Publisher::acknowledged(&second, "p").0.publish(&[trade("A", OPENING + 4 * MINUTE, 9)]);
    assert_eq!(second.metric("tickwire_bars_total"), 0);
    assert_eq!(second.metric("tickwire_topics"), 1);
}

//! The built-in feed `test`.

use std::time::Duration;

use serde_json::Value;
use tickwire_hub::Config;
use tickwire_protocol::{Encoding, Tick, TickData};

use crate::kit::{Client, Publisher, TestHub, config, trade};

fn hub() -> TestHub {
    TestHub::start(Config { test_feed: true, ..config() })
}

fn feeds(hub: &TestHub) -> Vec<(String, String, u64)> {
    let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let feeds = status["feeds"].as_array().unwrap().iter();
    feeds
        .map(|feed| {
            (text(&feed["feed"]), text(&feed["state"]), feed["publishers"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn test_feed_ticks_at_once_and_continues() {
    let hub = hub();
    let mut client = Client::session_at(&hub, "/ws?feed=test", Encoding::Json);
    let command = r#"{"action":"subscribe","trades":["FAKEPACA"],"quotes":["FAKEPACA"]}"#;
    assert_eq!(client.ask(command)["T"], "subscription");
    let mut ticks: Vec<Tick> = Vec::new();
    while ticks.iter().filter(|tick| tick.seq.0 == 2).count() < 2 {
        if let crate::kit::Event::Ticks(more) = client.event() {
            ticks.extend(more);
        }
    }
    for tick in &ticks {
        assert_eq!(tick.symbol.as_str(), "FAKEPACA");
        match &tick.data {
            TickData::Quote(quote) => {
                let codes = (quote.bid_exchange.as_str(), quote.ask_exchange.as_str());
                assert_eq!((codes, quote.tape.as_str()), (("O", "R"), "A"));
                assert!((133.0..137.0).contains(&quote.bid.as_f64()) && quote.bid < quote.ask);
            }
            TickData::Trade(trade) => assert!((133.0..137.0).contains(&trade.price.as_f64())),
            other => panic!("{other:?}"),
        }
    }
    let live = ("test".to_owned(), "live".to_owned(), 0);
    assert_eq!(feeds(&hub), [("main".to_owned(), "down".to_owned(), 0), live]);
    assert_eq!(hub.metric("tickwire_publishers"), 0);
}

#[test]
fn test_feed_refuses_publishers() {
    let hub = hub();
    let answer = hub.post("/publish?feed=test", "[]");
    assert_eq!(answer.status, 404);
    assert!(answer.body.ends_with("expected one of: main\n"), "{}", answer.body);
}

#[test]
fn configured_feed_named_test_is_an_ordinary_feed() {
    let feeds = vec!["main".to_owned(), "test".to_owned()];
    let hub = TestHub::start(Config { test_feed: true, feeds, ..config() });
    assert_eq!(self::feeds(&hub)[1], ("test".to_owned(), "down".to_owned(), 0));
    assert_eq!(hub.post("/publish?feed=test", "[]").status, 200);
    assert_eq!(hub.metric("tickwire_ticks_in_total"), 0);
}

#[test]
fn log_without_the_test_feed_continues_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let without = Config {
        data_dir: Some(folder.path().to_owned()),
        drain_duration: Duration::ZERO,
        ..config()
    };
    let hub = TestHub::start(without.clone());
    Publisher::acknowledged(&hub, "p").0.publish(&[trade("A", 1), trade("A", 2)]);
    drop(hub);
    let hub = TestHub::start(Config { test_feed: true, ..without });
    Publisher::acknowledged(&hub, "p").0.publish(&[trade("A", 3)]);
    let mut client = Client::json(&hub);
    client.ask(r#"{"action":"subscribe","trades":["A"]}"#);
    client.control();
    assert_eq!(client.take(1)[0].seq.0, 3, "numbers continue");
    let mut test = Client::session_at(&hub, "/ws?feed=test", Encoding::Json);
    test.subscribe(r#""quotes":["*"]"#);
    assert_eq!(test.take(1)[0].symbol.as_str(), "FAKEPACA");
}

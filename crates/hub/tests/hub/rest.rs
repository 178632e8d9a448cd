//! Last values over HTTP, in the shapes of Alpaca's market data API.

use std::time::Duration;

use serde_json::{Value, json};
use tickwire_hub::keys::SecretHash;
use tickwire_hub::{Config, ViewConfig};
use tickwire_protocol::{Bar, Price, Tick, TickData, UnixNanos};

use crate::kit::{self, Publisher, Response, TestHub, config, quote, symbols, trade, until};

/// Starts a hub without bars and publishes these ticks.
fn hub_with(ticks: &[Tick]) -> TestHub {
    let hub = TestHub::start(Config { bars: false, ..config() });
    Publisher::acknowledged(&hub, "market").0.publish(ticks);
    hub
}

fn read(answer: &Response) -> Value {
    assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

fn get(hub: &TestHub, path: &str) -> Value {
    let answer = hub.get(&format!("/v2/stocks/{path}"));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    read(&answer)
}

/// Returns status and message of a refusal.
fn refused(hub: &TestHub, path: &str) -> (u16, String) {
    let answer = hub.get(&format!("/v2/stocks/{path}"));
    (answer.status, read(&answer)["message"].as_str().unwrap().to_owned())
}

const TIME: &str = "2026-01-02T14:30:00.123456789Z";

/// Returns a bar with this close, `minutes` after the usual time.
fn bar(symbol: &str, close: i64, minutes: u64, kind: fn(Bar) -> TickData) -> Tick {
    let close = Price::from_nanos(close * Price::SCALE).unwrap();
    let bar = Bar { close, volume: 7, trades: 2, ..Bar::default() };
    let mut tick = trade(symbol, 1);
    tick.time = UnixNanos(tick.time.0 + minutes * 60_000_000_000);
    tick.data = kind(bar);
    tick
}

#[test]
fn latest_of_several_symbols_omits_symbols_without_values() {
    let hub = hub_with(&[
        trade("AAPL", 1),
        trade("AAPL", 2),
        quote("AAPL", 3),
        trade("BRK.B", 4),
        bar("MSFT", 5, 0, TickData::Bar),
    ]);
    assert_eq!(
        get(&hub, "trades/latest?symbols=MSFT,BRK.B,AAPL,AAPL"),
        json!({ "trades": {
            "AAPL": { "seq": 2, "t": TIME, "i": 2, "x": "V", "p": 100.02, "s": 102,
                      "c": ["@", "I"], "z": "C" },
            "BRK.B": { "seq": 1, "t": TIME, "i": 4, "x": "V", "p": 100.04, "s": 104,
                       "c": ["@", "I"], "z": "C" },
        } })
    );
    assert_eq!(
        get(&hub, "quotes/latest?symbols=AAPL%2CMSFT&feed=iex&currency=USD"),
        json!({ "quotes": { "AAPL": { "seq": 1, "t": TIME, "bx": "V", "bp": 99.5, "bs": 3,
                                      "ax": "Q", "ap": 100.5, "as": 3, "c": ["R"], "z": "C" } } })
    );
    assert_eq!(
        get(&hub, "bars/latest?symbols=AAPL,MSFT&feed=main"),
        json!({ "bars": { "MSFT": { "seq": 1, "t": TIME, "o": 0, "h": 0, "l": 0, "c": 5,
                                    "v": 7, "n": 2, "vw": 0 } } })
    );
    assert_eq!(get(&hub, "bars/latest?symbols=NONE"), json!({ "bars": {} }));
}

#[test]
fn latest_of_one_symbol_names_it_and_is_404_without_one() {
    let hub = hub_with(&[trade("AAPL", 1), quote("BTC/USD", 2)]);
    let one = get(&hub, "AAPL/trades/latest");
    assert_eq!((&one["symbol"], &one["trade"]["i"]), (&json!("AAPL"), &json!(1)));
    assert_eq!(one.as_object().unwrap().len(), 2);
    assert_eq!(get(&hub, "BTC/USD/quotes/latest/")["quote"]["bs"], 2);
    let expected = (404, "AAPL has no quote in sip so far".to_owned());
    assert_eq!(refused(&hub, "AAPL/quotes/latest"), expected);
    assert_eq!(refused(&hub, "NONE/snapshot").0, 404);
}

#[test]
fn snapshot_has_null_for_missing_values() {
    let hub = hub_with(&[
        trade("AAPL", 1),
        quote("AAPL", 2),
        bar("AAPL", 10, 1, TickData::Bar),
        bar("AAPL", 12, 0, TickData::DailyBar),
        trade("MSFT", 3),
    ]);
    let all = get(&hub, "snapshots?symbols=AAPL,MSFT,NONE");
    let keys: Vec<_> = all.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["AAPL", "MSFT"]);
    let apple = &all["AAPL"];
    assert_eq!((&apple["latestTrade"]["i"], &apple["latestQuote"]["bs"]), (&json!(1), &json!(2)));
    assert_eq!((&apple["minuteBar"]["c"], &apple["dailyBar"]["c"]), (&json!(10), &json!(12)));
    assert_eq!(apple.get("prevDailyBar"), Some(&Value::Null));
    for key in ["latestQuote", "minuteBar", "dailyBar", "prevDailyBar"] {
        assert_eq!(all["MSFT"].get(key), Some(&Value::Null), "{key}");
    }
    let one = get(&hub, "AAPL/snapshot");
    assert_eq!(one["symbol"], "AAPL");
    for (key, value) in apple.as_object().unwrap() {
        assert_eq!(&one[key], value, "{key}");
    }
}

#[test]
fn updated_bar_is_the_latest_until_the_next_minute() {
    let hub = hub_with(&[bar("A", 10, 1, TickData::Bar), bar("A", 11, 1, TickData::UpdatedBar)]);
    assert_eq!(get(&hub, "A/bars/latest")["bar"]["c"], 11);
    Publisher::acknowledged(&hub, "market").0.publish(&[bar("A", 12, 2, TickData::Bar)]);
    assert_eq!(get(&hub, "A/bars/latest")["bar"]["c"], 12);
    Publisher::acknowledged(&hub, "market").0.publish(&[bar("A", 11, 1, TickData::UpdatedBar)]);
    assert_eq!(get(&hub, "A/snapshot")["minuteBar"]["c"], 12, "an older minute was updated");
}

#[test]
fn request_with_the_maximum_of_symbols_is_answered() {
    let names = symbols(1_000);
    let ticks: Vec<_> = names.iter().map(|name| quote(name, 9)).collect();
    let hub = hub_with(&ticks);
    let found = get(&hub, &format!("quotes/latest?symbols={}", names.join(",")));
    let found = found["quotes"].as_object().unwrap();
    assert_eq!(found.len(), 1_000);
    assert!(names.iter().all(|name| found[name]["bs"] == 9));
    let (status, message) = refused(&hub, &format!("snapshots?symbols={},ONE", names.join(",")));
    assert_eq!((status, message.as_str()), (400, "symbols: at most 1000 symbols are allowed"));
}

#[test]
fn invalid_rest_requests_are_refused_with_a_message() {
    let hub = hub_with(&[]);
    for (path, status, words) in [
        ("trades/latest", 400, "symbols: expected symbols separated by commas"),
        ("trades/latest?symbols=", 400, "symbols: expected symbols separated by commas"),
        ("snapshots?symbols=AAPL,aapl", 400, "symbols: symbol \"aapl\": expected 1 to 24"),
        ("snapshots?symbols=A&symbols=B", 400, "duplicate field `symbols`"),
        ("aapl/snapshot", 400, "symbol \"aapl\": expected 1 to 24"),
        ("/snapshot", 400, "symbol \"\": expected 1 to 24"),
        ("AAPL/snapshot?feed=otc", 400, "feed \"otc\": expected one of delayed_sip, iex, main"),
        ("bars?symbols=AAPL&start=2026-01-02", 404, "this hub has streams and last values, but no"),
        ("AAPL/trades", 404, "no such path: /v2/stocks/AAPL/trades;"),
        ("%ff%fe/snapshot", 400, "Invalid UTF-8"),
    ] {
        let answer = hub.get(&format!("/v2/stocks/{path}"));
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.replace('\\', "").contains(words), "{path}: {}", answer.body);
    }
    let unknown = read(&hub.get("/v2/stocks/auctions"));
    assert_eq!(unknown["paths"].as_array().unwrap().len(), 8);
    assert_eq!(hub.post("/v2/stocks/snapshots?symbols=A", "{}").status, 405);
}

#[test]
fn rest_of_a_delayed_view_returns_delayed_values() {
    let late = ViewConfig { feed: "main".to_owned(), delay: Duration::from_millis(200) };
    let views = [("late".to_owned(), late)].into();
    let hub = TestHub::start(Config { views, ..config() });
    Publisher::acknowledged(&hub, "market").0.publish(&[trade("A", 1)]);
    let latest =
        |view| get(&hub, &format!("trades/latest?symbols=A&feed={view}"))["trades"].clone();
    assert_eq!(latest("sip")["A"]["i"], 1);
    assert_eq!(latest("delayed_sip"), json!({}), "the tick is due in 15 minutes");
    until("the tick is due in the view with a short delay", || latest("late")["A"]["i"] == 1);
}

const SECRET: &str = "0123456789abcdef";

#[test]
fn rest_respects_the_rights_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let keys_file = folder.path().join("keys.toml");
    let secret = SecretHash::new(SECRET);
    let text = format!(
        "[[key]]\nid = \"READER\"\nname = \"reader\"\nsecret = \"{secret}\"\nrole = \"read\"\n\
         feeds = [\"sip\"]\nsymbols = [\"A\", \"B\"]\n"
    );
    std::fs::write(&keys_file, text).unwrap();
    let hub = TestHub::start(Config { keys: Some(keys_file), ..config() });
    let ask = |path: &str, key: &str| {
        let headers = [("APCA-API-KEY-ID", key), ("APCA-API-SECRET-KEY", SECRET)];
        let answer = hub.request("GET", &format!("/v2/stocks/{path}"), &headers, "");
        (answer.status, read(&answer))
    };
    assert_eq!(ask("trades/latest?symbols=A,B", "READER"), (200, json!({ "trades": {} })));
    for (path, words) in [
        ("trades/latest?symbols=A&feed=iex", "this key is not for the feed iex"),
        ("snapshots?symbols=A,C", "may not have C"),
    ] {
        let (status, body) = ask(path, "READER");
        assert_eq!(status, 403, "{path}");
        assert!(body["message"].as_str().unwrap().contains(words), "{body}");
    }
    let before = hub.refused("token");
    assert_eq!(ask("A/snapshot", "UNKNOWN"), (401, json!({ "message": "wrong key" })));
    let (status, message) = refused(&hub, "A/snapshot");
    assert_eq!(status, 401);
    assert!(message.starts_with("a key is needed: APCA-API-KEY-ID"), "{message}");
    assert_eq!(hub.refused("token"), before + 2);
}

#[test]
fn rest_is_answered_while_sessions_are_busy() {
    let hub = TestHub::start(Config { bars: false, ..config() });
    let mut client = kit::Client::json(&hub);
    client.subscribe(r#""trades":["*"]"#);
    let mut publisher = Publisher::acknowledged(&hub, "market").0;
    let names = symbols(100);
    for round in 1..=20 {
        let ticks: Vec<_> = names.iter().map(|name| trade(name, round)).collect();
        publisher.publish(&ticks);
        let found = get(&hub, "S7/trades/latest");
        assert_eq!(found["trade"]["i"], round, "an acknowledged tick is visible");
    }
    assert_eq!(client.take(2_000).len(), 2_000);
}

/// Clients of Alpaca's other APIs, and of streams that the hub does not have, see what it has.
#[test]
fn every_path_that_does_not_exist_is_explained_in_the_same_way() {
    let hub = TestHub::default();
    for (method, path) in [
        ("GET", "/v2/assets"),
        ("GET", "/v2/stocks/AAPL/trades"),
        ("GET", "/v2/positions/AAPL"),
        ("POST", "/v2/orders"),
        ("DELETE", "/v2/orders"),
        ("GET", "/v1beta3/crypto/us/latest/trades"),
        ("GET", "/nothing"),
    ] {
        let answer = hub.request(method, path, &[], "");
        assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("no such path: {path}; ")), "{message}");
        assert!(message.contains("no trading, account or reference data"), "{message}");
        let streams = json!(["/ws", "/v2/delayed_sip", "/v2/iex", "/v2/main", "/v2/sip"]);
        assert_eq!(body["streams"], streams);
        assert_eq!(body["paths"].as_array().unwrap().len(), 8);
    }
}

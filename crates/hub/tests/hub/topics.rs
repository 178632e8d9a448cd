//! `GET /api/topics`: the busiest topics, and those with the most subscribers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tickwire_hub::keys::SecretHash;
use tickwire_hub::{Config, ViewConfig};
use tickwire_protocol::Encoding;

use crate::kit::{Client, Publisher, TestHub, config, quote, symbols, trade, until};

/// Returns the rows of an answer, each as `feed channel symbol subscribers ticks`.
fn rows(answer: &Value) -> Vec<String> {
    let row = |topic: &Value| {
        let text = |field: &str| topic[field].as_str().unwrap().to_owned();
        let number = |field: &str| topic[field].as_u64().unwrap().to_string();
        let feed = text("feed");
        let channel = text("channel");
        let symbol = text("symbol");
        [feed, channel, symbol, number("subscribers"), number("ticks")].join(" ")
    };
    answer["topics"].as_array().unwrap().iter().map(row).collect()
}

fn until_rows(hub: &TestHub, path: &str, expected: &[&str]) {
    until(&format!("{path}: {expected:?}"), || rows(&hub.json(path)) == expected);
}

/// Returns a hub without bars, which would be topics too.
fn hub() -> TestHub {
    TestHub::start(Config { bars: false, ..config() })
}

fn session(hub: &TestHub, path: &str, command: &str) -> Client {
    let mut client = Client::session_at(hub, path, Encoding::Json);
    client.subscribe(command);
    client
}

#[test]
fn topics_are_sorted_by_subscribers_over_all_shards() {
    let hub = hub();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1), trade("AAPL", 2), quote("MSFT", 3), trade("IBM", 4)]);
    let sessions: Vec<_> =
        (0..5).map(|_| session(&hub, "/ws", r#""trades":["AAPL"],"quotes":["NEW"]"#)).collect();
    let _one = session(&hub, "/ws", r#""quotes":["MSFT"],"delivery":"latest""#);
    let expected = [
        "main trades AAPL 5 2",
        "main quotes NEW 5 0",
        "main quotes MSFT 1 1",
        "main trades IBM 0 1",
    ];
    until_rows(&hub, "/api/topics", &expected);
    let answer = hub.json("/api/topics?sort=subscribers");
    assert_eq!(answer["topics"][0]["last"], "2026-01-02T14:30:00.123456789Z");
    assert_eq!(answer["topics"][1]["last"], Value::Null);
    assert_eq!((&answer["total"], &answer["next"]), (&json!(4), &Value::Null));
    drop(sessions);
    until_rows(&hub, "/api/topics?limit=1", &["main quotes MSFT 1 1"]);
    let gone = |answer: &Value| !rows(answer).iter().any(|row| row.contains("NEW"));
    until("NEW, which never ticked, is gone", || gone(&hub.json("/api/topics")));
}

#[test]
fn pages_hold_every_topic_once() {
    let hub = hub();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let names = symbols(25);
    publisher.publish(&names.iter().map(|name| trade(name, 1)).collect::<Vec<_>>());
    let _sessions: Vec<_> = (0..3)
        .map(|of| {
            let names = serde_json::to_string(&names[of * 5..]).unwrap();
            session(&hub, "/ws", &format!(r#""trades":{names}"#))
        })
        .collect();
    until("all are subscribed to and have ticked", || {
        let rows = rows(&hub.json("/api/topics?limit=1000"));
        rows.len() == 25 && rows[0].ends_with(" 3 1") && rows[24].ends_with(" 1 1")
    });
    let all = rows(&hub.json("/api/topics?limit=1000"));
    let mut paged = Vec::new();
    let mut path = "/api/topics?limit=7".to_owned();
    loop {
        let page = hub.json(&path);
        assert_eq!(page["total"], 25);
        paged.extend(rows(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/topics?limit=7&cursor={next}");
    }
    assert_eq!(paged, all);
}

#[test]
fn wrong_parameters_are_refused_with_what_is_expected() {
    let hub = hub();
    for (query, status, expected) in [
        ("limit=0", 400, "limit is 0: expected 1 to 1000"),
        ("limit=1001", 400, "limit is 1001: expected 1 to 1000"),
        ("limit=many", 400, "limit"),
        ("sort=name", 400, "sort is \"name\": expected subscribers or rate"),
        ("cursor=7", 400, "cursor: expected `next` of the page before"),
        ("feed=moon", 404, "no such feed"),
    ] {
        let answer = hub.get(&format!("/api/topics?{query}"));
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        assert!(answer.body.contains(expected), "{query}: {answer:?}");
    }
}

#[test]
fn wildcards_are_listed_beside_the_topics() {
    let hub = hub();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1)]);
    let first = session(&hub, "/ws", r#""trades":["*"],"quotes":["*"]"#);
    let _second = session(&hub, "/ws?feed=sip", r#""trades":["*"]"#);
    let expected = json!([
        {"feed":"main","channel":"trades","subscribers":2},
        {"feed":"main","channel":"quotes","subscribers":1},
    ]);
    until("both are counted", || hub.json("/api/topics")["wildcards"] == expected);
    assert_eq!(rows(&hub.json("/api/topics")), ["main trades AAPL 0 1"]);
    drop(first);
    until("one is gone", || hub.json("/api/topics")["wildcards"].as_array().unwrap().len() == 1);
}

#[test]
fn delayed_view_lists_only_what_its_subscribers_may_know() {
    let late = ViewConfig { feed: "main".to_owned(), delay: Duration::from_secs(3_600) };
    let views: BTreeMap<_, _> = [("late".to_owned(), late)].into();
    let hub = TestHub::start(Config { bars: false, views, ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1), trade("MSFT", 1)]);
    let _live = session(&hub, "/ws", r#""trades":["AAPL"]"#);
    let _late = session(&hub, "/ws?feed=late", r#""trades":["MSFT"]"#);
    until_rows(&hub, "/api/topics", &["main trades AAPL 1 1", "main trades MSFT 0 1"]);
    until_rows(&hub, "/api/topics?feed=late", &["late trades MSFT 1 0"]);
    assert_eq!(hub.json("/api/topics?feed=late")["topics"][0]["last"], Value::Null);
    until_rows(&hub, "/api/topics?feed=sip&limit=1", &["sip trades AAPL 1 1"]);
}

const SECRET: &str = "a secret of the tests";

/// Asks with a key; returns the status and the answer.
fn ask(hub: &TestHub, path: &str, key: &str) -> (u16, Value) {
    let bearer = format!("Bearer {key}:{SECRET}");
    let answer = hub.request("GET", path, &[("Authorization", &bearer)], "");
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

#[test]
fn keys_see_the_topics_that_they_may_subscribe_to() {
    let folder = tempfile::tempdir().unwrap();
    let keys_file = folder.path().join("keys.toml");
    let key = |id: &str, rest: &str| {
        let secret = SecretHash::new(SECRET);
        format!("[[key]]\nid = \"{id}\"\nname = \"{id}\"\nsecret = \"{secret}\"\nrole = {rest}\n")
    };
    let keys = [
        key("PUBLISHER", "\"publish\""),
        key("ALL", "\"read\""),
        key("SIP", "\"read\"\nfeeds = [\"sip\"]"),
        key("LATE", "\"read\"\nfeeds = [\"delayed_sip\"]"),
        key("AAPL", "\"read\"\nsymbols = [\"AAPL\"]"),
        key("FEW", "\"read\"\nsymbols_max = 1"),
    ];
    std::fs::write(&keys_file, keys.concat()).unwrap();
    let feeds = vec!["main".into(), "other".into()];
    let keys = Some(keys_file);
    let hub = TestHub::start(Config { feeds, bars: false, keys, ..config() });
    let bearer = format!("Bearer PUBLISHER:{SECRET}");
    for feed in ["main", "other"] {
        let mut elements = b"[".to_vec();
        trade("AAPL", 1).write_json(&mut elements);
        elements.push(b',');
        quote("MSFT", 1).write_json(&mut elements);
        elements.push(b']');
        let path = format!("/publish?feed={feed}");
        let body = String::from_utf8(elements).unwrap();
        let answer = hub.request("POST", &path, &[("Authorization", &bearer)], &body);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let mut session = Client::open(&hub, "/ws", &[("Authorization", &bearer)]);
    session.ask(r#"{"action":"subscribe","trades":["*"],"id":1}"#);
    let seen = |key: &str, path: &str| {
        let (status, answer) = ask(&hub, path, key);
        assert_eq!(status, 200, "{key} {path}: {answer}");
        assert_eq!(answer["total"].as_u64().unwrap(), rows(&answer).len() as u64);
        rows(&answer)
    };
    let all = [
        "main trades AAPL 0 1",
        "main quotes MSFT 0 1",
        "other trades AAPL 0 1",
        "other quotes MSFT 0 1",
    ];
    until("all have ticked", || seen("ALL", "/api/topics") == all);
    assert_eq!(seen("SIP", "/api/topics"), ["sip trades AAPL 0 1", "sip quotes MSFT 0 1"]);
    assert_eq!(seen("LATE", "/api/topics"), Vec::<String>::new());
    assert_eq!(seen("AAPL", "/api/topics"), ["main trades AAPL 0 1", "other trades AAPL 0 1"]);
    assert_eq!(seen("FEW", "/api/topics"), all);
    let wildcards = |key: &str| ask(&hub, "/api/topics", key).1["wildcards"].clone();
    let expected = json!([{"feed":"main","channel":"trades","subscribers":1}]);
    until("the wildcard is counted", || wildcards("ALL") == expected);
    for key in ["LATE", "AAPL", "FEW"] {
        assert_eq!(wildcards(key), json!([]), "{key}");
    }
    assert_eq!(hub.get("/api/topics").status, 401);
    assert_eq!(ask(&hub, "/api/topics?feed=main", "SIP").0, 403);
    assert_eq!(ask(&hub, "/api/topics?feed=main", "UNKNOWN").0, 401);
    let (_, found) = ask(&hub, "/api/symbols?feed=main", "AAPL");
    let only = json!([{"symbol":"AAPL","channels":["trades"]}]);
    assert_eq!((&found["total"], &found["symbols"]), (&json!(1), &only));
}

#[test]
fn rates_are_null_until_ten_seconds_are_complete_and_then_sort_the_topics() {
    let hub = hub();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("QUIET", 1), trade("SLOW", 1), trade("BUSY", 1)]);
    let first = hub.json("/api/topics?sort=rate");
    assert!(first["topics"].as_array().unwrap().iter().all(|topic| topic["rate"].is_null()));
    let mut published = 1.0;
    let mut answer = first;
    until("rates are known", || {
        publisher.publish(&[trade("BUSY", 1), trade("SLOW", 1), trade("BUSY", 1)]);
        published += 2.0;
        answer = hub.json("/api/topics?sort=rate");
        answer["topics"][0]["rate"].is_number()
    });
    let symbols: Vec<_> =
        answer["topics"].as_array().unwrap().iter().map(|t| &t["symbol"]).collect();
    assert_eq!(symbols, ["BUSY", "SLOW", "QUIET"]);
    let [busy, slow, quiet] = [0, 1, 2].map(|row| answer["topics"][row]["rate"].as_f64().unwrap());
    assert!(slow > 0.0 && busy > slow && quiet == 0.0, "{answer}");
    assert!(busy <= published / 9.9, "at least ten seconds lie between the samples: {answer}");
}

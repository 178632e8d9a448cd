//! Authentication of sessions on `/ws`.

use std::time::Duration;

use serde_json::json;
use tickwire_hub::Config;

use super::kit::{KeysFile, secret};
use crate::kit::{Client, Event, Publisher, TestHub, config, trade};

fn auth(id: &str) -> String {
    json!({"action": "auth", "key": id, "secret": secret(id)}).to_string()
}

#[test]
fn guarded_hub_sends_nothing_before_the_key() {
    let file = KeysFile::new("").with("TWONE", "");
    let hub =
        TestHub::start(Config { heartbeat_interval: Duration::from_millis(100), ..file.config() });
    let mut client = Client::open(&hub, "/ws", &[]);
    assert_eq!(client.next().control()["msg"], "connected");
    client.send(r#"{"action":"list","id":7}"#);
    let refused = client.next().control();
    assert_eq!((&refused["code"], &refused["id"]), (&json!(401), &json!(7)), "{refused}");
    client.send(&auth("TWONE"));
    assert_eq!(client.next().control(), json!({"T": "success", "msg": "authenticated"}));
    assert_eq!(client.next().control()["T"], "feed");
    assert_eq!(client.next().control()["T"], "heartbeat");
    client.nothing_pending();
}

#[test]
fn key_in_the_handshake_of_ws_authenticates() {
    let file = KeysFile::new("").with("TWONE", "");
    let hub = TestHub::start(file.config());
    let bearer = format!("Bearer TWONE:{}", secret("TWONE"));
    let mut client = Client::open(&hub, "/ws", &[("Authorization", &bearer)]);
    for expected in ["connected", "authenticated"] {
        assert_eq!(client.next().control()["msg"], expected);
    }
    assert_eq!(client.next().control()["T"], "feed");
    client.nothing_pending();
}

#[test]
fn key_is_optional_once_where_reading_is_anonymous() {
    let file = KeysFile::new("anonymous = \"read\"").with("TWONE", "sessions_max = 1");
    let hub = TestHub::start(file.config());
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    assert_eq!(client.ask(&auth("TWONE"))["msg"], "authenticated");
    assert_eq!(client.ask(&auth("TWONE"))["code"], 403);
    let mut other = Client::json(&hub);
    assert_eq!(other.ask(&auth("TWONE"))["code"], 406);
    other.nothing_pending();
    assert_eq!(other.ask(r#"{"action":"auth","key":"TWONE","secret":"no"}"#)["code"], 402);
    assert_eq!(other.event(), Event::Close(1008, "auth_failed".to_owned()));
}

#[test]
fn anonymous_sessions_end_when_keys_become_required() {
    let mut file = KeysFile::new("anonymous = \"read\"").with("TWONE", "");
    let hub = TestHub::start(file.config());
    let mut anonymous = Client::json(&hub);
    let mut known = Client::json(&hub);
    known.ask(&auth("TWONE"));
    file.change("anonymous = \"read\"", "anonymous = \"none\"");
    assert_eq!(anonymous.closed(), Event::Close(1008, "revoked".to_owned()));
    known.nothing_pending();
}

#[test]
fn session_is_limited_to_feeds_and_symbols_of_its_key() {
    let file = KeysFile::new("")
        .with("TWONE", "feeds = [\"main\"]\nsymbols = [\"AAPL\", \"MSFT\"]")
        .with("TWFEW", "symbols_max = 2");
    let hub = TestHub::start(file.config());
    let mut elsewhere = Client::open(&hub, "/ws?feed=sip", &[]);
    assert_eq!(elsewhere.ask(r#"{"action":"list"}"#)["msg"], "connected");
    elsewhere.error(401);
    elsewhere.send(&auth("TWONE"));
    elsewhere.error(409);
    assert_eq!(elsewhere.event(), Event::Close(1008, "not_allowed".to_owned()));
    let log_in = |id: &str| {
        let mut client = Client::open(&hub, "/ws", &[]);
        client.control();
        assert_eq!(client.ask(&auth(id))["msg"], "authenticated");
        client
    };
    let mut client = log_in("TWONE");
    client.subscribe(r#""trades":["AAPL"],"bars":["MSFT"]"#);
    for names in [r#""trades":["MSFT","TSLA"]"#, r#""quotes":["*"]"#] {
        client.send(&format!(r#"{{"action":"subscribe",{names},"id":1}}"#));
        client.error(405);
    }
    assert_eq!(client.ask(r#"{"action":"list"}"#)["total"], json!({"trades": 1, "bars": 1}));
    let mut few = log_in("TWFEW");
    few.subscribe(r#""trades":["A"],"quotes":["A"],"bars":["*"]"#);
    few.subscribe(r#""trades":["A"]"#);
    few.send(r#"{"action":"subscribe","trades":["B"]}"#);
    few.error(405);
}

#[test]
fn open_hub_accepts_any_key_and_requires_none() {
    let hub = TestHub::start(config());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    assert_eq!(client.ask(&auth("ANY"))["msg"], "authenticated");
    publisher.publish(&[trade("AAPL", 1)]);
    assert_eq!(client.data().len(), 1);
}

//! What the key of a publisher allows: its ids, its symbols, and the demand that it sees.

use serde_json::{Value, json};
use tickwire_hub::Config;
use tickwire_protocol::Tick;

use crate::kit::{Client, Event, KeysFile, TestHub, data_message, key_header, trade};
use crate::kit::{OPEN_BINARY, until};

fn keys() -> KeysFile {
    KeysFile::new(
        "",
        &[
            ("ONE", "publish", ""),
            ("TWO", "publish", ""),
            ("BOSS", "admin", ""),
            ("AAPL", "publish", "symbols = [\"AAPL\", \"IBM\"]"),
        ],
    )
}

fn open(hub: &TestHub, path: &str, key: &str) -> Client {
    let (name, value) = key_header(key);
    Client::open(hub, path, &[(name, &value)])
}

/// Opens a session of the publisher `relay` and returns the first answer.
fn start(hub: &TestHub, key: &str) -> (Client, Value) {
    let mut client = open(hub, "/publish", key);
    let answer = client.ask(r#"{"action":"publish","publisher":"relay"}"#);
    (client, answer)
}

const MARKED: &str = r#"[{"T":"mark","mark":"secret place"}]"#;

/// Asserts that a key may not use the publisher id.
fn refused(hub: &TestHub, key: &str) {
    let (mut client, answer) = start(hub, key);
    assert_eq!((&answer["T"], &answer["code"]), (&json!("error"), &json!(409)), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("belongs to another key"), "{answer}");
    assert!(!answer.to_string().contains("secret place"), "{answer}");
    assert_eq!(client.closed(), Event::Close(1008, "not_allowed".to_owned()));
}

#[test]
fn publisher_id_belongs_to_the_key_that_used_it_first_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = keys();
    let data_dir = Some(folder.path().to_owned());
    let config = Config { data_dir, bars: false, ..file.config() };
    for life in 0..3 {
        let hub = TestHub::start(config.clone());
        if life > 0 {
            refused(&hub, "TWO"); // before the owner is back
        }
        let (mut owner, answer) = start(&hub, "ONE");
        assert_eq!(answer["last"], 2 * life, "{answer}");
        owner.send(MARKED);
        assert_eq!(owner.answer()["up_to"], 2 * life + 1);
        for other in ["TWO", "BOSS"] {
            refused(&hub, other);
        }
        owner.send(MARKED);
        assert_eq!(owner.answer()["up_to"], 2 * life + 2, "its session was not replaced");
        let (_newer, again) = start(&hub, "ONE");
        assert_eq!(again["T"], "publishing", "the same key may replace it: {again}");
    }
}

#[test]
fn id_of_a_revoked_key_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = Some(folder.path().to_owned());
    let file = keys();
    let hub = TestHub::start(Config { data_dir: data_dir.clone(), ..file.config() });
    let (mut owner, _) = start(&hub, "ONE");
    owner.send(MARKED);
    assert_eq!(owner.answer()["up_to"], 1);
    drop((owner, hub));
    let file = KeysFile::new("", &[("NEW", "publish", ""), ("TWO", "publish", "")]);
    let hub = TestHub::start(Config { data_dir, ..file.config() });
    let (_session, answer) = start(&hub, "NEW");
    assert_eq!((&answer["T"], &answer["last"]), (&json!("publishing"), &json!(1)), "{answer}");
    refused(&hub, "TWO");
}

fn elements(ticks: &[Tick]) -> String {
    let mut text = Vec::new();
    for tick in ticks {
        text.push(if text.is_empty() { b'[' } else { b',' });
        tick.write_json(&mut text);
    }
    text.push(b']');
    String::from_utf8(text).unwrap()
}

#[test]
fn key_with_symbols_publishes_no_others() {
    let file = keys();
    let hub = TestHub::start(Config { bars: false, ..file.config() });
    let (name, value) = key_header("AAPL");
    let post =
        |ticks: &[Tick]| hub.request("POST", "/publish", &[(name, &value)], &elements(ticks));
    assert_eq!(post(&[trade("AAPL", 1), trade("IBM", 1)]).status, 200);
    let answer = post(&[trade("AAPL", 1), trade("MSFT", 1)]);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body.contains("may not have MSFT; its symbols: AAPL, IBM"), "{answer:?}");

    let (mut publisher, answer) = start(&hub, "AAPL");
    assert_eq!(answer["last"], 0);
    publisher.send_frame(OPEN_BINARY, &data_message(&[trade("AAPL", 2), trade("MSFT", 2)]));
    let refused = publisher.answer();
    assert_eq!(refused["code"], 405, "{refused}");
    publisher.send_frame(OPEN_BINARY, &data_message(&[trade("AAPL", 2)]));
    until("both messages are counted", || publisher.answer()["up_to"] == 2);
    let found = hub.json_as("ONE", "/api/symbols");
    assert_eq!(found["total"], 2, "MSFT was never published: {found}");
    assert_eq!(hub.json_as("ONE", "/api/status")["ticks_in"], 3);
}

#[test]
fn publisher_with_symbols_sees_demand_for_these_only() {
    let file = keys();
    let hub = TestHub::start(file.config());
    let mut publisher = open(&hub, "/publish", "AAPL");
    publisher.ask(r#"{"action":"publish","publisher":"limited","demand":true}"#);
    let first = publisher.answer();
    assert!(first["T"] == "demand" && !first.to_string().contains("AAPL"), "{first}");
    let mut reader = open(&hub, "/ws", "ONE");
    reader.ask(r#"{"action":"subscribe","trades":["AAPL","MSFT"],"id":1}"#);
    assert_eq!(publisher.answer()["added"], json!({"trades":["AAPL"]}));
    reader.ask(r#"{"action":"subscribe","trades":["*"],"id":2}"#);
    assert_eq!(publisher.answer()["added"], json!({"trades":["IBM"]}), "\"*\" is all its symbols");
    drop(reader);
    assert_eq!(publisher.answer()["removed"], json!({"trades":["AAPL","IBM"]}));
}

#[test]
fn number_of_lost_ticks_saturates() {
    let hub = TestHub::default();
    let most = u64::MAX;
    for _ in 0..2 {
        let answer = hub.post("/publish", &format!(r#"[{{"T":"lost","ticks":{most}}}]"#));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(hub.metric(r#"tickwire_feed_lost_ticks_total{feed="main"}"#), most);
}

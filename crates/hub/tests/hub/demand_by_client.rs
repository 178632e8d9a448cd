//! Demand by client: a publisher whose source is full learns what each client wants.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tickwire_hub::{Config, ViewConfig};

use crate::kit::{Client, KeysFile, TestHub, config, key_header};

/// A hub with two shards for each timeline. The view `late` is `main` an hour later. The keys ONE
/// and TWO may read, ALL and AAPL publish.
fn hub() -> (TestHub, KeysFile) {
    let keys = KeysFile::new(
        "",
        &[
            ("ONE", "read", ""),
            ("TWO", "read", ""),
            ("ALL", "publish", ""),
            ("AAPL", "publish", "symbols = [\"AAPL\"]"),
        ],
    );
    let late = ViewConfig { feed: "main".to_owned(), delay: std::time::Duration::from_secs(3_600) };
    let views = [("late".to_owned(), late)].into();
    (TestHub::start(Config { shards: 2, views, ..keys.config() }), keys)
}

fn open(hub: &TestHub, path: &str, key: &str) -> Client {
    let (name, value) = key_header(key);
    Client::open(hub, path, &[(name, &value)])
}

/// Opens a session that is logged in.
fn subscriber(hub: &TestHub, path: &str, key: &str) -> Client {
    let mut session = open(hub, path, key);
    for expected in ["connected", "authenticated"] {
        assert_eq!(session.control()["msg"], expected);
    }
    session
}

/// Opens a publisher that requests demand.
fn publisher(hub: &TestHub, key: &str) -> Client {
    let mut publisher = open(hub, "/publish", key);
    let command = format!(r#"{{"action":"publish","publisher":"{key}","demand":true}}"#);
    assert_eq!(publisher.ask(&command)["T"], "publishing");
    publisher
}

fn report(publisher: &mut Client, is_full: bool) {
    publisher.send(&format!(r#"{{"action":"report","state":"live","full":{is_full}}}"#));
}

/// Receives until the clients are these, in any order.
fn receive_until(publisher: &mut Client, expected: &[Value]) {
    let expected: BTreeSet<_> = expected.iter().map(Value::to_string).collect();
    loop {
        let element = publisher.control();
        if element["T"] == "demand_by_client" {
            let clients = element["clients"].as_array().expect("a list of clients");
            let clients: BTreeSet<_> = clients.iter().map(Value::to_string).collect();
            if clients == expected {
                return;
            }
        }
    }
}

#[test]
fn full_publisher_learns_what_each_client_wants() {
    let (hub, _keys) = hub();
    let mut sessions: Vec<_> = (0..4).map(|_| subscriber(&hub, "/ws", "ONE")).collect();
    for (session, symbol) in sessions.iter_mut().zip(["AAPL", "MSFT", "MSFT", "TSLA"]) {
        session.subscribe(&format!(r#""trades":["{symbol}"]"#));
    }
    let mut late = subscriber(&hub, "/ws?feed=late", "ONE");
    late.subscribe(r#""bars":["*"]"#);
    let mut other = subscriber(&hub, "/ws", "TWO");
    other.subscribe(r#""trades":["AAPL"]"#);
    let mut publisher = publisher(&hub, "ALL");
    report(&mut publisher, true);
    let one = json!({"trades": ["AAPL", "MSFT", "TSLA"], "bars": ["*"]});
    receive_until(&mut publisher, &[one, json!({"trades": ["AAPL"]})]);
    drop(late);
    sessions.truncate(3);
    other.subscribe(r#""quotes":["MSFT"]"#);
    let other_names = json!({"trades": ["AAPL"], "quotes": ["MSFT"]});
    receive_until(&mut publisher, &[json!({"trades": ["AAPL", "MSFT"]}), other_names]);
}

#[test]
fn publisher_learns_only_of_names_that_it_may_publish() {
    let (hub, _keys) = hub();
    let mut one = subscriber(&hub, "/ws", "ONE");
    one.subscribe(r#""trades":["AAPL","MSFT"],"quotes":["*"]"#);
    let mut two = subscriber(&hub, "/ws", "TWO");
    two.subscribe(r#""trades":["MSFT"]"#);
    let mut publisher = publisher(&hub, "AAPL");
    report(&mut publisher, true);
    receive_until(&mut publisher, &[json!({"trades": ["AAPL"], "quotes": ["AAPL"]})]);
}

#[test]
fn publisher_with_room_is_not_told_of_clients() {
    let hub = TestHub::start(config());
    let mut publisher = Client::open(&hub, "/publish", &[]);
    publisher.ask(r#"{"action":"publish","publisher":"relay","demand":true}"#);
    publisher.control();
    report(&mut publisher, true);
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    receive_until(&mut publisher, &[json!({"trades": ["AAPL"]})]);
    report(&mut publisher, false);
    let mut second = Client::json(&hub);
    second.subscribe(r#""trades":["MSFT"]"#);
    loop {
        let element = publisher.control();
        assert_eq!(element["T"], "demand", "{element}");
        if element["added"] == json!({"trades": ["MSFT"]}) {
            break;
        }
    }
    report(&mut publisher, true);
    receive_until(&mut publisher, &[json!({"trades": ["AAPL", "MSFT"]})]);
}

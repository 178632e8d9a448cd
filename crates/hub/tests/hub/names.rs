//! Large subscriptions, and the limits of names.

use serde_json::json;
use tickwire_hub::Config;

use crate::kit::{Client, Publisher, TestHub, config, id_of, symbols, trade};

fn subscribe_command(names: &[String], option: &str) -> String {
    let names = serde_json::to_string(names).unwrap();
    format!(r#"{{"action":"subscribe","trades":{names}{option}}}"#)
}

#[test]
fn hundred_thousand_symbols_in_one_command_are_delivered() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let names = symbols(100_000);
    let mut client = Client::msgpack(&hub);
    let ack = client.ask(&subscribe_command(&names, r#","snapshot":false,"id":1"#));
    assert_eq!(ack["total"], json!({"trades":100_000}));
    assert_eq!(ack["trades"], json!(names));
    let mut every = Client::msgpack(&hub);
    every.subscribe(r#""trades":["*"]"#);
    let ticks: Vec<_> = (0..).zip(&names).map(|(id, name)| trade(name, id)).collect();
    publisher.publish(&ticks);
    for client in [&mut client, &mut every] {
        let ticks = client.take(names.len());
        assert!(ticks.iter().map(id_of).eq(0..100_000), "all, once, in order");
        client.nothing_pending();
    }
    let mut late = Client::msgpack(&hub);
    late.ask(r#"{"action":"subscribe","trades":["*"],"snapshot":true}"#);
    assert_eq!(late.control(), json!({"T":"snapshot","ticks":100_000}));
    let mut ids: Vec<_> = late.take(names.len()).iter().map(id_of).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..100_000));
    assert_eq!(late.control(), json!({"T":"live"}));
}

#[test]
fn names_beyond_the_session_limit_are_refused_as_a_whole() {
    let hub = TestHub::default();
    let names = symbols(300_000);
    let mut client = Client::msgpack(&hub);
    for part in names.chunks(100_000) {
        client.send(&subscribe_command(part, r#","snapshot":false"#));
        assert_eq!(client.control()["T"], "subscription");
    }
    client.send(r#"{"action":"subscribe","trades":["ONEMORE"],"id":9}"#);
    let (id, detail) = client.error(405);
    assert_eq!(id, 9);
    assert!(detail.contains("300000"), "{detail}");
    client.send(r#"{"action":"subscribe","quotes":["*"],"id":10}"#);
    assert_eq!(client.error(405).0, 10);
    let ack = client.ask(r#"{"action":"unsubscribe","trades":["S0"]}"#);
    assert_eq!(ack["total"], json!({"trades":299_999}));
    client.send(r#"{"action":"subscribe","trades":["S0","ONEMORE"]}"#);
    client.error(405);
    let ack = client.ask(r#"{"action":"subscribe","trades":["ONEMORE","S1"]}"#);
    assert_eq!(ack["total"], json!({"trades":300_000}));
}

#[test]
fn limit_of_names_without_ticks_is_released_with_the_session() {
    let hub = TestHub::start(Config { waiting_topics_max: 200, shards: 1, ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1)]);
    let names = symbols(101);
    let mut first = Client::json(&hub);
    first.send(&subscribe_command(&names, ""));
    assert!(first.error(405).1.contains("100 for one client"));
    assert_eq!(
        first.ask(&subscribe_command(&names[..100], r#","snapshot":false"#))["total"],
        json!({"trades":100})
    );
    let mut second = Client::json(&hub);
    second.send(r#"{"action":"subscribe","quotes":["S1"]}"#);
    second.error(405);
    second.subscribe(r#""trades":["AAPL","S5"]"#);
    drop(first);
    hub.until_metric("tickwire_sessions", 1);
    let ack = second.ask(&subscribe_command(&names[..100], r#","snapshot":false"#));
    assert_eq!(ack["total"], json!({"trades":101}));
}

#[test]
fn total_number_of_names_is_limited() {
    let hub = TestHub::start(Config {
        subscriptions_max: 20,
        subscriptions_per_session_max: 10,
        shards: 1,
        ..config()
    });
    let mut first = Client::json(&hub);
    first.ask(&subscribe_command(&symbols(8), r#","snapshot":false"#));
    let mut second = Client::json(&hub);
    second.send(&subscribe_command(&symbols(3), ""));
    second.error(405);
    second.ask(&subscribe_command(&symbols(2), r#","snapshot":false"#));
    hub.until_metric("tickwire_subscriptions", 10);
    drop(first);
    hub.until_metric("tickwire_subscriptions", 2);
}

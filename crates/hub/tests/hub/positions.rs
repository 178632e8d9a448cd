//! Positions in messages and heartbeats.

use std::time::Duration;

use serde_json::json;
use tickwire_hub::Config;
use tickwire_protocol::Encoding;

use crate::kit::{Client, Event, Publisher, TestHub, config, quote, seqs, trade};

#[test]
fn each_message_ends_with_the_position_of_its_last_tick() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let hub = TestHub::start(Config { bars: false, ..config() });
        let mut publisher = Publisher::acknowledged(&hub, "p").0;
        let mut client = Client::session(&hub, encoding);
        let ack =
            client.ask(r#"{"action":"subscribe","trades":["A"],"snapshot":false,"pos":true}"#);
        assert_eq!(ack["pos"], json!(0));
        publisher.publish(&[trade("B", 1), trade("A", 2), trade("B", 3)]);
        assert_eq!(client.data().len(), 1);
        assert_eq!(client.position, Some(2));
        publisher.publish(&[trade("A", 4), trade("A", 5)]);
        assert_eq!(seqs(&client.take(2)), [2, 3]);
        assert_eq!(client.position, Some(5));
        let list = client.ask(r#"{"action":"list"}"#);
        assert_eq!(list["pos"], json!(5));
    }
}

#[test]
fn positions_are_sent_only_on_request_and_not_for_latest() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let mut plain = Client::json(&hub);
    let mut newest = Client::json(&hub);
    let ack = plain.ask(r#"{"action":"subscribe","trades":["A"],"snapshot":false,"pos":false}"#);
    assert_eq!(ack.get("pos"), None);
    newest.ask(
        r#"{"action":"subscribe","quotes":["A"],"snapshot":false,"delivery":"latest","pos":true}"#,
    );
    publisher.publish(&[trade("A", 1), quote("A", 1)]);
    for client in [&mut plain, &mut newest] {
        client.take(1);
        assert_eq!(client.position, None);
    }
}

#[test]
fn heartbeat_carries_the_position_of_an_idle_session() {
    let hub = TestHub::start(Config {
        heartbeat_interval: Duration::from_millis(100),
        bars: false,
        ..config()
    });
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let mut client = Client::json(&hub);
    client.ask(r#"{"action":"subscribe","trades":["QUIET"],"pos":true}"#);
    publisher.publish(&[trade("A", 1), trade("A", 2)]);
    loop {
        match client.next() {
            Event::Control(element) if element["T"] == "heartbeat" && element["pos"] == 2 => break,
            Event::Gone => panic!("it has ended"),
            _ => {}
        }
    }
}

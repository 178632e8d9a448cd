//! Replay of history that becomes live.

use std::time::Duration;

use serde_json::Value;
use tickwire_hub::Config;
use tickwire_protocol::UnixNanos;

use crate::kit::{Client, Publisher, TestHub, config, now, seqs, trade};

fn begins(ack: &Value) -> UnixNanos {
    ack["from"].as_str().unwrap().parse().unwrap()
}

/// Publishes trades one by one with at least this pause after each.
fn publish_slowly(publisher: &mut Publisher, ids: std::ops::Range<u64>, ms: u64) {
    for id in ids {
        publisher.publish(&[trade("A", id)]);
        std::thread::sleep(Duration::from_millis(ms));
    }
}

#[test]
fn replay_becomes_live_without_gap_or_repeat() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let ticks: Vec<_> = (0..20_000).flat_map(|id| [trade("A", id), trade("B", id)]).collect();
    publisher.publish(&ticks);
    let mut client = Client::msgpack(&hub);
    let ack = client.ask(r#"{"action":"subscribe","trades":["A"],"from":"-5m"}"#);
    publisher.publish(&ticks);
    assert_eq!(seqs(&client.take(40_000)), (1..=40_000).collect::<Vec<_>>());
    client.nothing_pending();
    let mut all = Client::json(&hub);
    all.ask(r#"{"action":"subscribe","trades":["*"],"from":"2020-01-01T00:00:00Z"}"#);
    assert_eq!(all.take(80_000).len(), 80_000);
    assert_eq!(hub.metric("tickwire_replays_total"), 2);
    let asked_for_more_than_there_is = begins(&ack);
    let again = client.ask(r#"{"action":"subscribe","trades":["B"],"from":"-5m"}"#);
    assert_eq!(begins(&again), asked_for_more_than_there_is);
}

#[test]
fn replay_starts_at_the_requested_time() {
    let hub = TestHub::start(Config { bars: false, ..config() });
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publish_slowly(&mut publisher, 0..5, 20);
    let mut first = Client::json(&hub);
    let ack = first.ask(r#"{"action":"subscribe","trades":["A"],"from":"-0s"}"#);
    publish_slowly(&mut publisher, 5..10, 20);
    let from = begins(&ack);
    let mut client = Client::json(&hub);
    let command = format!(r#"{{"action":"subscribe","trades":["A"],"from":"{from}"}}"#);
    assert_eq!(begins(&client.ask(&command)), from);
    assert_eq!(seqs(&client.take(5)), [6, 7, 8, 9, 10]);
}

#[test]
fn paced_replay_takes_its_time_and_becomes_live() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&[trade("A", 0)]);
    let first_acked = now();
    publish_slowly(&mut publisher, 1..39, 25);
    let span = first_acked.elapsed();
    publisher.publish(&[trade("A", 39)]);
    // The shard takes the command in a turn that begins after the welcome.
    let began = now();
    let mut client = Client::json(&hub);
    client.ask(r#"{"action":"subscribe","trades":["A"],"from":"-5m","speed":4}"#);
    assert_eq!(seqs(&client.take(40)), (1..=40).collect::<Vec<_>>());
    let played = began.elapsed();
    assert!(played >= span / 4, "{span:?} were played in {played:?}");
    publisher.publish(&[trade("A", 99)]);
    assert_eq!(seqs(&client.take(1)), [41]);
}

#[test]
fn paced_replay_excludes_other_subscriptions_of_its_session() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publish_slowly(&mut publisher, 0..3, 50);
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["B"]"#);
    client.send(r#"{"action":"subscribe","trades":["A"],"from":"-5m","speed":1,"id":1}"#);
    let (id, detail) = client.error(400);
    assert!(id == 1 && detail.contains("use another connection"), "{detail}");
    client.ask(r#"{"action":"unsubscribe","trades":["B"]}"#);
    client.ask(r#"{"action":"subscribe","trades":["A"],"from":"-5m","speed":0.01}"#);
    client.send(r#"{"action":"subscribe","trades":["B"],"id":2}"#);
    assert_eq!(client.error(400).0, 2);
    let ack =
        client.ask(r#"{"action":"subscribe","quotes":["A"],"snapshot":false,"delivery":"latest"}"#);
    assert_eq!(ack["T"], "subscription");
    client.ask(r#"{"action":"unsubscribe","trades":["A"]}"#);
    client.subscribe(r#""trades":["B"]"#);
    publisher.publish(&[trade("B", 1)]);
    assert_eq!(seqs(&client.take(1)), [1]);
}

#[test]
fn invalid_replay_requests_are_refused() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    for (options, said) in [
        (r#""from":"noon""#, "field from: \"noon\": expected a time such as"),
        (r#""from":"-5m","speed":0"#, "field speed: 0: expected"),
        (r#""speed":20"#, "field speed: allowed only with from"),
        (r#""from":"-5m","resume":{"epoch":"x","pos":1}"#, "together with resume"),
        (r#""from":"-5m","delivery":"latest""#, "allowed only with delivery"),
    ] {
        client.send(&format!(r#"{{"action":"subscribe","trades":["A"],{options}}}"#));
        let (_, detail) = client.error(400);
        assert!(detail.contains(said), "{options}: {detail}");
    }
}

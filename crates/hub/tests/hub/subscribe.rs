//! Subscribe, unsubscribe, list; snapshots and ticks.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tickwire_hub::Config;
use tickwire_protocol::{Channel, Command, Encoding, SubscribeRequest, SubscriptionSet, Tick};

use crate::kit::{
    Client, Event, OPEN_BINARY, OPEN_TEXT, Publisher, Stop, TestHub, config, id_of, quote, trade,
};

/// Returns a hub with one publisher.
fn market() -> (TestHub, Publisher) {
    let hub = TestHub::default();
    let (publisher, _) = Publisher::acknowledged(&hub, "market");
    (hub, publisher)
}

#[test]
fn acks_name_changes_and_totals() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    let ack = client.ask(r#"{"action":"subscribe","trades":["AAPL"],"quotes":["MSFT","AAPL"],"bars":["*"],"snapshot":false,"id":1}"#);
    assert_eq!(
        ack,
        json!({"T":"subscription","id":1,"trades":["AAPL"],"quotes":["MSFT","AAPL"],"bars":["*"],
            "total":{"trades":1,"quotes":2,"bars":1}})
    );
    let ack =
        client.ask(r#"{"action":"subscribe","trades":["AAPL","IBM"],"snapshot":false,"id":2}"#);
    assert_eq!(
        ack,
        json!({"T":"subscription","id":2,"trades":["IBM"],"total":{"trades":2,"quotes":2,"bars":1}})
    );
    let ack =
        client.ask(r#"{"action":"unsubscribe","quotes":["MSFT","GOOG"],"bars":["*"],"id":3}"#);
    assert_eq!(
        ack,
        json!({"T":"subscription","id":3,"quotes":["MSFT"],"bars":["*"],"total":{"trades":2,"quotes":1}})
    );
    let ack = client.ask(r#"{"action":"list"}"#);
    assert_eq!(
        ack,
        json!({"T":"subscription","trades":["AAPL","IBM"],"quotes":["AAPL"],"total":{"trades":2,"quotes":1}})
    );
}

#[test]
fn repeated_subscribe_and_unsubscribe_change_nothing() {
    let (hub, mut publisher) = market();
    let mut client = Client::json(&hub);
    let subscribe = r#"{"action":"subscribe","trades":["AAPL","AAPL","*"],"snapshot":false}"#;
    let ack = client.ask(subscribe);
    assert_eq!(ack["trades"].as_array().unwrap().len(), 2, "{ack}");
    let ack = client.ask(subscribe);
    assert_eq!(ack, json!({"T":"subscription","total":{"trades":2}}));
    publisher.publish(&[trade("AAPL", 1), trade("IBM", 2)]);
    assert_eq!(client.take(2).iter().map(id_of).collect::<Vec<_>>(), [1, 2]);
    let unsubscribe = r#"{"action":"unsubscribe","trades":["AAPL","AAPL","*"]}"#;
    assert_eq!(client.ask(unsubscribe)["total"], json!({}));
    assert_eq!(client.ask(unsubscribe), json!({"T":"subscription","total":{}}));
    publisher.publish(&[trade("AAPL", 3)]);
    client.nothing_pending();
}

#[test]
fn name_beside_the_wildcard_is_delivered_once_and_outlives_it() {
    let (hub, mut publisher) = market();
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["AAPL","*"],"quotes":["*"]"#);
    publisher.publish(&[trade("AAPL", 1), quote("AAPL", 2), trade("IBM", 3), trade("AAPL", 4)]);
    let seqs: Vec<_> = client.take(4).iter().map(|tick| (tick.channel(), tick.seq.0)).collect();
    let trades = Channel::Trades;
    let quotes = Channel::Quotes;
    assert_eq!(seqs, [(trades, 1), (quotes, 1), (trades, 1), (trades, 2)]);
    client.nothing_pending();
    client.ask(r#"{"action":"unsubscribe","trades":["*"],"quotes":["*"]}"#);
    publisher.publish(&[trade("IBM", 5), trade("AAPL", 6)]);
    assert_eq!(client.take(1).iter().map(id_of).collect::<Vec<_>>(), [6]);
    client.nothing_pending();
}

#[test]
fn feeds_are_isolated() {
    let hub = TestHub::start(Config { feeds: vec!["main".into(), "test".into()], ..config() });
    let mut main = Client::json(&hub);
    let mut test = Client::open(&hub, "/ws?feed=test", &[]);
    assert_eq!(test.control()["T"], "success");
    for client in [&mut main, &mut test] {
        client.subscribe(r#""trades":["AAPL","*"]"#);
    }
    let element = r#"{"T":"t","S":"AAPL","i":ID,"x":"V","p":1.5,"s":1,"c":[],"t":"2026-01-02T14:30:00Z","z":"C"}"#;
    assert_eq!(hub.post("/publish?feed=test", &element.replace("ID", "1")).status, 200);
    assert_eq!(hub.post("/publish", &element.replace("ID", "2")).status, 200);
    assert_eq!(test.take(1).iter().map(id_of).collect::<Vec<_>>(), [1]);
    assert_eq!(main.take(1).iter().map(id_of).collect::<Vec<_>>(), [2]);
    main.nothing_pending();
    test.nothing_pending();
}

#[test]
fn snapshot_is_marked_and_precedes_live_ticks() {
    let (hub, mut publisher) = market();
    publisher.publish(&[trade("AAPL", 1), quote("AAPL", 2), trade("AAPL", 3), trade("IBM", 4)]);
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut client = Client::session(&hub, encoding);
        client.send(
            r#"{"action":"subscribe","trades":["AAPL","IBM","NONE"],"quotes":["AAPL"],"id":1}"#,
        );
        assert_eq!(client.control()["id"], 1);
        assert_eq!(client.control(), json!({"T":"snapshot","ticks":3}));
        let mut found: Vec<_> = client.take(3).iter().map(key).collect();
        found.sort();
        assert_eq!(
            found,
            [("AAPL", "q", 1), ("AAPL", "t", 2), ("IBM", "t", 1)].map(|(symbol, letter, seq)| (
                symbol.to_owned(),
                letter,
                seq
            ))
        );
        assert_eq!(client.control(), json!({"T":"live"}));
        client.nothing_pending();
    }
}

fn key(tick: &Tick) -> (String, &'static str, u64) {
    (tick.symbol.to_string(), tick.channel().letter(), tick.seq.0)
}

#[test]
fn snapshot_of_names_without_ticks_is_empty() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    client.ask(r#"{"action":"subscribe","trades":["AAPL"]}"#);
    assert_eq!(client.control(), json!({"T":"snapshot","ticks":0}));
    assert_eq!(client.control(), json!({"T":"live"}));
    client.nothing_pending();
}

#[test]
fn snapshot_is_default_for_names_and_optional_for_the_wildcard() {
    let (hub, mut publisher) = market();
    publisher.publish(&[trade("AAPL", 1), trade("IBM", 2), trade("MSFT", 3)]);
    for (names, option, expected) in [
        (r#"["IBM"]"#, "", Some(1)),
        (r#"["*"]"#, "", None),
        (r#"["IBM","*"]"#, "", Some(1)),
        (r#"["*"]"#, r#","snapshot":true"#, Some(3)),
        (r#"["IBM","*"]"#, r#","snapshot":true"#, Some(3)),
        (r#"["IBM","*"]"#, r#","snapshot":false"#, None),
    ] {
        let mut client = Client::json(&hub);
        client.ask(&format!(r#"{{"action":"subscribe","trades":{names}{option}}}"#));
        if let Some(ticks) = expected {
            let snapshot = client.control();
            assert_eq!(snapshot, json!({"T":"snapshot","ticks":ticks}), "{names} {option}");
            client.take(ticks);
            assert_eq!(client.control(), json!({"T":"live"}));
        }
        client.nothing_pending();
    }
}

#[test]
fn repeated_subscribe_sends_no_second_snapshot() {
    let (hub, mut publisher) = market();
    publisher.publish(&[trade("AAPL", 1), trade("IBM", 2)]);
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    client.ask(r#"{"action":"subscribe","trades":["AAPL","IBM"]}"#);
    assert_eq!(client.control(), json!({"T":"snapshot","ticks":1}));
    assert_eq!(client.take(1).iter().map(id_of).collect::<Vec<_>>(), [2]);
}

/// Ticks between two acks belong to the names subscribed at that time, and each arrives exactly
/// once.
#[test]
fn acks_separate_ticks_before_and_after_them_under_load() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let flag = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(flag);
        scope.spawn(move || {
            let mut id = 0;
            while !flag.load(Ordering::Relaxed) {
                let ticks: Vec<_> = (0..100)
                    .map(|n| trade(["AAPL", "IBM", "MSFT"][n % 3], id + n as u64))
                    .collect();
                publisher.publish(&ticks);
                id += 100;
            }
        });
        let mut client = Client::msgpack(&hub);
        client.subscribe(r#""trades":["IBM"]"#);
        for round in 0..30 {
            client.send(r#"{"action":"subscribe","trades":["AAPL"],"id":1}"#);
            let before = until_control(&mut client, "subscription");
            assert!(before.iter().all(|tick| tick.symbol.as_str() == "IBM"), "round {round}");
            let nothing = until_control(&mut client, "snapshot");
            assert!(nothing.is_empty(), "the snapshot directly follows its ack");
            let snapshot = until_control(&mut client, "live");
            let mut last = snapshot.first().map_or(0, |tick| tick.seq.0);
            let mut live = Vec::new();
            while !live.iter().any(|tick: &Tick| tick.symbol.as_str() == "AAPL") {
                live.extend(client.data());
            }
            client.send(r#"{"action":"unsubscribe","trades":["AAPL"],"id":2}"#);
            live.extend(until_control(&mut client, "subscription"));
            for tick in live.iter().filter(|tick| tick.symbol.as_str() == "AAPL") {
                assert_eq!(tick.seq.0, last + 1, "round {round}: live ticks continue the snapshot");
                last = tick.seq.0;
            }
        }
    });
}

/// Returns the ticks before the next control element, which must be of this kind.
fn until_control(client: &mut Client, kind: &str) -> Vec<Tick> {
    let mut ticks = Vec::new();
    loop {
        match client.event() {
            Event::Ticks(more) => ticks.extend(more),
            other => {
                assert_eq!(other.control()["T"], kind);
                return ticks;
            }
        }
    }
}

#[test]
fn commands_may_be_json_or_msgpack_with_either_encoding() {
    let hub = TestHub::default();
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut client = Client::session(&hub, encoding);
        client.send_frame(OPEN_TEXT, br#"{"action":"list","id":1}"#);
        assert_eq!(client.control()["id"], 1);
        let mut names = SubscriptionSet::default();
        names[Channel::Trades].add("AAPL").unwrap();
        let subscription = SubscribeRequest {
            names,
            snapshot: Some(false),
            id: Some(2),
            ..SubscribeRequest::default()
        };
        let mut command = Vec::new();
        Command::Subscribe(subscription).write_msgpack(&mut command);
        client.send_frame(OPEN_BINARY, &command);
        let ack = client.control();
        assert_eq!(ack, json!({"T":"subscription","id":2,"trades":["AAPL"],"total":{"trades":1}}));
    }
}

#[test]
fn command_may_be_fragmented_with_pings_between() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    client.send_frame(0x01, br#"{"action":"#);
    client.send_frame(0x89, b"between");
    client.send_frame(0x00, br#""list","#);
    client.send_frame(0x00, b"");
    client.send_frame(0x80, br#""id":5}"#);
    assert_eq!(client.frame(), Some((0x8a, b"between".to_vec())));
    assert_eq!(client.control()["id"], 5);
}

#[test]
fn unreadable_command_is_refused_and_the_session_continues() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    let commands: &[(&str, serde_json::Value, &str)] = &[
        (
            r#"{"action":"subscribe","trades":["IBM"],"delivery":"newest","id":3}"#,
            3.into(),
            "delivery",
        ),
        (
            r#"{"action":"subscribe","trades":["IBM"],"resume":{"epoch":"x"},"id":4}"#,
            4.into(),
            "resume",
        ),
        (r#"{"action":"dance","id":5}"#, 5.into(), "unknown action \"dance\""),
        (r#"{"id":6}"#, 6.into(), "action"),
        (r#"{"action":"subscribe","trades":["ibm"],"id":7}"#, 7.into(), "ibm"),
        (r#"{"action":"subscribe","trades":["IBM",""],"id":8}"#, 8.into(), "trades"),
        (r#"{"action":"subscribe","trades":"IBM","id":9}"#, 9.into(), "trades"),
        (r#"{"action":"subscribe","trades":["IBM",7],"id":10}"#, 10.into(), "trades"),
        (
            r#"{"action":"subscribe","trades":["IBM"],"snapshot":"yes","id":11}"#,
            11.into(),
            "snapshot",
        ),
        (r#"{"action":"publish","publisher":"me"}"#, serde_json::Value::Null, "/publish"),
        (r#"{"action":"list","id":-1}"#, serde_json::Value::Null, "id"),
        ("", serde_json::Value::Null, ""),
        ("[]", serde_json::Value::Null, ""),
        ("null", serde_json::Value::Null, ""),
        (r#"{"action":"list""#, serde_json::Value::Null, ""),
        ("\u{feff}{}", serde_json::Value::Null, ""),
    ];
    for (command, id, detail) in commands {
        client.send(command);
        let (answered, said) = client.error(400);
        assert_eq!(&answered, id, "{command}: {said}");
        assert!(said.contains(detail), "{command}: {said}");
    }
    for command in [&b""[..], &[0xc1], &[0x81, 0xa6], &[0xdf, 0xff, 0xff, 0xff, 0xff]] {
        client.send_frame(OPEN_BINARY, command);
        client.error(400);
    }
    let list = client.ask(r#"{"action":"list"}"#);
    assert_eq!(list, json!({"T":"subscription","trades":["AAPL"],"total":{"trades":1}}));
    assert_eq!(
        hub.refused("command"),
        commands.len() as u64 + 4 - 1,
        "publish is not a syntax error"
    );
}

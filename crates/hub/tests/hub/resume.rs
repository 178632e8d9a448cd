//! Resume: a returning session continues where it left off.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tickwire_hub::Config;
use tickwire_protocol::{Encoding, Tick};

use crate::kit::{Client, Event, Publisher, TestHub, config, forgetful, quote, seqs, trade};

fn epoch(hub: &TestHub) -> String {
    let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    status["epoch"].as_str().unwrap().to_owned()
}

/// Subscribes with a resume after a position.
fn behind(hub: &TestHub, client: &mut Client, names: &str, pos: u64) -> Value {
    let epoch = epoch(hub);
    let resume = format!(r#"{{"epoch":"{epoch}","pos":{pos}}}"#);
    client.ask(&format!(r#"{{"action":"subscribe",{names},"pos":true,"resume":{resume}}}"#))
}

/// Subscribes with a resume after sequence numbers.
fn after(hub: &TestHub, client: &mut Client, names: &str, after: &str) -> Value {
    let epoch = epoch(hub);
    let resume = format!(r#"{{"epoch":"{epoch}","after":{after}}}"#);
    client.ask(&format!(r#"{{"action":"subscribe",{names},"pos":true,"resume":{resume}}}"#))
}

/// Returns trades of two symbols, alternating.
fn pairs(count: u64) -> Vec<Tick> {
    (0..count).flat_map(|id| [trade("A", id), trade("B", id)]).collect()
}

fn gap(symbol: &str, from: Option<u64>, to: u64) -> Value {
    let mut gap = json!({"T":"gap","S":symbol,"channel":"trades","to":to});
    if let Some(from) = from {
        gap["from"] = from.into();
    }
    gap
}

#[test]
fn resume_continues_after_the_position() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let hub = TestHub::default();
        let mut publisher = Publisher::acknowledged(&hub, "p").0;
        let mut first = Client::session(&hub, encoding);
        first.ask(r#"{"action":"subscribe","trades":["A"],"snapshot":false,"pos":true}"#);
        publisher.publish(&pairs(50));
        assert_eq!(seqs(&first.take(50)), (1..=50).collect::<Vec<_>>());
        let position = first.position.unwrap();
        drop(first);

        publisher.publish(&pairs(5_000));
        let mut again = Client::session(&hub, encoding);
        let ack = behind(&hub, &mut again, r#""trades":["A"]"#, position);
        assert_eq!((&ack["resumed"], &ack["pos"]), (&json!("all"), &json!(position)));
        publisher.publish(&pairs(10));
        assert_eq!(seqs(&again.take(5_010)), (51..=5_060).collect::<Vec<_>>());
        again.nothing_pending();
        assert_eq!(hub.metric("tickwire_resumes_total{result=\"all\"}"), 1);
        assert_eq!(hub.metric("tickwire_sessions_catching_up"), 0);
    }
}

#[test]
fn resume_from_an_ack_without_ticks_works() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&[trade("A", 1)]);
    let mut first = Client::json(&hub);
    let ack = first.ask(r#"{"action":"subscribe","trades":["Q"],"pos":true}"#);
    drop(first);
    publisher.publish(&[trade("Q", 1), trade("Q", 2)]);
    let mut again = Client::json(&hub);
    let ack = behind(&hub, &mut again, r#""trades":["Q"]"#, ack["pos"].as_u64().unwrap());
    assert_eq!(ack["resumed"], "all");
    assert_eq!(seqs(&again.take(2)), [1, 2]);
}

#[test]
fn topics_resume_after_their_numbers_and_others_start_with_a_snapshot() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(20));
    publisher.publish(&[quote("A", 1), quote("A", 2)]);
    let mut client = Client::json(&hub);
    let names = r#""trades":["A","B"],"quotes":["A"]"#;
    let ack = after(&hub, &mut client, names, r#"{"trades":{"A":18},"quotes":{"A":1}}"#);
    assert_eq!(ack["resumed"], "all");
    assert_eq!(client.control()["T"], "snapshot");
    assert_eq!(seqs(&client.data()), [20]);
    assert_eq!(client.control()["T"], "live");
    let resumed = client.take(3);
    assert_eq!(seqs(&resumed), [19, 20, 2]);
    publisher.publish(&[trade("B", 99)]);
    assert_eq!(seqs(&client.take(1)), [21]);
}

#[test]
fn evicted_ticks_are_reported_as_exact_gaps() {
    let hub = TestHub::start(forgetful());
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(10));
    for _ in 0..20 {
        publisher.publish(&pairs(100)); // one message is one turn at least
    }
    let start = 4_020 - hub.metric("tickwire_log_ticks");
    assert!(start > 2_000 && start.is_multiple_of(2), "{start}");
    let lost = start / 2; // of each symbol
    let mut client = Client::json(&hub);
    let ack = after(&hub, &mut client, r#""trades":["A","B"]"#, r#"{"trades":{"A":5,"B":0}}"#);
    assert_eq!((&ack["resumed"], &ack["pos"]), (&json!("gap"), &json!(0)));
    let gaps = [client.control(), client.control()];
    assert!(gaps.contains(&gap("A", Some(6), lost)) && gaps.contains(&gap("B", Some(1), lost)));
    assert!(client.data().is_empty());
    assert_eq!(client.position, Some(start));
    let ticks = client.take(usize::try_from(4_020 - start).unwrap());
    for symbol in ["A", "B"] {
        let of = ticks.iter().filter(|tick| tick.symbol.as_str() == symbol);
        assert_eq!(seqs(of), (lost + 1..=2_010).collect::<Vec<_>>());
    }
    let mut by_position = Client::msgpack(&hub);
    let ack = behind(&hub, &mut by_position, r#""trades":["A"]"#, 7);
    assert_eq!((&ack["resumed"], &ack["pos"]), (&json!("gap"), &json!(7)));
    assert_eq!(by_position.control(), gap("A", None, lost));
    assert!(by_position.data().is_empty());
    assert_eq!(by_position.position, Some(start));
    assert_eq!(by_position.take(1)[0].seq.0, lost + 1);
}

#[test]
fn wildcard_resume_continues_every_topic_and_delivers_new_ones_whole() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(10));
    publisher.publish(&[trade("NEW", 1), trade("NEW", 2)]);
    let numbers = r#"{"trades":{"A":9,"B":10}}"#;
    let mut by_numbers = Client::json(&hub);
    assert_eq!(after(&hub, &mut by_numbers, r#""trades":["*"]"#, numbers)["resumed"], "all");
    let ticks = by_numbers.take(3);
    assert_eq!(seqs(&ticks), [10, 1, 2]);
    let mut by_position = Client::msgpack(&hub);
    behind(&hub, &mut by_position, r#""trades":["*"]"#, 0);
    assert_eq!(by_position.take(22).len(), 22);
    publisher.publish(&[trade("B", 11)]);
    assert_eq!(seqs(&by_numbers.take(1)), [11]);
    assert_eq!(seqs(&by_position.take(1)), [11]);
}

#[test]
fn resume_from_another_epoch_is_an_open_gap_and_a_snapshot() {
    let hub = TestHub::default();
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(3));
    let mut client = Client::json(&hub);
    let resume = r#""resume":{"epoch":"0123456789abcdef","pos":99}"#;
    let ack = client.ask(&format!(r#"{{"action":"subscribe","trades":["A","NEVER"],{resume}}}"#));
    assert_eq!(ack["resumed"], "epoch");
    assert_eq!(client.control(), json!({"T":"gap","S":"A","channel":"trades"}));
    assert_eq!(client.control(), json!({"T":"snapshot","ticks":1}));
    assert_eq!(seqs(&client.take(1)), [3]);
    assert_eq!(client.control()["T"], "live");
    publisher.publish(&pairs(1));
    assert_eq!(seqs(&client.take(1)), [4]);
}

#[test]
fn second_resume_during_the_first_repeats_and_loses_nothing() {
    let hub = TestHub::start(Config { shards: 1, ..config() });
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(100_000));
    let mut client = Client::msgpack(&hub);
    let epoch = epoch(&hub);
    let subscribe = |symbol: &str, pos: u64| {
        let resume = format!(r#"{{"epoch":"{epoch}","pos":{pos}}}"#);
        format!(r#"{{"action":"subscribe","trades":["{symbol}"],"pos":true,"resume":{resume}}}"#)
    };
    client.send(&subscribe("A", 0));
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut asked = false;
    while seen.get("A") < Some(&100_001) || seen.get("B") < Some(&100_001) {
        if let Event::Ticks(ticks) = client.event() {
            for tick in ticks {
                let last = seen.entry(tick.symbol.to_string()).or_default();
                assert_eq!(tick.seq.0, *last + 1, "{}", tick.symbol);
                *last += 1;
            }
            if !asked {
                assert!(seen["A"] < 100_000, "the first resume is still in progress");
                client.send(&subscribe("B", 0));
                publisher.publish(&pairs(1));
                asked = true;
            }
        }
    }
    client.nothing_pending();
}

#[test]
fn slow_catch_up_does_not_delay_live_sessions() {
    let hub = TestHub::start(Config { shards: 1, ..config() });
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(150_000));
    let mut live = Client::msgpack(&hub);
    live.subscribe(r#""trades":["A"]"#);
    let mut slow: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = Client::msgpack(&hub);
            behind(&hub, &mut client, r#""trades":["*"]"#, 0);
            client
        })
        .collect();
    for id in 0..50 {
        publisher.publish(&pairs(1));
        assert_eq!(seqs(&live.take(1)), [150_001 + id]);
    }
    assert_eq!(hub.metric("tickwire_sessions_catching_up"), 5, "all five still catch up");
    for client in &mut slow {
        let ticks = client.take(300_100);
        let of_a = ticks.iter().filter(|tick| tick.symbol.as_str() == "A");
        assert_eq!(seqs(of_a), (1..=150_050).collect::<Vec<_>>());
    }
}

#[test]
fn stalled_catch_up_follows_its_on_lag_setting() {
    let hub = TestHub::start(Config {
        shards: 1,
        backlog_age_max: Duration::from_millis(200),
        ..config()
    });
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(150_000));
    let mut closing = Client::msgpack(&hub);
    let mut patient = Client::msgpack(&hub);
    behind(&hub, &mut closing, r#""trades":["*"]"#, 0);
    behind(&hub, &mut patient, r#""trades":["*"],"on_lag":"latest""#, 0);
    hub.until_metric("tickwire_downgraded_total", 1);
    hub.until_metric("tickwire_sessions_catching_up", 0);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut gaps = 0;
    while seen.get("A") < Some(&150_000) || seen.get("B") < Some(&150_000) {
        match patient.event() {
            Event::Ticks(ticks) => {
                for tick in ticks {
                    let last = seen.entry(tick.symbol.to_string()).or_default();
                    assert_eq!(tick.seq.0, *last + 1, "{}", tick.symbol);
                    *last = tick.seq.0;
                }
            }
            event => {
                let gap = event.control();
                let last = seen.get_mut(gap["S"].as_str().unwrap()).unwrap();
                assert_eq!(gap["from"], *last + 1, "{gap}");
                *last = gap["to"].as_u64().unwrap();
                gaps += 1;
            }
        }
    }
    assert_eq!(gaps, 2);
}

#[test]
fn resume_requires_delivery_every() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    let resume = r#""resume":{"epoch":"x","pos":1}"#;
    client.send(&format!(
        r#"{{"action":"subscribe","trades":["A"],"delivery":"latest",{resume},"id":7}}"#
    ));
    let (id, detail) = client.error(400);
    assert_eq!(id, 7);
    assert!(detail.contains(r#"allowed only with delivery "every""#), "{detail}");
}

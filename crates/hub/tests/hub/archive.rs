//! Resume and replay from the log on disk, with little history in memory.

use std::time::Duration;

use serde_json::{Value, json};
use tickwire_hub::{ByteSize, Config};
use tickwire_protocol::{Encoding, Tick};

use crate::kit::{Client, Publisher, TestHub, forgetful, seqs, trade, until};

/// Returns a hub that keeps few ticks in memory and all on disk.
fn on_disk(folder: &tempfile::TempDir) -> Config {
    Config { data_dir: Some(folder.path().to_owned()), ..forgetful() }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Trades of two symbols, alternating.
fn pairs(count: u64) -> Vec<Tick> {
    (0..count).flat_map(|id| [trade("A", id), trade("B", id)]).collect()
}

fn behind(hub: &TestHub, client: &mut Client, names: &str, pos: u64) -> Value {
    let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    let resume = json!({"epoch": status["epoch"], "pos": pos});
    client.ask(&format!(r#"{{"action":"subscribe",{names},"pos":true,"resume":{resume}}}"#))
}

#[test]
fn resume_from_before_memory_misses_no_tick() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let folder = folder();
        let hub = TestHub::start(on_disk(&folder));
        let mut publisher = Publisher::acknowledged(&hub, "p").0;
        publisher.publish(&pairs(10_000));
        let mut client = Client::session(&hub, encoding);
        let ack = behind(&hub, &mut client, r#""trades":["A"]"#, 200);
        assert_eq!((&ack["resumed"], &ack["pos"]), (&json!("all"), &json!(200)));
        publisher.publish(&pairs(200));
        assert_eq!(seqs(&client.take(10_100)), (101..=10_200).collect::<Vec<_>>());
        client.nothing_pending();
        assert_eq!(client.position, Some(20_399));
        let mut all = Client::session(&hub, encoding);
        assert_eq!(behind(&hub, &mut all, r#""trades":["*"]"#, 0)["resumed"], "all");
        assert_eq!(all.take(20_400).len(), 20_400);
        all.nothing_pending();
        assert_eq!(hub.metric("tickwire_sessions_catching_up"), 0);
    }
}

#[test]
fn resume_reads_ticks_that_an_earlier_hub_wrote() {
    let folder = folder();
    let hub = TestHub::start(Config { drain_duration: Duration::ZERO, ..on_disk(&folder) });
    let ticks: Vec<_> = std::iter::once(trade("OLD", 1)).chain(pairs(5_000)).collect();
    Publisher::acknowledged(&hub, "p").0.publish(&ticks);
    drop(hub);
    let hub = TestHub::start(on_disk(&folder));
    let mut client = Client::json(&hub);
    assert_eq!(behind(&hub, &mut client, r#""trades":["OLD","A"]"#, 0)["resumed"], "all");
    let ticks = client.take(5_001);
    assert_eq!(ticks[0].symbol.as_str(), "OLD");
    assert_eq!(seqs(&ticks[1..]), (1..=5_000).collect::<Vec<_>>());
}

#[test]
fn old_replay_plays_from_disk_and_becomes_live() {
    let folder = folder();
    let hub = TestHub::start(on_disk(&folder));
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(5_000));
    let mut fast = Client::msgpack(&hub);
    let ack = fast.ask(r#"{"action":"subscribe","trades":["B"],"from":"2020-01-01T00:00:00Z"}"#);
    assert!(ack["from"].as_str().unwrap() > "2026", "{ack}: that is when history begins");
    let mut paced = Client::json(&hub);
    paced.ask(r#"{"action":"subscribe","trades":["A"],"from":"-5m","speed":5}"#);
    assert_eq!(seqs(&fast.take(5_000)), (1..=5_000).collect::<Vec<_>>());
    assert_eq!(seqs(&paced.take(5_000)), (1..=5_000).collect::<Vec<_>>());
    until("live", || hub.metric("tickwire_sessions_catching_up") == 0);
    publisher.publish(&pairs(1));
    assert_eq!((seqs(&fast.take(1)), seqs(&paced.take(1))), (vec![5_001], vec![5_001]));
}

#[test]
fn replay_from_disk_starts_at_the_requested_time() {
    let folder = folder();
    let hub = TestHub::start(on_disk(&folder));
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(100));
    let mut first = Client::json(&hub);
    let ack = first.ask(r#"{"action":"subscribe","trades":["C"],"from":"-0s"}"#);
    let from = ack["from"].as_str().unwrap();
    publisher.publish(&pairs(5_000));
    let mut client = Client::json(&hub);
    let ack = client.ask(&format!(r#"{{"action":"subscribe","trades":["A"],"from":"{from}"}}"#));
    assert_eq!(ack["from"], from);
    assert_eq!(seqs(&client.take(5_000)), (101..=5_100).collect::<Vec<_>>());
}

#[test]
fn ticks_deleted_from_disk_are_reported_as_gaps() {
    let folder = folder();
    let hub = TestHub::start(Config { disk_size: ByteSize::mib(1), ..on_disk(&folder) });
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(20_000));
    let oldest = folder.path().join("0000000001.seg");
    until("the oldest segment is removed", || !oldest.exists());
    let mut client = Client::json(&hub);
    behind(&hub, &mut client, r#""trades":["A"]"#, 0);
    let gap = client.control();
    let to = gap["to"].as_u64().unwrap();
    assert_eq!(gap, json!({"T":"gap","S":"A","channel":"trades","to":to}));
    let rest = usize::try_from(20_000 - to).unwrap();
    assert!(rest <= 500, "{rest} ticks are in memory");
    assert_eq!(seqs(&client.take(rest)), (to + 1..=20_000).collect::<Vec<_>>());
    client.nothing_pending();
}

#[test]
fn many_sessions_read_from_disk_at_once_while_some_unsubscribe() {
    let folder = folder();
    let hub = TestHub::start(on_disk(&folder));
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&pairs(4_000));
    let mut clients: Vec<_> = (0..200).map(|_| Client::msgpack(&hub)).collect();
    let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    for (pos, client) in (0..).step_by(20).zip(&mut clients) {
        let resume = json!({"epoch": status["epoch"], "pos": pos});
        client.send(&format!(r#"{{"action":"subscribe","trades":["A"],"resume":{resume}}}"#));
        if pos % 40 == 0 {
            client.send(r#"{"action":"unsubscribe","trades":["A"],"id":7}"#);
        }
    }
    publisher.publish(&pairs(200));
    for (pos, client) in (0..).step_by(20).zip(&mut clients) {
        if pos % 40 == 0 {
            while client.answer()["id"] != 7 {}
            client.nothing_pending();
        } else {
            assert_eq!(client.answer()["resumed"], "all");
            let rest = usize::try_from(4_200 - pos / 2).unwrap();
            assert_eq!(seqs(&client.take(rest)), (pos / 2 + 1..=4_200).collect::<Vec<_>>());
        }
    }
    until("live", || hub.metric("tickwire_sessions_catching_up") == 0);
}

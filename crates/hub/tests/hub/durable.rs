//! Restarts of a hub with a log on disk.

use std::time::Duration;

use serde_json::json;
use tickwire_hub::{ByteSize, Config, Fsync, Hub};
use tickwire_protocol::Tick;

use crate::kit::{Client, Publisher, TestHub, config, id_of, seqs, trade};

/// Returns the config of a hub with this data folder.
fn durable(folder: &tempfile::TempDir) -> Config {
    Config {
        data_dir: Some(folder.path().to_owned()),
        drain_duration: Duration::ZERO,
        bars: false,
        ..config()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn epoch(hub: &TestHub) -> String {
    let mut client = Client::open(hub, "/ws", &[]);
    client.control()["epoch"].as_str().unwrap().to_owned()
}

/// Returns every trade of a symbol that a new session receives when it resumes from the start.
fn history(hub: &TestHub, epoch: &str, symbol: &str, count: usize) -> Vec<Tick> {
    let mut client = Client::json(hub);
    let resume = json!({"epoch": epoch, "after": {"trades": {symbol: 0}}});
    let answer =
        client.ask(&format!(r#"{{"action":"subscribe","trades":["{symbol}"],"resume":{resume}}}"#));
    assert_eq!(answer["resumed"], "all", "{answer}");
    let ticks = client.take(count);
    client.nothing_pending();
    ticks
}

#[test]
fn restarted_hub_keeps_epoch_numbers_publishers_and_history() {
    for fsync in [Fsync::Never, Fsync::EverySecond, Fsync::Ack] {
        let folder = folder();
        let config = Config { fsync, ..durable(&folder) };
        let mut before = None;
        for life in 0..3 {
            let hub = TestHub::start(config.clone());
            let epoch = epoch(&hub);
            assert_eq!(*before.get_or_insert_with(|| epoch.clone()), epoch);
            let (mut publisher, mark) = Publisher::acknowledged(&hub, "market");
            assert_eq!(publisher.number, 10 * life);
            assert_eq!(mark, (life > 0).then(|| format!("life {}", life - 1)));
            for id in 0..9 {
                publisher.send(&[trade("AAPL", 100 * life + id), trade("MSFT", id)]);
            }
            publisher.send_marked(&[], Some(&format!("life {life}")));
            publisher.settle();
            let count = usize::try_from(9 * (life + 1)).unwrap();
            let ticks = history(&hub, &epoch, "AAPL", count);
            assert_eq!(seqs(&ticks), (1..=9 * (life + 1)).collect::<Vec<_>>());
            let ids = (0..=life).flat_map(|life| (0..9).map(move |id| 100 * life + id));
            assert_eq!(ticks.iter().map(id_of).collect::<Vec<_>>(), ids.collect::<Vec<_>>());
        }
    }
}

#[test]
fn last_value_older_than_memory_survives_a_restart() {
    let folder = folder();
    let small = |config: Config| Config {
        log_ticks: 100,
        ingest_ticks_max: 100,
        publish_ticks_max: 100,
        backlog_ticks_max: 100,
        ..config
    };
    let config = small(durable(&folder));
    let hub = TestHub::start(config.clone());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("OLD", 1), trade("OLD", 2)]);
    for id in 0..40 {
        publisher.publish(&(0..50).map(|_| trade("NEW", id)).collect::<Vec<_>>());
    }
    drop(hub);

    let hub = TestHub::start(config);
    let symbols = hub.get("/api/symbols?q=OLD").body;
    assert!(symbols.contains("OLD"), "{symbols}");
    let mut client = Client::json(&hub);
    client.ask(r#"{"action":"subscribe","trades":["OLD","NEW"]}"#);
    assert_eq!(client.control()["T"], "snapshot");
    let mut last: Vec<_> = client.take(2).iter().map(|tick| (id_of(tick), tick.seq.0)).collect();
    last.sort_unstable();
    assert_eq!(last, [(2, 2), (39, 2_000)]);
    assert_eq!(client.control()["T"], "live");
    client.nothing_pending();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("OLD", 3)]);
    assert_eq!(seqs(&client.take(1)), [3]);
}

#[test]
fn hub_refuses_a_folder_with_an_unknown_feed_and_names_it() {
    let folder = folder();
    let with = |feeds: &[&str]| Config {
        feeds: feeds.iter().map(|feed| (*feed).to_owned()).collect(),
        ..durable(&folder)
    };
    drop(TestHub::start(with(&["main", "crypto"])));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(Hub::start(with(&["main"]))).unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert!(source.contains("the log has feed crypto"), "{source}");
    drop(TestHub::start(with(&["crypto", "main", "fx"])));
}

#[test]
fn damaged_folder_is_reported_and_starts_a_new_epoch() {
    let folder = folder();
    let hub = TestHub::start(durable(&folder));
    let before = epoch(&hub);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&(0..100).map(|id| trade("AAPL", id)).collect::<Vec<_>>());
    drop(hub);
    let segment = folder.path().join("0000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    let hub = TestHub::start(durable(&folder));
    assert_ne!(epoch(&hub), before);
    assert_eq!(hub.metric("tickwire_log_problems"), 1);
    assert_eq!(hub.metric("tickwire_topics"), 0);
}

#[test]
fn post_answer_says_that_the_log_has_failed() {
    let folder = folder();
    let hub = TestHub::start(Config { disk_size: ByteSize::mib(1), ..durable(&folder) });
    let tick =
        r#"{"T":"t","S":"AAPL","t":"2026-01-02T14:30:00Z","i":1,"x":"","p":1,"s":1,"c":[],"z":""}"#;
    let ticks = format!("[{}]", vec![tick; 500].join(","));
    assert_eq!(hub.post("/publish", &ticks).body, r#"{"accepted":500,"refused":0}"#);
    std::fs::remove_dir_all(folder.path()).unwrap();
    let told = r#"{"accepted":500,"refused":0,"durable":false}"#;
    assert!((0..1_000).any(|_| hub.post("/publish", &ticks).body == told));
    hub.until_metric("tickwire_log_failed", 1);
    let status: serde_json::Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    assert_eq!(status["log"]["disk"]["failed"], true, "{status}");
}

//! Delayed views.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickwire_hub::{Config, ViewConfig};
use tickwire_protocol::{Encoding, Tick};

use crate::kit::{
    Client, Event, Publisher, TestHub, config, forgetful, id_of, now, quote, seqs, trade, until,
};

/// Returns a hub with a view `late` of this delay.
fn late(delay: Duration, config: Config) -> Config {
    let view = ViewConfig { feed: "main".to_owned(), delay };
    Config { views: [("late".to_owned(), view)].into(), ..config }
}

/// Like [`late`], with all ticks on disk.
fn on_disk(folder: &tempfile::TempDir) -> Config {
    Config {
        data_dir: Some(folder.path().to_owned()),
        drain_duration: Duration::ZERO,
        ..forgetful()
    }
}

fn session(hub: &TestHub, encoding: Encoding) -> Client {
    Client::session_at(hub, "/ws?feed=late", encoding)
}

fn trades(symbol: &str, ids: std::ops::Range<u64>) -> Vec<Tick> {
    ids.map(|id| trade(symbol, id)).collect()
}

fn lost(hub: &TestHub, delay: Duration) -> u64 {
    let delay_ms = delay.as_millis();
    hub.metric(&format!("tickwire_delayed_lost_ticks_total{{delay_ms=\"{delay_ms}\"}}"))
}

/// Returns the ticks of the snapshot that a client receives.
fn last_values(client: &mut Client, names: &str) -> Vec<Tick> {
    let ack = client.ask(&format!(r#"{{"action":"subscribe",{names}}}"#));
    assert_eq!(ack["T"], "subscription", "{ack}");
    let snapshot = client.control();
    assert_eq!(snapshot["T"], "snapshot", "{snapshot}");
    let count = usize::try_from(snapshot["ticks"].as_u64().unwrap()).unwrap();
    let ticks = client.take(count);
    assert_eq!(client.control()["T"], "live");
    ticks
}

#[test]
fn delayed_view_delivers_each_tick_once_in_order_and_never_early() {
    const DELAY: Duration = Duration::from_millis(300);
    let hub = TestHub::start(late(DELAY, config()));
    let mut live = Client::json(&hub);
    let mut delayed = [Encoding::Json, Encoding::MsgpackArray].map(|e| session(&hub, e));
    for client in delayed.iter_mut().chain([&mut live]) {
        client.subscribe(r#""trades":["*"],"quotes":["B"],"pos":true"#);
    }
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let mut sent = Vec::new();
    for id in 0..50 {
        sent.push(now());
        publisher.publish(&[trade("A", id), trade("C", id), quote("B", id)]);
    }
    let of_live = live.take(150);
    for mut client in delayed {
        let mut ticks = Vec::new();
        while ticks.len() < 150 {
            let came = client.data();
            let newest = &sent[(ticks.len() + came.len() - 1) / 3];
            assert!(newest.elapsed() >= DELAY, "tick {} is early", ticks.len() + came.len());
            ticks.extend(came);
        }
        assert_eq!(ticks, of_live, "same ticks, same numbers");
        assert_eq!(client.position, live.position);
        client.nothing_pending();
    }
    assert_eq!(lost(&hub, DELAY), 0);
}

#[test]
fn delayed_view_reports_the_state_of_its_feed() {
    let hub = TestHub::start(late(Duration::from_secs(600), config()));
    let mut publisher = Publisher::open(&hub);
    publisher.send(&[trade("A", 1)]);
    hub.until_metric(r#"tickwire_feed_state{feed="main",state="live"}"#, 1);
    let mut client = Client::open(&hub, "/ws?feed=late", &[]);
    assert_eq!(client.next().control()["msg"], "connected");
    let element = client.next().control();
    assert_eq!((&element["feed"], &element["state"]), (&json!("main"), &json!("live")));
    assert_eq!((&element["view"], &element["delay_ms"]), (&json!("late"), &json!(600_000)));
    let mut live = Client::open(&hub, "/ws", &[]);
    assert_eq!(live.next().control()["msg"], "connected");
    let element = live.next().control();
    assert_eq!((element.get("view"), element.get("delay_ms")), (None, None), "{element}");
}

#[test]
fn snapshot_of_a_delayed_view_has_delayed_values() {
    const DELAY: Duration = Duration::from_secs(2);
    let hub = TestHub::start(late(DELAY, config()));
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let mut first = session(&hub, Encoding::Json);
    first.subscribe(r#""trades":["A"]"#);
    publisher.publish(&[trade("A", 1)]);
    assert_eq!(id_of(&first.take(1)[0]), 1);
    for id in 2.. {
        let sent = now();
        publisher.publish(&[trade("A", id)]);
        let values = last_values(&mut session(&hub, Encoding::Json), r#""trades":["A"]"#);
        if sent.elapsed() < DELAY {
            assert!(id_of(&values[0]) < id, "{} is not delayed", id_of(&values[0]));
            break;
        }
        assert!(id < 20, "the test ran longer than the delay");
    }
}

#[test]
fn delayed_view_reads_ticks_from_disk_that_left_memory() {
    const DELAY: Duration = Duration::from_millis(1_500);
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::start(late(DELAY, on_disk(&folder)));
    let mut client = session(&hub, Encoding::MsgpackArray);
    client.subscribe(r#""trades":["A"]"#);
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let began = now();
    publisher.publish(&trades("A", 0..20_000));
    let mut ticks = client.take(1);
    assert!(began.elapsed() >= DELAY, "early");
    ticks.extend(client.take(19_999));
    assert_eq!(seqs(&ticks), (1..=20_000).collect::<Vec<_>>());
    assert_eq!(lost(&hub, DELAY), 0);
}

#[test]
fn delayed_view_counts_and_reports_lost_ticks_and_continues() {
    const DELAY: Duration = Duration::from_secs(4);
    let hub = TestHub::start(late(DELAY, forgetful()));
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    let mut client = session(&hub, Encoding::Json);
    client.subscribe(r#""trades":["A"]"#);
    publisher.publish(&trades("A", 0..10));
    assert_eq!(seqs(&client.take(10)), (1..=10).collect::<Vec<_>>());
    publisher.publish(&trades("A", 10..5_010));
    let gap = client.control();
    assert_eq!(gap, json!({"T":"gap","S":"A","channel":"trades"}));
    let lost = lost(&hub, DELAY);
    assert!((4_000..5_000).contains(&lost), "{lost}");
    let first = 11 + lost;
    let came = client.take(usize::try_from(5_011 - first).unwrap());
    assert_eq!(seqs(&came), (first..=5_010).collect::<Vec<_>>());
    publisher.publish(&trades("A", 5_010..5_011));
    assert_eq!(seqs(&client.take(1)), [5_011]);
}

#[test]
fn alpaca_session_continues_after_lost_ticks_without_a_gap_element() {
    const DELAY: Duration = Duration::from_secs(4);
    let hub = TestHub::start(late(DELAY, forgetful()));
    let mut client = Client::open(&hub, "/v2/late", &[]);
    assert_eq!(client.control(), json!({"T":"success","msg":"connected"}));
    let answer = client.ask(r#"{"action":"auth","key":"any","secret":"any"}"#);
    assert_eq!(answer, json!({"T":"success","msg":"authenticated"}));
    assert_eq!(client.ask(r#"{"action":"subscribe","trades":["A"]}"#)["trades"], json!(["A"]));
    let mut publisher = Publisher::acknowledged(&hub, "p").0;
    publisher.publish(&trades("A", 0..5_000));
    let newest = 5_000;
    let mut came = client.data();
    while came.last().is_some_and(|tick| id_of(tick) + 1 < newest) {
        came.extend(client.data());
    }
    let lost = lost(&hub, DELAY);
    assert!(lost >= 4_000, "{lost}");
    assert_eq!(came.iter().map(id_of).collect::<Vec<_>>(), (lost..newest).collect::<Vec<_>>());
}

/// A log on disk with a pause between two groups of ticks.
struct Quiet {
    folder: tempfile::TempDir,
    /// A time after all ticks before the pause.
    before: Instant,
    /// A time before all ticks after the pause.
    after: Instant,
}

const QUIET: Duration = Duration::from_secs(3);

impl Quiet {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = TestHub::start(on_disk(&folder));
        let mut publisher = Publisher::acknowledged(&hub, "p").0;
        publisher.publish(&[trade("OLD", 1)]);
        publisher.publish(&trades("A", 0..3_000));
        let before = now();
        until("the quiet is over", || before.elapsed() >= QUIET);
        let after = now();
        publisher.publish(&trades("A", 3_000..6_000));
        publisher.publish(&[trade("NEW", 1)]);
        Self { folder, before, after }
    }

    /// Starts a hub whose delayed view begins within the pause. Also returns the delay.
    fn hub(&self) -> (TestHub, Duration) {
        let delay = self.before.elapsed();
        (TestHub::start(late(delay, on_disk(&self.folder))), delay)
    }

    /// Runs `ask` on a hub before the ticks after the pause are due.
    fn ask<T>(&self, ask: impl Fn(&TestHub) -> T) -> T {
        for _ in 0..10 {
            let (hub, delay) = self.hub();
            let answer = ask(&hub);
            if self.after.elapsed() < delay {
                return answer;
            }
        }
        panic!("no attempt finished before the ticks were due");
    }
}

#[test]
fn restarted_hub_has_delayed_last_values_from_disk() {
    let quiet = Quiet::new();
    let values = quiet.ask(|hub| {
        let names = r#""trades":["OLD","A","NEW"]"#;
        last_values(&mut session(hub, Encoding::Json), names)
    });
    let value = |tick: &Tick| (tick.symbol.to_string(), tick.seq.0);
    let mut values: Vec<_> = values.iter().map(value).collect();
    values.sort();
    assert_eq!(values, [("A".to_owned(), 3_000), ("OLD".to_owned(), 1)]);
}

#[test]
fn restarted_hub_delivers_pending_delayed_ticks_when_due() {
    let quiet = Quiet::new();
    let (hub, delay) = quiet.hub();
    let mut client = session(&hub, Encoding::MsgpackArray);
    client.subscribe(r#""trades":["A","NEW"]"#);
    let mut ticks = client.data();
    // Ticks before the pause may still arrive right after the start.
    while ticks.last().is_some_and(|tick| tick.seq.0 <= 3_000) {
        ticks = client.data();
    }
    assert!(quiet.after.elapsed() >= delay, "early");
    while ticks.last().is_none_or(|tick| tick.symbol.as_str() != "NEW") {
        ticks.extend(client.data());
    }
    let of_a: Vec<_> = ticks.iter().filter(|tick| tick.symbol.as_str() == "A").cloned().collect();
    assert_eq!(seqs(&of_a), (3_001..=6_000).collect::<Vec<_>>());
}

/// Returns all trades of A that a client receives before the answer to its next command.
fn sent_before_answer(client: &mut Client) -> Vec<u64> {
    let mut ticks = Vec::new();
    client.send(r#"{"action":"list","id":9}"#);
    loop {
        match client.event() {
            Event::Ticks(more) => ticks.extend(more),
            Event::Control(element) if element["id"] == 9 => return seqs(&ticks),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn resume_and_replay_never_pass_the_end_of_a_delayed_view() {
    let quiet = Quiet::new();
    for from in [r#""from":"-1h""#, "resume"] {
        let seqs = quiet.ask(|hub| {
            let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
            let resume = format!(r#""resume":{{"epoch":{},"pos":0}}"#, status["epoch"]);
            let from = if from == "resume" { &resume } else { from };
            let mut client = session(hub, Encoding::Json);
            let ack = client.ask(&format!(r#"{{"action":"subscribe","trades":["A"],{from}}}"#));
            assert_eq!(ack["T"], "subscription", "{ack}");
            let mut seqs = seqs(&client.take(3_000));
            until("it is live", || hub.metric("tickwire_sessions_catching_up") == 0);
            seqs.extend(sent_before_answer(&mut client));
            seqs
        });
        assert_eq!(seqs, (1..=3_000).collect::<Vec<_>>());
    }
}

#[test]
fn delayed_view_refuses_a_position_that_it_has_not_reached() {
    let hub = TestHub::start(late(Duration::from_secs(600), config()));
    Publisher::acknowledged(&hub, "p").0.publish(&trades("A", 0..10));
    let mut live = Client::json(&hub);
    let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    let resume = json!({"epoch": status["epoch"], "pos": 5});
    let command = format!(r#"{{"action":"subscribe","trades":["A"],"resume":{resume}}}"#);
    assert_eq!(live.ask(&command)["resumed"], "all");
    assert_eq!(seqs(&live.take(5)), [6, 7, 8, 9, 10]);
    let mut client = session(&hub, Encoding::Json);
    assert_eq!(client.ask(&command)["resumed"], "epoch");
    assert_eq!(client.control(), json!({"T":"snapshot","ticks":0}));
    assert_eq!(client.control()["T"], "live");
    client.nothing_pending();
}

#[test]
fn sessions_of_a_delayed_view_are_closed_during_the_drain() {
    let mut hub = TestHub::start(late(Duration::from_secs(600), config()));
    let mut client = session(&hub, Encoding::Json);
    client.subscribe(r#""trades":["A"]"#);
    let ended = hub.begin_shutdown();
    assert!(client.closed().retry_ms().is_some());
    client.gone();
    hub.block_on(ended).unwrap();
}

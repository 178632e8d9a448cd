//! Slow readers.

use std::time::Duration;

use serde_json::json;
use tickwire_hub::Config;
use tickwire_protocol::Tick;

use crate::kit::{
    Client, Event, PATIENCE, Publisher, Reader, TestHub, caught_up, config, now, trade, until,
};

/// Ticks in one message of the publisher.
const PART: u64 = 500;

/// Publishes trades of one symbol until a condition holds, at the pace of the readers, which must
/// not fall behind. Returns how many.
fn publish_until(
    publisher: &mut Publisher,
    readers: &[Reader],
    mut condition: impl FnMut() -> bool,
) -> u64 {
    let deadline = now() + PATIENCE;
    let mut published = 0;
    while !condition() {
        assert!(now() < deadline, "waited too long");
        let ticks: Vec<Tick> = (0..PART).map(|n| trade("AAPL", published + n)).collect();
        publisher.publish(&ticks);
        published += PART;
        caught_up(readers, published);
    }
    published
}

/// Publishes until the only subscribed session counts as slow and has lost its subscriptions.
fn publish_until_slow(hub: &TestHub, publisher: &mut Publisher) {
    hub.until_metric("tickwire_subscriptions", 1);
    publish_until(publisher, &[], || hub.metric("tickwire_subscriptions") == 0);
}

fn subscriber(hub: &TestHub) -> Client {
    let mut client = Client::msgpack(hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    client
}

#[test]
fn sessions_that_never_read_are_cut_and_others_lose_nothing() {
    let mut hub = TestHub::start(Config {
        backlog_ticks_max: 2_000,
        slow_grace: Duration::from_millis(300),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let stalled: Vec<_> = (0..10).map(|_| subscriber(&hub)).collect();
    let readers: Vec<_> = (0..20).map(|_| Reader::start(subscriber(&hub))).collect();
    let published = publish_until(&mut publisher, &readers, || hub.closes("slow_client") == 10);
    hub.until_metric("tickwire_sessions", 20);
    for mut client in stalled {
        client.gone();
    }
    let ended = hub.begin_shutdown();
    for reader in readers {
        let (last, end) = reader.join();
        assert_eq!(last, published);
        assert!(end.retry_ms().is_some(), "{end:?}");
    }
    drop(publisher);
    hub.block_on(ended).unwrap();
}

#[test]
fn slow_reader_that_returns_reads_data_then_error_then_close() {
    let hub = TestHub::start(Config {
        backlog_ticks_max: 2_000,
        slow_grace: Duration::from_secs(60),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = subscriber(&hub);
    publish_until_slow(&hub, &mut publisher);
    let mut last = 0;
    let error = loop {
        match client.event() {
            Event::Ticks(ticks) => {
                for tick in ticks {
                    assert_eq!(tick.seq.0, last + 1);
                    last = tick.seq.0;
                }
            }
            other => break other.control(),
        }
    };
    assert!(last > 2_000, "the kernel held {last} ticks");
    assert_eq!((&error["T"], &error["code"]), (&json!("error"), &json!(407)));
    assert_eq!(error["msg"], "slow client");
    assert_eq!(client.event(), Event::Close(1008, "slow_client".to_owned()));
    client.send_close(1008);
    client.gone();
    until("one slow close", || hub.closes("slow_client") == 1);
}

#[test]
fn slow_reader_receives_nothing_after_its_error() {
    let hub = TestHub::start(Config {
        backlog_ticks_max: 1_000,
        slow_grace: Duration::from_secs(60),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = subscriber(&hub);
    publish_until_slow(&hub, &mut publisher);
    client.send(r#"{"action":"subscribe","trades":["AAPL"]}"#);
    client.send("nonsense");
    let (_, controls, end) = client.drain();
    assert_eq!(controls.len(), 1, "{controls:?}");
    assert_eq!(controls[0]["code"], 407);
    assert_eq!(end, Event::Close(1008, "slow_client".to_owned()));
}

#[test]
fn session_with_an_old_backlog_is_slow() {
    let hub = TestHub::start(Config {
        backlog_age_max: Duration::from_millis(300),
        slow_grace: Duration::from_millis(200),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = subscriber(&hub);
    publish_until(&mut publisher, &[], || {
        hub.metric("tickwire_backlog_ticks") > 0 || hub.closes("slow_client") == 1
    });
    until("closed as slow", || hub.closes("slow_client") == 1);
    client.gone();
}

#[test]
fn session_whose_backlog_leaves_the_log_is_slow() {
    let hub = TestHub::start(Config {
        log_ticks: 5_000,
        ingest_ticks_max: 5_000,
        publish_ticks_max: 5_000,
        backlog_ticks_max: 5_000,
        slow_grace: Duration::from_secs(60),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = subscriber(&hub);
    let mut idle = Client::msgpack(&hub);
    publish_until_slow(&hub, &mut publisher);
    let (ticks, controls, end) = client.drain();
    assert!(ticks > 0);
    assert_eq!(controls.last().unwrap()["code"], 407);
    assert_eq!(end, Event::Close(1008, "slow_client".to_owned()));
    idle.nothing_pending();
    assert!(hub.metric("tickwire_log_ticks") <= 5_000);
}

/// The log holds one message, so a shard that sleeps through two of them misses one.
#[test]
fn shard_overrun_by_the_log_ends_its_sessions_and_continues() {
    let hub = TestHub::start(Config {
        shards: 1,
        log_ticks: 50,
        ingest_ticks_max: 50,
        publish_ticks_max: 50,
        backlog_ticks_max: 50,
        slow_grace: Duration::from_secs(60),
        ..config()
    });
    let mut flood = Publisher::open(&hub);
    let idle = Client::msgpack(&hub);
    let client = subscriber(&hub);
    let witness = reader_until_error(client);
    let deadline = now() + PATIENCE;
    let part = vec![trade("AAPL", 1); 50];
    while !witness.is_finished() {
        assert!(now() < deadline, "the log never overran the session");
        flood.send(&part);
    }
    assert_eq!(witness.join().unwrap(), Event::Close(1008, "slow_client".to_owned()));
    drop(flood);
    hub.until_metric("tickwire_publishers", 0);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut late = idle;
    late.subscribe(r#""trades":["AAPL"]"#);
    publisher.publish(&[trade("AAPL", 7), trade("AAPL", 8)]);
    let ticks = late.take(2);
    assert_eq!(ticks.iter().map(crate::kit::id_of).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(ticks[1].seq.0, hub.metric("tickwire_ticks_in_total"));
}

/// Reads a session until its error, and checks that ticks are in order.
fn reader_until_error(mut client: Client) -> std::thread::JoinHandle<Event> {
    std::thread::spawn(move || {
        let mut last = 0;
        loop {
            match client.event() {
                Event::Ticks(ticks) => {
                    for tick in ticks {
                        assert_eq!(tick.seq.0, last + 1, "no gap before the error");
                        last = tick.seq.0;
                    }
                }
                Event::Control(element) => assert_eq!(element["code"], 407),
                end => return end,
            }
        }
    })
}

#[test]
fn session_that_sends_commands_without_reading_is_cut() {
    let hub = TestHub::start(Config {
        backlog_age_max: Duration::from_secs(1),
        slow_grace: Duration::from_millis(100),
        ..config()
    });
    let mut client = Client::json(&hub);
    let names = serde_json::to_string(&crate::kit::symbols(20_000)).unwrap();
    client.subscribe(&format!(r#""trades":{names}"#));
    client.stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let list = crate::kit::masked(crate::kit::OPEN_TEXT, br#"{"action":"list"}"#).repeat(10_000);
    let deadline = now() + PATIENCE;
    while hub.closes("slow_client") == 0 {
        assert!(now() < deadline, "never cut");
        let _full_or_gone = std::io::Write::write_all(&mut client.stream, &list);
    }
    hub.until_metric("tickwire_sessions", 0);
}

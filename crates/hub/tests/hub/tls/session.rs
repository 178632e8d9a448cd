//! Sessions over TLS: no tick is lost, no session waits for another, no data is held back.

use std::io::Read;
use std::time::Duration;

use tickwire_hub::Config;
use tickwire_protocol::Tick;

use super::encrypting;
use crate::kit::{
    Client, Event, Publisher, Reader, TestHub, caught_up, config, id_of, masked, trade, until,
    upgrade_request,
};

fn subscriber(hub: &TestHub) -> Client {
    let mut client = Client::msgpack(hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    client
}

fn part(number: u64) -> Vec<Tick> {
    (0..500).map(|n| trade("AAPL", number * 500 + n)).collect()
}

/// Publishes until sessions have pending ticks that their sockets do not accept. Returns the number
/// of ticks.
fn publish_until_blocked(hub: &TestHub, publisher: &mut Publisher) -> u64 {
    for number in 0.. {
        if hub.metric("tickwire_backlog_ticks") > 20_000 {
            return number * 500;
        }
        publisher.publish(&part(number));
    }
    unreachable!()
}

/// R3.
#[test]
fn stalled_tls_reader_receives_every_tick_in_order() {
    let hub = TestHub::start_encrypted(config());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = subscriber(&hub);
    let published = publish_until_blocked(&hub, &mut publisher);
    for id in 0..published {
        assert_eq!(id_of(&client.take(1)[0]), id);
    }
    client.nothing_pending();
    assert_eq!(hub.metric("tickwire_backlog_ticks"), 0);
}

/// R29.
#[test]
fn tls_readers_that_stop_are_cut_and_others_lose_nothing() {
    let config =
        Config { backlog_ticks_max: 2_000, slow_grace: Duration::from_millis(300), ..config() };
    let mut hub = TestHub::start_encrypted(config);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let stalled: Vec<_> = (0..4).map(|_| subscriber(&hub)).collect();
    let readers: Vec<_> = (0..4).map(|_| Reader::start(subscriber(&hub))).collect();
    let mut published = 0;
    until("four slow ones", || {
        publisher.publish(&part(published / 500));
        published += 500;
        caught_up(&readers, published);
        hub.closes("slow_client") == 4
    });
    hub.until_metric("tickwire_sessions", 4);
    drop(stalled);
    let ended = hub.begin_shutdown();
    for reader in readers {
        let (last, end) = reader.join();
        assert_eq!(last, published);
        assert!(end.retry_ms().is_some(), "{end:?}");
    }
    hub.block_on(ended).unwrap();
}

/// R27.
#[test]
fn pong_does_not_wait_for_the_backlog() {
    let hub = TestHub::start_encrypted(config());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = subscriber(&hub);
    let published = publish_until_blocked(&hub, &mut publisher);
    client.send_frame(0x89, b"well?");
    client.send(r#"{"action":"subscribe","quotes":["AAPL"],"id":5}"#);
    hub.until_metric("tickwire_subscriptions", 2); // the ping precedes this subscribe, so it has been read
    let mut before = 0;
    loop {
        match client.next() {
            Event::Ticks(ticks) => before += ticks.len() as u64,
            Event::Control(element) if element["T"] == "feed" => {}
            Event::Pong => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(before < published, "{before} of {published} ticks came first");
    client.take(usize::try_from(published - before).unwrap());
    assert_eq!(client.control()["id"], 5);
}

/// One command spans 64 TLS records, and its answer exceeds the encrypted bytes a connection may
/// hold.
#[test]
fn large_commands_and_answers_pass_over_tls() {
    let hub = TestHub::start_encrypted(config());
    let mut client = Client::json(&hub);
    let names = serde_json::to_string(&crate::kit::symbols(100_000)).unwrap();
    client.subscribe(&format!(r#""trades":{names}"#));
    let answer = client.ask(r#"{"action":"list"}"#);
    assert_eq!(answer["trades"].as_array().unwrap().len(), 100_000);
}

#[test]
fn tls_sessions_end_with_close_notify() {
    let mut hub = TestHub::start_plain(encrypting());
    let mut streams = [super::shake_hands(&hub), super::shake_hands(&hub)];
    for stream in &mut streams {
        let request = upgrade_request(hub.address, "/ws", &[]);
        std::io::Write::write_all(stream, request.as_bytes()).unwrap();
    }
    hub.until_metric("tickwire_sessions", 2);
    let [mut leaving, mut staying] = streams;
    std::io::Write::write_all(&mut leaving, &masked(0x88, &1000_u16.to_be_bytes())).unwrap();
    leaving.read_to_end(&mut Vec::new()).unwrap(); // it would be an error without
    let ended = hub.begin_shutdown();
    let mut byte = [0];
    while byte[0] != 0x88 {
        staying.read_exact(&mut byte).unwrap(); // JSON, until the close frame
    }
    std::io::Write::write_all(&mut staying, &masked(0x88, &1001_u16.to_be_bytes())).unwrap();
    staying.read_to_end(&mut Vec::new()).unwrap();
    hub.block_on(ended).unwrap();
}

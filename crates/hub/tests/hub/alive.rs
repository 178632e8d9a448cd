//! Heartbeats, pings, idle timeouts and closing.

use std::time::Duration;

use tickwire_hub::Config;
use tickwire_protocol::Encoding;

use crate::kit::{Client, Event, OPEN_TEXT, Publisher, TestHub, config, id_of, masked, now, trade};

/// Returns a hub with short ping and idle intervals.
fn impatient() -> Config {
    Config {
        ping_interval: Duration::from_millis(100),
        idle_timeout: Duration::from_secs(4),
        ..config()
    }
}

#[test]
fn idle_session_receives_heartbeats() {
    let hub = TestHub::start(Config { heartbeat_interval: Duration::from_millis(100), ..config() });
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut client = Client::session(&hub, encoding);
        for _ in 0..2 {
            let heartbeat = client.next().control();
            assert_eq!(heartbeat["T"], "heartbeat");
            assert!(heartbeat["t"].as_str().unwrap().ends_with('Z'), "{heartbeat}");
        }
    }
}

/// WebSocket libraries hide pings from programs, so pings must not replace heartbeats.
#[test]
fn frequent_pings_do_not_replace_heartbeats() {
    let hub = TestHub::start(Config { heartbeat_interval: Duration::from_secs(3), ..impatient() });
    let mut client = Client::json(&hub);
    let mut pings = 0;
    while client.next() == Event::Ping {
        pings += 1;
        assert!(pings < 10, "no heartbeat");
    }
    assert!(pings > 0);
}

#[test]
fn session_that_answers_pings_stays_open() {
    let hub = TestHub::start(impatient());
    let mut client = Client::json(&hub);
    for _ in 0..3 {
        assert_eq!(client.next(), Event::Ping);
    }
    client.nothing_pending();
    assert_eq!(hub.closes("silent"), 0);
}

#[test]
fn session_that_answers_no_ping_is_dropped() {
    let hub = TestHub::start(impatient());
    let mut silent = Client::json(&hub);
    silent.answers_pings = false;
    silent.gone();
    hub.until_metric("tickwire_sessions", 0);
    assert_eq!(hub.closes("silent"), 1);
}

#[test]
fn only_publishers_that_answer_pings_stay() {
    let hub = TestHub::start(impatient());
    let (mut alive, _) = Publisher::acknowledged(&hub, "alive");
    let mut silent = Publisher::open(&hub);
    silent.client.answers_pings = false;
    let gone = std::thread::spawn(move || silent.client.gone());
    while !gone.is_finished() {
        assert_eq!(alive.client.next(), Event::Ping);
    }
    gone.join().unwrap();
    hub.until_metric("tickwire_publishers", 1);
    alive.publish(&[trade("AAPL", 1)]);
}

/// A client that sends a large message over a slow line cannot answer pings meanwhile.
#[test]
fn session_whose_message_arrives_slowly_stays_open() {
    let hub = TestHub::start(impatient());
    let mut clients = ["/ws", "/publish"].map(|path| Client::open(&hub, path, &[]));
    let began = now();
    let command = [&[b' '; 120][..], b"{}"].concat();
    for byte in masked(OPEN_TEXT, &command) {
        clients.iter_mut().for_each(|client| client.send_raw(&[byte]));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() > Duration::from_secs(6), "longer than the idle timeout");
    for client in &mut clients {
        client.answers_pings = false;
        while client.control()["T"] != "error" {}
    }
    assert_eq!(hub.closes("silent"), 0);
}

#[test]
fn ping_is_answered_with_its_payload() {
    let hub = TestHub::default();
    for path in ["/ws", "/publish"] {
        let mut client = Client::open(&hub, path, &[]);
        client.send_frame(0x89, b"are you there?");
        let pong = loop {
            match client.frame().unwrap() {
                (0x8a, payload) => break payload,
                (first, _) => assert_eq!(first, 0x81, "{path}"),
            }
        };
        assert_eq!(pong, b"are you there?", "{path}");
    }
}

#[test]
fn close_is_answered_with_its_code_and_ends_the_connection() {
    let hub = TestHub::default();
    for code in [1000, 1001, 3000, 4999] {
        let mut client = Client::json(&hub);
        client.send_close(code);
        assert_eq!(client.event(), Event::Close(code, String::new()));
        assert_eq!(client.event(), Event::Gone);
    }
    let mut client = Client::json(&hub);
    client.send_frame(0x88, b"");
    assert_eq!(client.event(), Event::Close(1005, String::new()));
    client.gone();
    hub.until_metric("tickwire_sessions", 0);
    assert_eq!(hub.closes("peer_closed"), 5);
}

#[test]
fn close_does_not_wait_for_the_backlog() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["*"]"#);
    let ticks: Vec<_> = (0..1_000).map(|id| trade("AAPL", id)).collect();
    while hub.metric("tickwire_backlog_ticks") < 20_000 {
        publisher.publish(&ticks);
    }
    client.send_close(1000);
    hub.until_metric("tickwire_subscriptions", 0);
    let mut expected = 0..;
    let end = loop {
        match client.event() {
            Event::Ticks(ticks) => {
                for tick in ticks {
                    assert_eq!(id_of(&tick), expected.next().unwrap() % 1_000);
                }
            }
            end => break end,
        }
    };
    assert_eq!(end, Event::Close(1000, String::new()), "the close follows a complete frame");
    assert!(expected.start < publisher.number * 1_000, "ticks after the close are not delivered");
    client.gone();
}

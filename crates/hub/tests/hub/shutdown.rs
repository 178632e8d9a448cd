//! Shutdown: acknowledged ticks are delivered.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use tickwire_hub::{ByteSize, Config};
use tickwire_protocol::Encoding;

use crate::kit::{Client, Event, Publisher, TestHub, config, patient, trade, until};

fn is_shutdown(end: &Event) -> bool {
    end.retry_ms().is_some()
}

#[test]
fn shutdown_informs_sessions_and_publishers_and_refuses_new_ones() {
    let mut hub = TestHub::default();
    let mut sessions = [Client::json(&hub), Client::msgpack(&hub)];
    let mut publisher = Publisher::open(&hub);
    assert_eq!((hub.get("/readyz").status, hub.get("/readyz").body.as_str()), (200, "ready"));
    let ended = hub.begin_shutdown();
    for session in &mut sessions {
        assert!(is_shutdown(&session.closed()));
        session.send_close(1001);
        session.gone();
    }
    assert!(is_shutdown(&publisher.client.closed()));
    hub.block_on(ended).unwrap();
    let refused = TcpStream::connect(hub.address).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.read(&mut [0])
    });
    assert!(matches!(refused, Ok(0) | Err(_)), "{refused:?}");
}

/// Eight sessions with different amounts of pending data start to read only when the hub shuts
/// down.
#[test]
fn sessions_receive_pending_ticks_before_their_close() {
    let mut hub = TestHub::start(Config { message_size_max: ByteSize::bytes(4_100), ..patient() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut sessions: Vec<_> = (0..8)
        .map(|number| {
            let encoding = [Encoding::Json, Encoding::MsgpackArray][number % 2];
            let mut client = Client::session(&hub, encoding);
            let names: Vec<_> = (0..=number).map(|n| format!("S{n}")).collect();
            client.subscribe(&format!(r#""trades":{}"#, serde_json::to_string(&names).unwrap()));
            client
        })
        .collect();
    let part: Vec<_> = (0..1_000).map(|id| trade(&format!("S{}", id % 20), id)).collect();
    let mut parts = 0;
    while hub.metric("tickwire_backlog_ticks") < 8_000 {
        publisher.publish(&part);
        parts += 1;
    }
    let ended = hub.begin_shutdown();
    for (number, session) in sessions.iter_mut().enumerate() {
        let (ticks, controls, end) = session.drain();
        assert_eq!(ticks, parts * 50 * (number + 1), "session {number}, {controls:?}");
        assert!(is_shutdown(&end), "session {number}: {end:?}");
        session.send_close(1001);
        session.gone();
    }
    assert!(is_shutdown(&publisher.client.closed()));
    hub.block_on(ended).unwrap();
}

#[test]
fn acknowledged_ticks_and_delivered_ticks_are_the_same_at_shutdown() {
    let mut hub = TestHub::start(patient());
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["*"]"#);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut sender = publisher.client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for number in 1.. {
            let ticks: Vec<_> = (0..20).map(|_| trade("AAPL", number)).collect();
            let frame = crate::kit::masked(0x82, &crate::kit::data_message(&ticks));
            if std::io::Write::write_all(&mut sender, &frame).is_err() {
                return;
            }
        }
    });
    let mut acknowledged = 0;
    while acknowledged < 100 {
        acknowledged = publisher.client.control()["up_to"].as_u64().unwrap();
    }
    let ended = hub.begin_shutdown();
    let (ticks, _, end) = client.drain();
    assert!(is_shutdown(&end), "{end:?}");
    assert!(
        ticks as u64 >= acknowledged * 20,
        "{ticks} ticks arrived, {acknowledged} messages were acknowledged before"
    );
    client.send_close(1001);
    let end = loop {
        match publisher.client.event() {
            Event::Control(ack) => acknowledged = ack["up_to"].as_u64().unwrap(),
            end => break end,
        }
    };
    assert!(is_shutdown(&end), "{end:?}");
    assert!(
        ticks as u64 <= acknowledged * 20,
        "{ticks} ticks arrived, {acknowledged} messages were acknowledged in the end"
    );
    publisher.client.stream.shutdown(std::net::Shutdown::Both).unwrap();
    sending.join().unwrap();
    hub.block_on(ended).unwrap();
}

#[test]
fn session_that_never_reads_does_not_block_shutdown() {
    let mut hub = TestHub::start(Config { drain_duration: Duration::from_millis(500), ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut stalled = Client::msgpack(&hub);
    stalled.subscribe(r#""trades":["*"]"#);
    let ticks: Vec<_> = (0..1_000).map(|id| trade("AAPL", id)).collect();
    while hub.metric("tickwire_backlog_ticks") < 8_000 {
        publisher.publish(&ticks);
    }
    // Two more peers that stall: an incomplete request, and a publisher that stops within a frame.
    let _request = TcpStream::connect(hub.address).unwrap();
    let mut silent = Publisher::open(&hub);
    silent.client.send_raw(&[0x82, 0xfe]);
    let ended = hub.begin_shutdown();
    until("the hub has ended", || ended.is_finished());
    stalled.gone();
}

#[test]
fn hub_without_sessions_shuts_down_at_once() {
    let mut hub = TestHub::default();
    hub.get("/healthz");
    let ended = hub.begin_shutdown();
    until("the hub has ended", || ended.is_finished());
}

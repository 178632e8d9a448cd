//! Peers that violate the protocol: they are answered by the rules, without effect on other
//! sessions.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use tickwire_hub::{ByteSize, Config};
use tickwire_protocol::Tick;
use tickwire_testkit::seeds;

use crate::kit::{
    Client, Event, OPEN_BINARY, OPEN_TEXT, Publisher, Stop, TestHub, config, id_of, masked, now,
    trade, upgrade_request,
};

/// A hub with a well-behaved session, the witness, beside misbehaving peers.
struct Harness {
    publisher: Publisher,
    witness: Client,
    published: u64,
    hub: TestHub, // the last to go, so that it need not wait for the others to leave
}

impl Harness {
    fn new(config: Config) -> Self {
        let hub = TestHub::start(Config { shards: 1, ..config });
        let (publisher, _) = Publisher::acknowledged(&hub, "market");
        let mut witness = Client::msgpack(&hub);
        witness.subscribe(r#""trades":["*"]"#);
        Self { publisher, witness, published: 0, hub }
    }

    /// Asserts that the witness receives exactly the published ticks.
    fn is_unharmed(&mut self) {
        let ids: Vec<_> = (self.published..self.published + 100).collect();
        self.published += 100;
        let ticks: Vec<Tick> = ids.iter().map(|id| trade("AAPL", *id)).collect();
        self.publisher.publish(&ticks);
        let got: Vec<_> = self.witness.take(100).iter().map(id_of).collect();
        assert_eq!(got, ids);
        self.witness.nothing_pending();
    }
}

#[test]
fn websocket_violation_closes_the_session_with_its_code() {
    let mut harness = Harness::new(Config { command_size_max: ByteSize::kib(4), ..config() });
    let unmasked = [OPEN_TEXT, 2, b'{', b'}'];
    let long = masked(OPEN_TEXT, &[b' '; 4_097]);
    let huge = [&[OPEN_BINARY, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 100]].concat();
    let fragments = [masked(0x01, &[b' '; 3_000]), masked(0x80, &[b' '; 3_000])].concat();
    let cases: &[(&str, &[u8], u16, &str)] = &[
        ("not masked", &unmasked, 1002, "protocol"),
        ("reserved bit", &masked(0xc1, b"{}"), 1002, "protocol"),
        ("reserved opcode", &masked(0x83, b"{}"), 1002, "protocol"),
        ("reserved control opcode", &masked(0x8b, b""), 1002, "protocol"),
        ("nothing to continue", &masked(0x80, b"{}"), 1002, "protocol"),
        (
            "new message within one",
            &[masked(0x01, b"{"), masked(0x81, b"}")].concat(),
            1002,
            "protocol",
        ),
        ("fragmented ping", &masked(0x09, b""), 1002, "protocol"),
        ("long ping", &masked(0x89, &[0; 126]), 1002, "protocol"),
        ("close of one byte", &masked(0x88, b"x"), 1002, "protocol"),
        ("text that is no UTF-8", &masked(OPEN_TEXT, b"\"\xff\xfe\""), 1007, "not_utf8"),
        ("too long", &long, 1009, "too_big"),
        ("a length of 2^64", &huge, 1009, "too_big"),
        ("too long in fragments", &fragments, 1009, "too_big"),
    ];
    for (number, (name, bytes, code, reason)) in (0u64..).zip(cases) {
        let mut client = Client::json(&harness.hub);
        client.send_raw(bytes);
        assert_eq!(client.closed(), Event::Close(*code, (*reason).to_owned()), "{name}");
        client.gone();
        drop(client);
        harness.hub.until_metric("tickwire_sessions", 1);
        let closes: u64 =
            ["protocol", "not_utf8", "too_big"].iter().map(|why| harness.hub.closes(why)).sum();
        assert_eq!(closes, number + 1, "{name}");
    }
    harness.is_unharmed();
}

#[test]
fn websocket_violation_closes_the_publisher_with_its_code() {
    let mut harness = Harness::new(Config { publish_size_max: ByteSize::kib(8), ..config() });
    let huge = [&[OPEN_BINARY, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 100]].concat();
    let cases: &[(&str, &[u8], u16)] = &[
        ("not masked", &[OPEN_TEXT, 2, b'[', b']'], 1002),
        ("reserved bit", &masked(0xc1, b"[]"), 1002),
        ("too long", &masked(OPEN_BINARY, &[0xc0; 8_193]), 1009),
        ("a length of 2^64", &huge, 1009),
        ("text that is no UTF-8", &masked(OPEN_TEXT, b"\"\xff\xfe\""), 1007),
    ];
    for (name, bytes, code) in cases {
        let mut publisher = Publisher::open(&harness.hub);
        publisher.client.send_raw(bytes);
        let end = publisher.client.closed();
        assert!(matches!(&end, Event::Close(told, _) if told == code), "{name}: {end:?}");
        publisher.client.gone();
    }
    harness.hub.until_metric("tickwire_publishers", 1);
    harness.is_unharmed();
}

#[test]
fn random_bytes_do_not_affect_other_sessions() {
    let mut harness = Harness::new(config());
    let mut random = seeds!().rng();
    for path in ["/", "/ws", "/publish"] {
        for _ in 0..60 {
            let bytes: Vec<u8> =
                (0..random.random_range(1..2_000)).map(|_| random.random()).collect();
            if path == "/" {
                exchange_and_leave(&harness.hub, &bytes);
                continue;
            }
            let mut client = Client::open(&harness.hub, path, &[]);
            let _refused_early = client.stream.write_all(&bytes);
            client.end_writing();
            client.gone();
        }
    }
    harness.hub.until_metric("tickwire_sessions", 1);
    harness.hub.until_metric("tickwire_publishers", 1);
    harness.is_unharmed();
}

fn exchange_and_leave(hub: &TestHub, bytes: &[u8]) {
    let mut stream = std::net::TcpStream::connect(hub.address).unwrap();
    let _refused_early = stream.write_all(bytes);
}

#[test]
fn random_messages_are_each_refused() {
    let mut harness = Harness::new(config());
    let mut random = seeds!().rng();
    let mut client = Client::json(&harness.hub);
    let publisher = &mut Publisher::open(&harness.hub);
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..random.random_range(8..300)).map(|_| random.random()).collect();
        client.send_frame(OPEN_BINARY, &bytes);
        client.error(400);
        publisher.client.send_frame(OPEN_BINARY, &bytes);
        publisher.client.error(400);
        let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
        client.send_frame(OPEN_TEXT, text.as_bytes());
        client.error(400);
        publisher.client.send_frame(OPEN_TEXT, text.as_bytes());
        publisher.client.error(400);
    }
    client.nothing_pending();
    harness.is_unharmed();
}

#[test]
fn malformed_command_of_any_shape_is_refused() {
    let mut harness = Harness::new(config());
    let mut client = Client::msgpack(&harness.hub);
    let deep_json = format!(r#"{{"action":"subscribe","trades":{}"#, "[".repeat(100_000));
    client.send(&deep_json);
    client.error(400);
    let deep = [&[0x82, 0xa6][..], b"action", &[0xa4], b"list", &[0xa1, b'x'], &[0x91; 500_000]];
    client.send_frame(OPEN_BINARY, &deep.concat());
    client.answer(); // refused or passed over
    let claims = [&[0x82, 0xa6][..], b"action", &[0xa9], b"subscribe", &[0xa6], b"trades"];
    for claim in [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xdb, 0xff, 0xff, 0xff, 0xff]] {
        client.send_frame(OPEN_BINARY, &[&claims.concat(), claim].concat());
        client.error(400);
    }
    let names = "\"*\",".repeat(200_000);
    client.subscribe(&format!(r#""trades":[{names}"*"]"#));
    harness.is_unharmed();
}

/// Writes the same bytes repeatedly until stopped or cut. After a partial write the rest goes
/// first, so frames stay whole.
fn pour(mut stream: std::net::TcpStream, bytes: &[u8], stop: &AtomicBool) {
    stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        match stream.write(&bytes[written..]) {
            Ok(count) => written = (written + count) % bytes.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Sends the same bytes repeatedly, as fast as the hub accepts them, while the witness is checked.
/// The hub may cut the sender at any time.
fn flood(harness: &mut Harness, path: &str, beginning: &[u8], bytes: &[u8]) {
    let mut client = Client::open(&harness.hub, path, &[]);
    client.send_raw(beginning);
    let flag = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(flag);
        let stream = client.stream.try_clone().unwrap();
        scope.spawn(move || pour(stream, bytes, flag));
        let until = now() + Duration::from_millis(400);
        let mut rounds = 0;
        while now() < until || rounds < 3 {
            harness.is_unharmed();
            rounds += 1;
        }
    });
}

#[test]
fn flood_of_pings_delays_no_other_session() {
    let mut harness = Harness::new(config());
    flood(&mut harness, "/ws", b"", &masked(0x89, &[b'p'; 125]).repeat(1_000));
    flood(&mut harness, "/publish", b"", &masked(0x89, &[b'p'; 125]).repeat(1_000));
}

#[test]
fn endless_empty_fragments_delay_no_other_session() {
    let mut harness = Harness::new(config());
    let empty = masked(0x00, b"").repeat(10_000);
    flood(&mut harness, "/ws", &masked(0x01, b""), &empty);
    flood(&mut harness, "/publish", &masked(0x01, b""), &empty);
}

#[test]
fn flood_after_a_violation_delays_no_other_session() {
    let mut harness = Harness::new(config());
    flood(&mut harness, "/ws", &[OPEN_TEXT, 0], &[0; 65_536]);
    flood(&mut harness, "/publish", &[OPEN_TEXT, 0], &[0; 65_536]);
}

#[test]
fn flood_of_commands_delays_no_other_session() {
    let mut harness = Harness::new(config());
    let commands = [
        masked(OPEN_TEXT, br#"{"action":"subscribe","trades":["AAPL","IBM"]}"#),
        masked(OPEN_TEXT, br#"{"action":"unsubscribe","trades":["AAPL","IBM"]}"#),
        masked(OPEN_TEXT, b"nonsense"),
    ];
    flood(&mut harness, "/ws", b"", &commands.concat().repeat(500));
}

#[test]
fn flood_of_large_commands_delays_no_other_session() {
    let mut harness = Harness::new(config());
    let large = masked(OPEN_TEXT, &vec![b' '; 1 << 20]);
    flood(&mut harness, "/ws", b"", &large);
}

/// The memory for a peer's pongs is bounded even if the peer never reads them.
#[test]
fn peer_that_reads_no_pongs_is_throttled() {
    let mut harness = Harness::new(config());
    let mut client = Client::json(&harness.hub);
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let pings = masked(0x89, &[b'p'; 125]).repeat(1_000);
    let mut sent = 0;
    while sent < 512 && client.stream.write_all(&pings).is_ok() {
        sent += 1;
    }
    assert!(sent < 512, "the hub accepted 64 MiB of pings and must hold as many bytes of pongs");
    harness.is_unharmed();
}

#[test]
fn publisher_that_reads_no_acks_delays_no_session() {
    let mut harness = Harness::new(Config { ingest_ticks_max: 20_000, ..config() });
    harness.witness.ask(r#"{"action":"unsubscribe","trades":["*"]}"#);
    harness.witness.subscribe(r#""trades":["AAPL"]"#);
    let ticks: Vec<_> = (0..500).map(|id| trade("FLOOD", id)).collect();
    let flooding = masked(OPEN_BINARY, &crate::kit::data_message(&ticks));
    let hello = masked(OPEN_TEXT, br#"{"action":"publish","publisher":"flood"}"#);
    flood(&mut harness, "/publish", &hello, &flooding);
    flood(&mut harness, "/publish", b"", &masked(OPEN_TEXT, b"[nonsense]").repeat(1_000));
}

#[test]
fn short_sessions_leave_no_state() {
    let mut harness = Harness::new(config());
    for round in 0..200 {
        let request = upgrade_request(harness.hub.address, "/ws", &[]);
        let mut stream = std::net::TcpStream::connect(harness.hub.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        if round % 2 == 0 {
            let command = masked(OPEN_TEXT, br#"{"action":"subscribe","trades":["*","AAPL","X"]}"#);
            let _gone = stream.write_all(&command);
        }
        drop(stream);
    }
    harness.hub.until_metric("tickwire_sessions", 1);
    harness.hub.until_metric("tickwire_subscriptions", 1);
    harness.is_unharmed();
}

#[test]
fn connection_cut_within_a_frame_leaves_no_state() {
    let mut harness = Harness::new(config());
    for path in ["/ws", "/publish"] {
        let mut client = Client::open(&harness.hub, path, &[]);
        let frame = masked(OPEN_BINARY, &[0; 1_000]);
        client.send_raw(&frame[..500]);
        drop(client);
    }
    harness.hub.until_metric("tickwire_sessions", 1);
    harness.hub.until_metric("tickwire_publishers", 1);
    harness.is_unharmed();
}

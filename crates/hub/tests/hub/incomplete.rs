//! Messages that do not end: they take no memory for bytes that have not arrived, end at a
//! deadline, and share one budget.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use tickwire_hub::{ByteSize, Config};

use crate::kit::{
    Client, Event, OPEN_BINARY, OPEN_TEXT, Publisher, TestHub, config, masked, now, read_response,
    trade, until, upgrade_request,
};

const MESSAGE_TIMEOUT: Duration = Duration::from_millis(1_500);
const BUDGET: ByteSize = ByteSize::mib(1);

fn impatient() -> TestHub {
    TestHub::start(Config { message_timeout: MESSAGE_TIMEOUT, ..config() })
}

/// Returns a hub whose budget is as large as one message.
fn poor() -> TestHub {
    TestHub::start(Config {
        incomplete_messages_size_max: BUDGET,
        command_size_max: BUDGET,
        publish_size_max: BUDGET,
        ..config()
    })
}

/// Returns the first `sent` bytes of a command that is as large as the budget.
fn large_command(sent: usize) -> Vec<u8> {
    let spaces = vec![b' '; BUDGET.as_usize()];
    masked(OPEN_TEXT, &spaces)[..sent].to_vec()
}

/// Waits until messages hold at least this many bytes.
fn until_held(hub: &TestHub, bytes: u64) {
    until("messages are held", || hub.metric("tickwire_message_bytes") >= bytes);
}

/// Returns the resident memory of this process.
#[cfg(target_os = "linux")]
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.expect("Linux reports the resident memory")
}

/// A frame of 1 MiB used to reserve and zero 1 MiB. Other tests of this process use memory as
/// well, far less than these sessions would.
#[cfg(target_os = "linux")]
#[test]
fn header_of_a_large_frame_takes_no_memory() {
    let hub = TestHub::default();
    let header = &masked(OPEN_BINARY, &vec![0; 1 << 20])[..14];
    let before = resident_kib();
    let clients: Vec<_> = (0..400)
        .map(|_| {
            let mut client = Client::open(&hub, "/ws", &[]);
            client.send_raw(header);
            client.send_raw(b"begin");
            client
        })
        .collect();
    hub.until_metric("tickwire_sessions", 400);
    let growth = resident_kib().saturating_sub(before);
    assert!(growth < 200 * 1_024, "{growth} KiB for {} sessions", clients.len());
    assert_eq!(hub.metric("tickwire_message_bytes"), 0);
}

#[test]
fn message_must_end_in_time_although_pongs_arrive() {
    let hub = impatient();
    let mut honest = Client::json(&hub);
    let mut client = Client::json(&hub);
    client.send_frame(0x01, b"{");
    let began = now();
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let pong = masked(0x8a, b"");
    let mut more = client.stream.try_clone().unwrap();
    let closed = loop {
        let _closed = more.write_all(&[masked(0x00, b""), pong.clone()].concat());
        honest.send(r#"{"action":"list"}"#);
        honest.answer();
        if let Some((0x88, payload)) = poll_frame(&mut client) {
            break payload;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the message is never closed");
    };
    assert!(began.elapsed() >= MESSAGE_TIMEOUT);
    assert_eq!(closed, b"\x03\xf0message_timeout");
    hub.until_metric("tickwire_sessions", 1);
    assert_eq!(hub.closes("message_timeout"), 1);
    honest.nothing_pending();
}

/// The time of a message is checked although there is always more to read.
#[test]
fn message_must_end_in_time_although_input_never_runs_dry() {
    let hub = impatient();
    let pongs = masked(0x8a, b"").repeat(10_000);
    for (path, end) in [("/ws", "message_timeout"), ("/publish", "message_timeout")] {
        let mut client = Client::open(&hub, path, &[]);
        client.send_frame(0x01, b"{");
        let mut flood = client.stream.try_clone().unwrap();
        let pongs = pongs.clone();
        let flood = std::thread::spawn(move || while flood.write_all(&pongs).is_ok() {});
        assert_eq!(client.closed(), Event::Close(1008, end.to_owned()), "{path}");
        drop(client);
        flood.join().unwrap();
    }
}

/// Reads a frame if one arrives within the read timeout.
fn poll_frame(client: &mut Client) -> Option<(u8, Vec<u8>)> {
    let mut first = [0];
    match client.stream.peek(&mut first) {
        Ok(_) => client.frame(),
        Err(_) => None,
    }
}

#[test]
fn partial_frame_must_end_in_time() {
    let hub = impatient();
    let frame = masked(OPEN_TEXT, br#"{"action":"list"}"#);
    for cut in [1, 3, 10] {
        let mut client = Client::json(&hub);
        client.send_raw(&frame[..cut]);
        assert_eq!(client.closed(), Event::Close(1008, "message_timeout".to_owned()), "{cut}");
    }
}

#[test]
fn frame_may_arrive_byte_by_byte() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    client.stream.set_nodelay(true).unwrap();
    for byte in masked(OPEN_TEXT, br#"{"action":"list"}"#) {
        client.send_raw(&[byte]);
    }
    assert_eq!(client.answer()["T"], "subscription");
}

#[test]
fn message_of_a_publisher_must_end_in_time() {
    let hub = impatient();
    let mut publisher = Publisher::open(&hub);
    publisher.client.send_raw(&masked(OPEN_BINARY, &[0x90; 200])[..100]);
    let end = publisher.client.closed();
    assert_eq!(end, Event::Close(1008, "message_timeout".to_owned()));
    assert_eq!(hub.refused("message_timeout"), 1);
}

#[test]
fn exceeded_budget_closes_the_session_with_the_largest_message() {
    let hub = poor();
    let mut honest = Client::json(&hub);
    let mut first = Client::json(&hub);
    first.send_raw(&large_command(700_000));
    let mut small = Client::json(&hub);
    small.send_raw(&large_command(10_000));
    until_held(&hub, 650_000);
    let mut second = Client::json(&hub);
    second.send_raw(&large_command(500_000));
    assert_eq!(first.closed(), Event::Close(1013, "message_memory".to_owned()));
    until_held(&hub, 450_000);
    honest.ask(r#"{"action":"list"}"#);
    second.send_raw(&large_command(BUDGET.as_usize() + 14)[500_000..]);
    second.error(400);
    small.send_raw(&large_command(BUDGET.as_usize() + 14)[10_000..]);
    small.error(400);
    hub.until_metric("tickwire_message_bytes", 0);
    first.gone();
    hub.until_metric(r#"tickwire_closes_total{reason="message_memory"}"#, 1);
}

#[test]
fn messages_of_publishers_and_bodies_share_the_budget() {
    let hub = poor();
    let mut publisher = Publisher::open(&hub);
    publisher.client.send_raw(&large_command(600_000));
    until_held(&hub, 550_000);
    let mut post = TcpStream::connect(hub.address).unwrap();
    let head = format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n",
        hub.address
    );
    post.write_all(head.as_bytes()).unwrap();
    post.write_all(&[b' '; 700_000]).unwrap();
    let end = publisher.client.closed();
    assert_eq!(end, Event::Close(1013, "message_memory".to_owned()));
    until_held(&hub, 650_000);
    let mut client = Client::json(&hub);
    client.send_raw(&large_command(800_000));
    let answer = read_response(&mut post);
    assert_eq!(answer.status, 503, "{answer:?}");
    client.send_raw(&large_command(BUDGET.as_usize() + 14)[800_000..]);
    client.error(400);
    hub.until_metric("tickwire_message_bytes", 0);
    assert_eq!(hub.refused("message_memory"), 2);
}

/// Each piece of a chunked body used to keep a read buffer of 8 KiB alive.
#[cfg(target_os = "linux")]
#[test]
fn body_of_small_chunks_takes_no_more_memory_than_others() {
    let hub = TestHub::default();
    let before = resident_kib();
    let mut post = TcpStream::connect(hub.address).unwrap();
    post.set_nodelay(true).unwrap();
    let head = format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        hub.address
    );
    post.write_all(head.as_bytes()).unwrap();
    let count = 20_000;
    for _ in 0..count {
        post.write_all(b"1\r\n \r\n").unwrap();
    }
    let growth = resident_kib().saturating_sub(before);
    assert!(growth < 100 * 1_024, "{growth} KiB for {count} bytes");
    post.write_all(b"2\r\n[]\r\n0\r\n\r\n").unwrap();
    let answer = read_response(&mut post);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn publisher_with_large_messages_is_served_in_pieces() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "large");
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["*"]"#);
    let ticks: Vec<_> = (0..4_000).map(|id| trade("AAPL", id)).collect();
    let message = masked(OPEN_BINARY, &crate::kit::data_message(&ticks));
    publisher.client.stream.set_nodelay(true).unwrap();
    for piece in message.chunks(10_007) {
        publisher.client.send_raw(piece);
    }
    assert_eq!(client.take(ticks.len()).len(), ticks.len());
}

/// Commands that arrive with the handshake are read before others.
#[test]
fn command_may_be_split_between_handshake_and_session() {
    let hub = TestHub::default();
    let command = masked(OPEN_TEXT, br#"{"action":"list"}"#);
    let request = upgrade_request(hub.address, "/ws", &[]);
    let mut client = Client::connect(&hub, &[request.as_bytes(), &command[..9]].concat());
    client.send_raw(&command[9..]);
    let mut controls = std::iter::repeat_with(|| client.control());
    assert!(controls.by_ref().take(4).any(|element| element["T"] == "subscription"));
}

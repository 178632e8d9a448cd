//! HTTP connections: how long they stay open, and who makes room for whom.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tickwire_hub::Config;

use crate::kit::{Client, TestHub, config, until};

const REQUEST: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// A connection that is kept after its request.
fn kept(hub: &TestHub) -> Client {
    let mut client = Client::connect(hub, REQUEST.as_bytes());
    assert!(client.head.starts_with("http/1.1 200"), "{}", client.head);
    client.skip(2); // "ok"
    client
}

fn ask_again(client: &mut Client) {
    client.send_raw(REQUEST.as_bytes());
    client.read_head();
    assert!(client.head.starts_with("http/1.1 200"), "{}", client.head);
    client.skip(2);
}

/// Returns whether the hub has closed a connection on which nothing is unread.
fn has_ended(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn answers_announce_how_long_the_connection_stays_open() {
    let hub = TestHub::start(Config { handshake_timeout: Duration::from_secs(3), ..config() });
    assert!(kept(&hub).head.contains("keep-alive: timeout=18\r\n"));
    let last = hub.get("/healthz");
    assert!(!last.head.contains("keep-alive"), "{last:?}");
}

#[test]
fn only_connections_without_requests_are_closed() {
    let hub = TestHub::start(Config { handshake_timeout: Duration::from_secs(1), ..config() });
    let mut idle = kept(&hub);
    let mut busy = kept(&hub);
    while !has_ended(&mut idle.stream) {
        ask_again(&mut busy);
    }
    ask_again(&mut busy);
}

#[test]
fn draining_hub_announces_the_end_of_its_connections() {
    let mut hub = TestHub::start(Config { drain_duration: Duration::from_secs(60), ..config() });
    let session = Client::json(&hub);
    let mut client = kept(&hub);
    let ended = hub.begin_shutdown();
    // The answers before the start of the drain announce nothing.
    while !client.head.contains("connection: close\r\n") {
        ask_again(&mut client);
    }
    drop(session);
    hub.block_on(ended).unwrap();
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let hub = TestHub::start(Config { http_connections_max: 3, ..config() });
    let mut idle: Vec<_> = (0..3).map(|_| kept(&hub)).collect();
    ask_again(&mut idle[0]);
    assert_eq!(hub.get("/readyz").status, 200);
    until("the connection that was idle for longest has ended", || has_ended(&mut idle[1].stream));
    idle.remove(1);
    for client in &mut idle {
        ask_again(client);
    }
}

#[test]
fn connections_without_a_request_make_room_for_new_ones() {
    let hub = TestHub::start(Config { http_connections_max: 8, ..config() });
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(hub.address).unwrap()).collect();
    let beginning = |mut stream: &TcpStream| stream.write_all(b"GET / HT");
    let _closed = silent.iter().filter(|stream| beginning(stream).is_err()).count();
    assert_eq!(hub.get("/readyz").status, 200);
}

#[test]
fn answers_announce_the_end_while_few_places_are_free() {
    let hub = TestHub::start(Config { http_connections_max: 4, ..config() });
    let _idle: Vec<_> = (0..3).map(|_| kept(&hub)).collect();
    assert!(kept(&hub).head.contains("connection: close\r\n"));
}

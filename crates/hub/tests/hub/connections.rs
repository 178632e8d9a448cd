//! HTTP connections: how long they stay open, and who makes room for whom.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use tickwire_hub::Config;

use crate::kit::{Client, TestHub, config};

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
    let mut hub =
        TestHub::start(Config { drain_duration: Duration::from_secs(60), ..config() });
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

//! How a hub process ends on signals.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};

use tickwire_testkit::{PATIENCE, until};

/// A running hub, killed on drop so that a failing test leaves no process running.
struct Hub {
    process: Child,
    address: String,
}

impl Hub {
    /// Starts a hub on a free port and waits until it listens.
    fn start(drain: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
        command.args(["hub", "--listen", "127.0.0.1:0", "--drain-duration", drain]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TICKWIRE_")) {
            command.env_remove(name);
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { process, address }
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Sends a request and reads the answer's first line.
    fn ask(&self, request: &str) -> (BufReader<TcpStream>, String) {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = BufReader::new(stream);
        let request = format!("{request} HTTP/1.1\r\nHost: {}\r\n", self.address);
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.get_mut().write_all((request + upgrade).as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        (stream, line.trim().to_owned())
    }

    fn session(&self) -> BufReader<TcpStream> {
        let (stream, answer) = self.ask("GET /ws");
        assert_eq!(answer, "HTTP/1.1 101 Switching Protocols");
        stream
    }

    fn ended(mut self) -> ExitStatus {
        until("the hub exits", || self.process.try_wait().unwrap().is_some());
        self.process.wait().unwrap()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended_already = self.process.wait();
    }
}

#[test]
fn sigterm_closes_the_sessions_and_the_hub_exits_with_success() {
    let hub = Hub::start("1s");
    let mut session = hub.session();
    hub.signal("TERM");
    let mut received = Vec::new();
    session.read_to_end(&mut received).unwrap();
    let close = b"\x88\x18\x03\xe9shutdown retry_ms=2000";
    assert!(received.ends_with(close), "{:?}", String::from_utf8_lossy(&received));
    assert_eq!(hub.ended().code(), Some(0));
}

#[test]
fn hub_without_sessions_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let hub = Hub::start("60s");
        hub.signal(signal);
        assert_eq!(hub.ended().code(), Some(0), "{signal}");
    }
}

#[test]
fn second_signal_ends_the_drain() {
    let hub = Hub::start("60s");
    let _sessions: Vec<_> = (0..20).map(|_| hub.session()).collect();
    hub.signal("TERM");
    until("the hub is not ready", || {
        hub.ask("GET /readyz").1 == "HTTP/1.1 503 Service Unavailable"
    });
    hub.signal("TERM");
    assert_eq!(hub.ended().code(), Some(1));
}

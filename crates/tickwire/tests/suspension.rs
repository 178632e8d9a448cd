//! A hub or a client that was stopped for longer than the idle timeout, as in a paused container.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;
#[path = "kit/metrics.rs"]
mod metrics;

use std::io::{BufRead, BufReader, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

use kit::{Running, tickwire};
use metrics::metric;
use tickwire_testkit::frames::{OPEN_TEXT, masked};
use tickwire_testkit::until;

/// Longer than the idle timeout of the hub.
const STOPPED: Duration = Duration::from_millis(4_000);

fn signal(process: &Running, name: &str) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Starts a command, and waits for a line on standard error that starts with `line`.
fn start(mut command: Command, line: &str) -> (Running, Lines<BufReader<ChildStderr>>) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let mut messages = BufReader::new(running.0.stderr.take().unwrap()).lines();
    assert!(messages.any(|found| found.unwrap().starts_with(line)), "no {line:?}");
    (running, messages)
}

/// Starts a hub with a config file, and returns it with its address.
fn start_hub(config: &str) -> (Running, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickwire.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = tickwire(&["hub", "--listen", "127.0.0.1:0", "--config"]);
    command.arg(&file).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut hub = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(hub.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (hub, url)
}

#[test]
fn message_may_end_after_a_suspension_of_the_hub() {
    // Of this time, half a second is left after the suspension.
    let (hub, url) = start_hub("message_timeout = \"5s\"\n");
    let address = url.strip_prefix("http://").unwrap();
    let command = masked(OPEN_TEXT, br#"{"action":"list","id":7}"#);
    let (early, late) = command.split_at(20);
    let mut streams = ["/ws", "/publish"].map(|path| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        read_until(&mut stream, "\r\n\r\n");
        stream.write_all(early).unwrap();
        stream
    });
    std::thread::sleep(Duration::from_millis(500));
    signal(&hub, "-STOP");
    std::thread::sleep(STOPPED);
    signal(&hub, "-CONT");
    std::thread::sleep(Duration::from_millis(1_500));
    for (stream, answer) in streams.iter_mut().zip([r#""id":7"#, r#""code":400"#]) {
        stream.write_all(late).unwrap();
        read_until(stream, answer);
    }
}

/// Reads until a text has arrived.
fn read_until(stream: &mut TcpStream, text: &str) {
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains(text) {
        let mut byte = [0];
        let count = stream.read(&mut byte).unwrap();
        assert!(count > 0, "{:?}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&byte);
    }
}

#[test]
fn suspended_hub_closes_no_session_and_no_publisher() {
    let (hub, url) = start_hub("ping_interval = \"500ms\"\nidle_timeout = \"2s\"\n");
    let mut command = tickwire(&["watch", "*", "--hub", &url, "--duration", "9s"]);
    let (mut watch, watched) = start(
        {
            command.stdin(Stdio::null());
            command
        },
        "subscribed",
    );
    let feed = ["feed", "sim", "--symbols", "2", "--rate", "10", "--duration", "8s"];
    let mut command = tickwire(&feed);
    command.args(["--hub", &url]);
    let (mut feed, published) = start(command, "simulating");
    let address = url.strip_prefix("http://").unwrap();
    for series in ["tickwire_publishers", "tickwire_sessions"] {
        until(series, || metric(address, series) == 1);
    }
    signal(&hub, "-STOP");
    std::thread::sleep(STOPPED);
    signal(&hub, "-CONT");
    assert_eq!(feed.0.wait().unwrap().code(), Some(0));
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
    for messages in [watched, published] {
        let messages: Vec<_> = messages.map(Result::unwrap).collect();
        for sign in ["connected", "trying again", "reconnects"] {
            assert!(!messages.iter().any(|line| line.contains(sign)), "{messages:?}");
        }
    }
}

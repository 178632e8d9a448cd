//! A hub or a client that was stopped for longer than the idle timeout, as in a paused container.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;
#[path = "kit/metrics.rs"]
mod metrics;

use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

use kit::{Running, tickwire};
use metrics::metric;
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

#[test]
fn suspended_hub_closes_no_session_and_no_publisher() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tickwire.toml");
    std::fs::write(&config, "ping_interval = \"500ms\"\nidle_timeout = \"2s\"\n").unwrap();
    let mut command = tickwire(&["hub", "--listen", "127.0.0.1:0", "--config"]);
    command.arg(&config).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut hub = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(hub.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();

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

//! Commands whose standard output or standard error is closed, full, or no longer read.
#![cfg(target_os = "linux")] // for /dev/full
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use kit::{Running, tickwire};
use tickwire_testkit::until;

/// The kinds of broken output.
#[derive(Debug, Clone, Copy)]
enum Broken {
    /// A disk without room.
    Full,
    /// A pipe whose reader has ended.
    Closed,
    /// A pipe whose reader has stopped reading.
    Stuck,
}

impl Broken {
    /// Returns the broken output, and the end of the pipe to keep.
    fn output(self) -> (Stdio, Option<std::io::PipeReader>) {
        let (reader, writer) = std::io::pipe().unwrap();
        match self {
            Self::Full => (File::options().write(true).open("/dev/full").unwrap().into(), None),
            Self::Closed => (writer.into(), None),
            Self::Stuck => (writer.into(), Some(reader)),
        }
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Returns whether the hub answers a request.
fn answers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// Starts a command that serves on `address`, and waits until it does.
fn serving(mut command: Command, address: &str) -> Running {
    let mut running = Running(command.spawn().unwrap());
    until("it serves", || {
        assert_eq!(running.0.try_wait().unwrap(), None, "it ended");
        answers(address)
    });
    running
}

#[test]
fn hub_and_demo_serve_without_standard_output_and_error() {
    for broken in [Broken::Full, Broken::Closed, Broken::Stuck] {
        for name in ["hub", "demo"] {
            let address = free_address();
            let (out, _keep_out) = broken.output();
            let (err, _keep_err) = broken.output();
            let mut command = tickwire(&[name, "--listen", &address]);
            command.env("TICKWIRE_LOG", "trace").stdout(out).stderr(err);
            let mut running = serving(command, &address);
            // At this level every request logs; together they exceed what a pipe holds.
            for _ in 0..400 {
                assert!(answers(&address), "{broken:?} {name}");
            }
            assert_eq!(running.0.try_wait().unwrap(), None, "{broken:?} {name}");
            let id = running.0.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
            assert_eq!(running.0.wait().unwrap().code(), Some(0), "{broken:?} {name}");
        }
    }
}

#[test]
fn feed_watch_and_load_work_without_standard_error() {
    let address = free_address();
    let mut command = tickwire(&["hub", "--listen", &address]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _hub = serving(command, &address);
    let hub = format!("ws://{address}");
    for broken in [Broken::Full, Broken::Closed, Broken::Stuck] {
        let run = |arguments: &[&str]| {
            let (err, _keep) = broken.output();
            let mut command = tickwire(arguments);
            command.args(["--hub", &hub]).stdout(Stdio::null()).stderr(err).status().unwrap()
        };
        let watching = {
            let (err, _keep) = broken.output();
            let mut command = tickwire(&["watch", "*", "--count", "5", "--snapshot"]);
            command.args(["--hub", &hub]).stdout(Stdio::null()).stderr(err).spawn().unwrap()
        };
        let sim = ["feed", "sim", "--symbols", "5", "--rate", "100", "--ticks", "50"];
        assert_eq!(run(&sim).code(), Some(0), "{broken:?}");
        assert_eq!(Running(watching).0.wait().unwrap().code(), Some(0), "{broken:?}");
        // Nothing is published meanwhile, which is a failure with a message.
        let load = ["load", "--connections", "2", "--per-connection", "2", "--ramp", "0s"];
        let load = [&load[..], &["--warmup", "0s", "--duration", "100ms"]].concat();
        assert_eq!(run(&load).code(), Some(1), "{broken:?}");
        let unreachable = format!("ws://{}", free_address());
        let (err, _keep) = broken.output();
        let failed = tickwire(&["healthcheck", "--hub", &unreachable]).stderr(err).status();
        assert_eq!(failed.unwrap().code(), Some(1), "{broken:?}");
    }
}

#[test]
fn printed_results_may_be_cut_off_by_their_reader_but_not_by_a_full_disk() {
    for arguments in [
        &["config"][..],
        &["man"],
        &["completions", "bash"],
        &["feed", "sim", "--ticks", "5", "--to", "-"],
    ] {
        for (broken, code) in [(Broken::Closed, 0), (Broken::Full, 1)] {
            let (out, _keep) = broken.output();
            let status = tickwire(arguments).stdout(out).stderr(Stdio::null()).status().unwrap();
            assert_eq!(status.code(), Some(code), "{arguments:?} {broken:?}");
        }
    }
}

#[test]
fn secret_that_could_not_be_printed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    for (name, broken) in [("one", Broken::Full), ("two", Broken::Closed)] {
        let (out, _keep) = broken.output();
        let mut command = tickwire(&["keys", "add", name, "--file", keys.to_str().unwrap()]);
        let output = command.stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("tickwire keys revoke"), "{message}");
    }
}

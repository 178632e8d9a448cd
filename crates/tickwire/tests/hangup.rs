//! SIGHUP: a hub reloads its files, other commands end cleanly.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};

use kit::{Running, tickwire};

/// A hub, and its log.
struct Hub {
    process: Running,
    url: String,
    log: std::io::Lines<BufReader<ChildStderr>>,
}

impl Hub {
    fn start(arguments: &[&str]) -> Self {
        let mut command = tickwire(&["hub", "--listen", "127.0.0.1:0", "--test-feed", "off"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Running(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let log = BufReader::new(process.0.stderr.take().unwrap()).lines();
        Self { process, url, log }
    }

    /// Reads the log up to a line with a text.
    fn logged(&mut self, text: &str) {
        assert!(self.log.any(|line| line.unwrap().contains(text)), "the hub ended: no {text:?}");
    }
}

fn hang_up(process: &Running) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

fn add_key(file: &Path, name: &str) {
    let arguments = ["keys", "add", name, "--file", file.to_str().unwrap()];
    assert!(tickwire(&arguments).output().unwrap().status.success());
}

#[test]
fn hub_reloads_keys_and_log_level_and_keeps_running() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tickwire.toml");
    let keys = folder.path().join("keys.toml");
    add_key(&keys, "one");
    let write = |log: &str| {
        std::fs::write(&config, format!("keys = {keys:?}\nlog = {log:?}\n")).unwrap();
    };
    write("info");
    let mut hub = Hub::start(&["--config", config.to_str().unwrap()]);
    write("loud");
    hang_up(&hub.process);
    hub.logged("cannot use the config file; the log level stays the same");
    add_key(&keys, "two");
    hang_up(&hub.process);
    hub.logged("the keys file has changed");
    write("error");
    hang_up(&hub.process);
    hub.logged("SIGHUP: reloading keys, certificate and log level");
    std::fs::write(&keys, "no TOML").unwrap();
    hang_up(&hub.process);
    let next = hub.log.next().unwrap().unwrap();
    assert!(next.contains("cannot use the keys file"), "only errors are logged: {next}");
}

#[test]
fn hub_that_reloads_closes_no_session() {
    let mut hub = Hub::start(&[]);
    let mut watch = tickwire(&["watch", "AAPL", "--hub", &hub.url]);
    let mut watch = Running(watch.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    let mut messages = BufReader::new(watch.0.stderr.take().unwrap()).lines();
    assert!(messages.any(|line| line.unwrap().starts_with("subscribed")));
    for _ in 0..3 {
        hang_up(&hub.process);
        hub.logged("SIGHUP: reloading");
    }
    let feed = ["feed", "sim", "--ticks", "20", "--symbols", "1", "--hub", &hub.url];
    assert!(tickwire(&feed).output().unwrap().status.success());
    hang_up(&watch);
    assert_eq!(watch.0.wait().unwrap().code(), Some(0), "a watch ends cleanly");
    let messages: Vec<_> = messages.map(Result::unwrap).collect();
    assert!(messages.iter().all(|line| !line.contains("connection")), "{messages:?}");
}

#[test]
fn feed_ends_cleanly_unless_hangups_are_ignored() {
    let hub = Hub::start(&[]);
    let sim = ["feed", "sim", "--symbols", "2", "--rate", "20", "--duration", "60s"];
    let run = |mut command: Command| {
        let child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut running = Running(child);
        let mut messages = BufReader::new(running.0.stderr.take().unwrap()).lines();
        messages.next().unwrap().unwrap(); // signal handlers are installed before the title
        hang_up(&running);
        (running, messages)
    };
    let mut command = tickwire(&sim);
    command.args(["--hub", &hub.url]);
    let (mut feed, messages) = run(command);
    assert_eq!(feed.0.wait().unwrap().code(), Some(0));
    assert!(messages.map(Result::unwrap).any(|line| line.starts_with("published")));

    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tickwire")]);
    command.args(["feed", "sim", "--symbols", "1", "--rate", "200", "--ticks", "200"]);
    command.args(["--hub", &hub.url]);
    let (mut feed, messages) = run(command);
    assert_eq!(feed.0.wait().unwrap().code(), Some(0));
    let messages: Vec<_> = messages.map(Result::unwrap).collect();
    assert!(messages.iter().any(|line| line.starts_with("published 200 ticks")), "{messages:?}");
}

//! A chain of processes: feed, hub, relay, hub, subscriber.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use tickwire_client::{Channel, Client, Event, names};
use tickwire_protocol::{Seq, Tick};
use tickwire_testkit::{PATIENCE, holds_in_time};

use crate::kit::{Running, tickwire};

/// Secret of the key that the relays present.
pub(crate) const SECRET: &str = "sixteen-and-more-characters";

/// Two hubs with the folder of their files.
pub(crate) struct Chain {
    folder: TempDir,
    pub(crate) upstream: Hub,
    pub(crate) downstream: Hub,
}

/// A hub of a chain.
pub(crate) struct Hub {
    arguments: Vec<String>,
    log: PathBuf,
    /// Host and port; the port is free at the first start and kept from then on.
    pub(crate) address: String,
    process: Option<Running>,
}

impl Hub {
    fn start(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let mut hub = Self {
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            log: folder.join(name),
            address: "127.0.0.1:0".to_owned(),
            process: None,
        };
        hub.restart();
        hub
    }

    /// Starts the hub process, at the same address as before.
    pub(crate) fn restart(&mut self) {
        let mut command = tickwire(&["hub", "--listen", &self.address]);
        command.args(&self.arguments).stdout(Stdio::piped()).stderr(log(&self.log));
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim().split_once("://").unwrap_or_else(|| panic!("{line:?}"));
        self.address = address.to_owned();
        self.process = Some(Running(process));
    }

    /// Kills the hub process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Returns the state of the hub's only feed from `/api/status`.
    fn feed(&self) -> Value {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "GET /api/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).unwrap();
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        let status: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{response}"));
        status["feeds"][0].clone()
    }

    /// Polls the state of the feed until `find` returns a value, and returns that value.
    fn await_feed<F>(&self, find: impl Fn(&Value) -> Option<F>) -> F {
        let mut last = Value::Null;
        let mut found = None;
        let in_time = holds_in_time(|| {
            last = self.feed();
            found = find(&last);
            found.is_some()
        });
        assert!(in_time, "{last:#}; {}", std::fs::read_to_string(&self.log).unwrap());
        found.unwrap()
    }

    /// Waits until a source of the feed matches, and returns that source.
    pub(crate) fn await_source(&self, matches: impl Fn(&Value) -> bool) -> Value {
        self.await_feed(|feed| feed["sources"].as_array()?.iter().find(|one| matches(one)).cloned())
    }

    /// Waits until the state of the feed matches.
    pub(crate) fn await_state(&self, matches: impl Fn(&str) -> bool) {
        self.await_feed(|feed| feed["state"].as_str().filter(|state| matches(state)).map(drop));
    }
}

fn log(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

/// Matches a source that is live and has connected `connects` times.
pub(crate) fn live(connects: u64) -> impl Fn(&Value) -> bool {
    move |source| source["state"] == "live" && source["connects"] == connects
}

impl Chain {
    pub(crate) fn new(upstream: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").to_str().unwrap().to_owned();
        let upstream = Hub::start(folder.path(), "upstream.log", upstream);
        let downstream = Hub::start(folder.path(), "downstream.log", &["--data-dir", &data]);
        Self { folder, upstream, downstream }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a relay of trades and quotes between the hubs.
    pub(crate) fn relay(&self, arguments: &[&str]) -> Running {
        let url = format!("ws://{}/v2/sip", self.upstream.address);
        self.relay_from(&url, arguments)
    }

    pub(crate) fn relay_from(&self, url: &str, arguments: &[&str]) -> Running {
        let mut command = tickwire(&["feed", "alpaca", "--url", url, "--market-hours", "always"]);
        let hub = format!("ws://{}", self.downstream.address);
        command.args(["--channels", "trades,quotes", "--data-timeout", "off", "--hub", &hub]);
        command.env("TICKWIRE_ALPACA_KEY", "KEY").env("TICKWIRE_ALPACA_SECRET", SECRET);
        command.args(arguments).stderr(log(&self.path("relay.log")));
        Running(command.spawn().unwrap())
    }

    /// Publishes a file to the upstream hub at full speed.
    pub(crate) fn play(&self, file: &Path) {
        let hub = format!("ws://{}", self.upstream.address);
        let mut command = tickwire(&["feed", "replay"]);
        command.arg(file).args(["--speed", "max", "--hub", &hub]);
        succeed(command);
    }

    /// Subscribes to everything at the downstream hub.
    pub(crate) fn subscribe(&self) -> Subscriber {
        Subscriber::new(&self.downstream.address, "*")
    }

    /// Splits a recorded day in two halves. Returns the files and their ticks.
    pub(crate) fn day(&self) -> ([PathBuf; 2], [Vec<Tick>; 2]) {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat/data");
        let mut command = tickwire(&["feed", "replay", "--to"]);
        command.arg(self.path("day.ndjson"));
        succeed_with(command, ["trades.csv.gz", "quotes.csv.gz"].map(|name| data.join(name)));
        let text = std::fs::read_to_string(self.path("day.ndjson")).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() > 5_000, "{}", lines.len());
        let (first, second) = lines.split_at(lines.len() / 2);
        let files = ["first.ndjson", "second.ndjson"].map(|name| self.path(name));
        for (file, lines) in files.iter().zip([first, second]) {
            std::fs::write(file, lines.join("\n")).unwrap();
        }
        let read = |lines: &[&str]| {
            lines.iter().map(|line| Tick::from_json(line.as_bytes()).unwrap()).collect()
        };
        (files, [read(first), read(second)])
    }

    /// Returns the log of all relays.
    pub(crate) fn relay_log(&self) -> String {
        std::fs::read_to_string(self.path("relay.log")).unwrap()
    }
}

fn succeed_with(mut command: Command, files: [PathBuf; 2]) {
    command.args(files);
    succeed(command);
}

pub(crate) fn succeed(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A subscriber that reconnects and resumes automatically.
pub(crate) struct Subscriber(mpsc::Receiver<Received>);

enum Received {
    Subscribed,
    Tick(Tick),
}

impl Subscriber {
    /// Subscribes to trades, quotes and cancels, and waits for the confirmation.
    pub(crate) fn new(hub: &str, name: &'static str) -> Self {
        let (sender, receiver) = mpsc::channel();
        let hub = format!("ws://{hub}");
        let listen = async move {
            let mut client = Client::builder(&hub).connect().await.unwrap();
            let channels = [Channel::Trades, Channel::Quotes, Channel::CancelErrors];
            client.subscribe(names(&channels, [name]).unwrap()).await.unwrap();
            loop {
                let received = match client.next().await.expect("a client reconnects forever") {
                    Event::Tick { tick, .. } => Received::Tick(Tick { seq: Seq(0), ..tick }),
                    Event::Subscribed { id: Some(_), .. } => Received::Subscribed,
                    event
                    @ (Event::Gap { .. } | Event::OutOfOrder { .. } | Event::Error { .. }) => {
                        panic!("{event:?}")
                    }
                    _ => continue,
                };
                // The test has ended.
                if sender.send(received).is_err() {
                    return;
                }
            }
        };
        thread::spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(listen);
        });
        assert!(matches!(receiver.recv_timeout(PATIENCE), Ok(Received::Subscribed)));
        Self(receiver)
    }

    /// Asserts that the next ticks are exactly these.
    pub(crate) fn assert_next(&self, ticks: &[Tick]) {
        for (number, expected) in ticks.iter().enumerate() {
            let tick = loop {
                match self.0.recv_timeout(PATIENCE) {
                    Ok(Received::Tick(tick)) => break tick,
                    Ok(Received::Subscribed) => {}
                    Err(error) => panic!("{error}: only {number} of {} ticks", ticks.len()),
                }
            };
            assert_eq!(&tick, expected, "tick {number}");
        }
    }
}

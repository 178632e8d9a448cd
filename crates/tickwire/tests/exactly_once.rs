//! Feed and hub processes are killed at random moments: a subscriber still gets every tick once and
//! in order, exactly as the feed writes them to a file.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod kit;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kit::{Running, tickwire};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tickwire_client::{Channel, Client, Event, names};
use tickwire_protocol::{Seq, Tick};
use tickwire_testkit::{PATIENCE, holds_in_time, seeds};

/// Simulated market with fixed event times.
const MARKET: [&str; 8] =
    ["--symbols", "40", "--rate", "5000", "--ticks", "50000", "--start", "2026-01-02T14:30:00Z"];
const TICKS: usize = 50_000;
/// Number of processes that a test kills.
const KILLS: usize = 10;

/// A hub with a log on disk, and a feed that publishes to it.
struct Processes {
    folder: TempDir,
    address: String,
    hub: Option<Running>,
    feed: Option<Running>,
    /// Arguments of `tickwire feed`: the source to publish.
    source: Vec<String>,
}

impl Processes {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut processes =
            Self { folder, address: "127.0.0.1:0".into(), hub: None, feed: None, source: vec![] };
        processes.start_hub();
        processes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Opens the file to which a process appends its messages, to be shown when a test fails.
    fn log(&self, name: &str) -> File {
        File::options().create(true).append(true).open(self.path(name)).unwrap()
    }

    fn start_hub(&mut self) {
        let data = self.path("data");
        let mut command = tickwire(&["hub", "--listen", &self.address, "--data-dir"]);
        command.arg(data).stdout(Stdio::piped()).stderr(self.log("hub.log"));
        let mut hub = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(hub.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        self.address = address.unwrap_or_else(|| panic!("{line:?}; {}", self.said())).to_owned();
        self.hub = Some(Running(hub));
    }

    fn start_feed(&mut self) {
        let hub = format!("ws://{}", self.address);
        let mut command = tickwire(&["feed"]);
        command.args(&self.source).args(["--hub", &hub, "--publisher", "the-one"]);
        let feed = command.stderr(self.log("feed.log")).spawn().unwrap();
        self.feed = Some(Running(feed));
    }

    fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.path(name)).unwrap_or_default();
        format!("hub:\n{}\nfeed:\n{}", read("hub.log"), read("feed.log"))
    }

    /// Returns whether the feed has published everything.
    fn has_ended(&mut self) -> bool {
        let status = self.feed.as_mut().and_then(|feed| feed.0.try_wait().unwrap());
        assert!(status.is_none_or(|status| status.success()), "{}", self.said());
        status.is_some()
    }

    /// Kills the hub or the feed at random moments, [`KILLS`] times or until the feed has ended.
    /// Returns how often each was killed. The first two kills are one of each.
    fn kill_at_random(&mut self, random: &mut StdRng) -> [usize; 2] {
        let mut killed = [0; 2];
        for kill in 0..KILLS {
            thread::sleep(Duration::from_millis(random.random_range(100..1_000)));
            if self.has_ended() {
                break;
            }
            let is_hub = if kill < 2 { kill == 0 } else { random.random_bool(0.5) };
            if is_hub {
                self.hub = None;
                thread::sleep(Duration::from_millis(random.random_range(0..300)));
                self.start_hub();
                killed[0] += 1;
            } else {
                self.feed = None;
                self.start_feed();
                killed[1] += 1;
            }
        }
        killed
    }

    fn wait_for_end(&mut self) {
        let has_ended = holds_in_time(|| self.has_ended());
        assert!(has_ended, "the feed did not exit; {}", self.said());
    }
}

/// Results of the subscriber thread.
enum Received {
    Subscribed,
    Ticks(Vec<Tick>),
}

/// Subscribes to everything in a separate thread, which sends its result once all expected ticks
/// have arrived.
fn subscribe(hub: &str) -> mpsc::Receiver<Received> {
    let (sender, received) = mpsc::channel();
    let hub = format!("ws://{hub}");
    let listen = async move {
        let mut client = Client::builder(&hub).connect().await.unwrap();
        client.subscribe(names(&[Channel::Trades, Channel::Quotes], ["*"]).unwrap()).await.unwrap();
        let mut ticks = Vec::with_capacity(TICKS);
        while ticks.len() < TICKS {
            match client.next().await.expect("a client reconnects forever") {
                Event::Tick { tick, snapshot } => {
                    assert!(!snapshot, "a session that resumes gets no snapshot: {tick:?}");
                    ticks.push(Tick { seq: Seq(0), ..tick });
                }
                Event::Subscribed { id: Some(_), .. } => sender.send(Received::Subscribed).unwrap(),
                Event::Connected { new_epoch, .. } => {
                    assert!(!new_epoch, "the hub started a new epoch")
                }
                event @ (Event::Gap { .. } | Event::OutOfOrder { .. } | Event::Error { .. }) => {
                    panic!("{event:?} after {} ticks", ticks.len())
                }
                _ => {}
            }
        }
        sender.send(Received::Ticks(ticks)).unwrap();
    };
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(listen);
    });
    received
}

/// Publishes a source while processes are killed, and compares the ticks that arrive.
fn assert_exactly_once(source: &[&str], truth: &[Tick], mut random: StdRng) {
    let mut processes = Processes::new();
    processes.source = source.iter().map(|&argument| argument.to_owned()).collect();
    let received = subscribe(&processes.address);
    assert!(matches!(received.recv_timeout(PATIENCE), Ok(Received::Subscribed)));
    processes.start_feed();
    let [hubs, feeds] = processes.kill_at_random(&mut random);
    processes.wait_for_end();
    println!("killed {hubs} hubs and {feeds} feeds");
    assert!(hubs > 0 && feeds > 0, "hub and feed must both be killed");
    let Ok(Received::Ticks(ticks)) = received.recv_timeout(PATIENCE) else {
        panic!("the subscriber did not get all ticks; {}", processes.said());
    };
    for (number, (got, expected)) in ticks.iter().zip(truth).enumerate() {
        assert_eq!(got, expected, "tick {number}");
    }
    assert_eq!(ticks.len(), truth.len());
}

/// Writes the ticks of the market to a file and reads them.
fn truth(file: &Path) -> Vec<Tick> {
    let mut command = tickwire(&["feed", "sim"]);
    let written = command.args(MARKET).arg("--to").arg(file).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let text = std::fs::read_to_string(file).unwrap();
    let ticks: Vec<_> =
        text.lines().map(|line| Tick::from_json(line.as_bytes()).unwrap()).collect();
    assert_eq!(ticks.len(), TICKS);
    ticks
}

#[test]
fn simulated_market_arrives_exactly_once_while_hub_and_feed_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let truth = truth(&folder.path().join("truth.ndjson"));
    assert_exactly_once(&[&["sim"][..], &MARKET].concat(), &truth, seeds!().rng());
}

#[test]
fn replay_arrives_exactly_once_while_hub_and_feed_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("truth.ndjson");
    let truth = truth(&file);
    assert_exactly_once(&["replay", file.to_str().unwrap()], &truth, seeds!().rng());
}

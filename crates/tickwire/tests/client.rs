//! The client library against a hub process: connections are cut, the hub is killed, and
//! applications restart.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::{Running, tickwire};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tickwire_client::{Backoff, Channel, Client, Event, Position, ResumeOutcome, Topic, names};
use tickwire_testkit::seeds;
use tokio::net::{TcpListener, TcpStream};

/// Starts a hub with a log on disk and returns its port. Port 0 picks a free one.
fn hub(data: &str, port: u16) -> (Running, u16) {
    let listen = format!("127.0.0.1:{port}");
    let mut command = tickwire(&["hub", "--listen", &listen, "--data-dir", data]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
    (Running(child), port)
}

fn market(port: u16) -> Running {
    let hub = format!("ws://127.0.0.1:{port}");
    let feed = ["feed", "sim", "--symbols", "20", "--rate", "3000", "--duration", "1h"];
    let mut command = tickwire(&feed);
    command.args(["--hub", &hub]).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// Checks that a client receives every tick once, in order and without a gap.
#[derive(Clone, Default)]
struct Received {
    last: BTreeMap<Topic, u64>,
    ticks: u64,
    cuts: u64,
    resumed: u64,
}

impl Received {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Tick { tick, snapshot: false } => {
                let topic = Topic::of(tick);
                let seq = tick.seq.0;
                let before = self.last.insert(topic, seq);
                assert!(before.is_none_or(|last| seq == last + 1), "{topic} {seq}: {before:?}");
                self.ticks += 1;
            }
            Event::Tick { tick, snapshot: true } => {
                let before = self.last.insert(Topic::of(tick), tick.seq.0);
                assert_eq!(before, None, "a snapshot for a topic that should have resumed");
            }
            Event::Disconnected { .. } => self.cuts += 1,
            Event::Subscribed { resumed, .. } => {
                assert!(
                    resumed.is_none_or(|resumed| resumed == ResumeOutcome::Complete),
                    "{resumed:?}"
                );
                self.resumed += u64::from(resumed.is_some());
            }
            Event::Connected { new_epoch, .. } => {
                assert!(!new_epoch, "the hub started a new epoch")
            }
            Event::Position(_) | Event::Feed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Forwards bytes to the hub. While `cutting` is set, cuts each connection after a random time.
struct Proxy {
    port: u16,
    cutting: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(hub: u16, random: StdRng) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cutting = Arc::new(AtomicBool::new(true));
        tokio::spawn(Self::serve(listener, hub, Arc::clone(&cutting), random));
        Self { port, cutting }
    }

    async fn serve(listener: TcpListener, hub: u16, cutting: Arc<AtomicBool>, mut random: StdRng) {
        while let Ok((mut client, _)) = listener.accept().await {
            let lives = Duration::from_millis(random.random_range(1..400));
            let is_cut = cutting.load(Ordering::Relaxed);
            tokio::spawn(async move {
                let Ok(mut hub) = TcpStream::connect(("127.0.0.1", hub)).await else { return };
                let passing = tokio::io::copy_bidirectional(&mut client, &mut hub);
                if is_cut {
                    let _cut_or_ended = tokio::time::timeout(lives, passing).await;
                } else {
                    let _ended = passing.await;
                }
            });
        }
    }
}

async fn connected(port: u16) -> Client {
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(100));
    loop {
        let url = format!("ws://127.0.0.1:{port}");
        // `connect` does not retry its first attempt, and the proxy may cut it.
        if let Ok(client) = Client::builder(&url).backoff(Some(backoff.clone())).connect().await {
            return client;
        }
    }
}

const SYMBOLS: [&str; 3] = ["AAPL", "MSFT", "NVDA"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tick_arrives_once_across_connection_cuts_and_hub_kills() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let (mut hub_now, port) = hub(data, 0);
    let _market = market(port);
    let proxy = Proxy::start(port, seeds!().rng()).await;
    let mut client = connected(proxy.port).await;
    // Several commands: symbols by name, a wildcard, and symbols added later.
    client.subscribe(names(&[Channel::Trades], SYMBOLS).unwrap()).await.unwrap();
    client.subscribe(names(&[Channel::Quotes], ["*"]).unwrap()).await.unwrap();
    let mut subscribed: BTreeSet<String> = SYMBOLS.map(str::to_owned).into();
    let mut received = Received::default();
    let mut kills = 0;
    // A busy machine needs more cuts: some connections are cut before they have resumed.
    while received.cuts < 40 || received.ticks < 20_000 || received.resumed < 20 {
        received.take(&client.next().await.unwrap());
        if kills < 3 && received.cuts >= 10 * (kills + 1) {
            kills += 1;
            hub_now.0.kill().unwrap();
            hub_now.0.wait().unwrap();
            hub_now = hub(data, port).0;
            // Add a symbol while the client is about to catch up.
            let mut quoted = received.last.keys().map(|topic| topic.symbol.to_string());
            let symbol = quoted.find(|symbol| !subscribed.contains(symbol)).unwrap();
            let more = names(&[Channel::Trades], [symbol.as_str()]).unwrap();
            subscribed.insert(symbol);
            client.subscribe(more).await.unwrap();
        }
    }
    proxy.cutting.store(false, Ordering::Relaxed);
    let enough = received.ticks + 5_000;
    while received.ticks < enough {
        received.take(&client.next().await.unwrap());
    }
    assert_eq!(received.last.len(), SYMBOLS.len() + 3 + 20, "all topics have arrived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_restarted_at_any_point_gets_every_tick_once() {
    let mut random = seeds!().rng();
    let data = tempfile::tempdir().unwrap();
    let (_hub, port) = hub(data.path().to_str().unwrap(), 0);
    let _market = market(port);
    let subscriptions = names(&[Channel::Trades, Channel::Quotes], ["*"]).unwrap();
    // State that an application persists, with the position that belongs to it.
    let mut saved: Option<(Received, Position)> = None;
    for _ in 0..15 {
        let mut client = connected(port).await;
        match &saved {
            Some((_, position)) => client.resume(subscriptions.clone(), position).await.unwrap(),
            None => client.subscribe(subscriptions.clone()).await.unwrap(),
        };
        let mut received =
            saved.as_ref().map_or_else(Received::default, |(received, _)| received.clone());
        let enough = received.ticks + random.random_range(1..1500);
        while received.ticks < enough {
            let event = client.next().await.unwrap();
            received.take(&event);
            if let Event::Position(position) = event {
                // As text, as in a file.
                saved = Some((received.clone(), position.to_string().parse().unwrap()));
            }
        }
        // Ticks after the saved position are lost with the client, and must arrive again.
    }
    let (received, _) = saved.unwrap();
    assert!(received.ticks > 3_000, "{} ticks", received.ticks);
    assert_eq!(received.last.len(), 40);
}

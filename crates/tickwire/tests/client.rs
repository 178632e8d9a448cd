//! The client library and a real hub: connections are cut, the hub is killed, applications restart.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::collections::BTreeMap;
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

/// A hub with a log on disk; port 0 takes a free one.
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
    let feed = ["feed", "sim", "--symbols", "20", "--rate", "3000", "--duration", "300s"];
    let mut command = tickwire(&feed);
    command.args(["--hub", &hub]).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// What a client has been given: every tick once, in order, without a gap.
#[derive(Clone, Default)]
struct Given {
    last: BTreeMap<Topic, u64>,
    ticks: u64,
    cuts: u64,
    resumed: u64,
}

impl Given {
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
                assert_eq!(before, None, "a snapshot where the name should have gone on");
            }
            Event::Disconnected { .. } => self.cuts += 1,
            Event::Subscribed { resumed, .. } => {
                assert!(
                    resumed.is_none_or(|resumed| resumed == ResumeOutcome::Complete),
                    "{resumed:?}"
                );
                self.resumed += u64::from(resumed.is_some());
            }
            Event::Connected { new_epoch, .. } => assert!(!new_epoch, "the epoch is another one"),
            Event::Position(_) | Event::Feed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Passes bytes on to the hub, and cuts each connection after a while as long as it is to.
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
        // The proxy may cut the first attempt, which must succeed.
        if let Ok(client) = Client::builder(&url).backoff(Some(backoff.clone())).connect().await {
            return client;
        }
    }
}

const fn trades_of(topic: &Topic) -> Topic {
    Topic { symbol: topic.symbol, channel: Channel::Trades }
}

const SYMBOLS: [&str; 3] = ["AAPL", "MSFT", "NVDA"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tick_comes_once_over_cuts_and_a_hub_that_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let (mut hub_now, port) = hub(data, 0);
    let _market = market(port);
    let proxy = Proxy::start(port, seeds!().rng()).await;
    let mut client = connected(proxy.port).await;
    // Several commands: what is named, what is not, and what comes later.
    client.subscribe(names(&[Channel::Trades], SYMBOLS).unwrap()).await.unwrap();
    client.subscribe(names(&[Channel::Quotes], ["*"]).unwrap()).await.unwrap();
    let mut given = Given::default();
    let mut kills = 0;
    while given.cuts < 40 || given.ticks < 20_000 {
        given.take(&client.next().await.unwrap());
        if kills < 3 && given.cuts >= 10 * (kills + 1) {
            kills += 1;
            hub_now.0.kill().unwrap();
            hub_now.0.wait().unwrap();
            hub_now = hub(data, port).0;
            // A name that is added while the client is about to catch up.
            let added = |topic: &&Topic| !given.last.contains_key(&trades_of(topic));
            let symbol = given.last.keys().find(added).unwrap().symbol;
            let more = names(&[Channel::Trades], [symbol.as_str()]).unwrap();
            client.subscribe(more).await.unwrap();
        }
    }
    proxy.cutting.store(false, Ordering::Relaxed);
    let enough = given.ticks + 5_000;
    while given.ticks < enough {
        given.take(&client.next().await.unwrap());
    }
    assert!(given.resumed >= 20, "{} resumes", given.resumed);
    assert_eq!(given.last.len(), SYMBOLS.len() + 3 + 20, "all trades and quotes have come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_that_restarts_anywhere_has_every_tick_once() {
    let mut random = seeds!().rng();
    let data = tempfile::tempdir().unwrap();
    let (_hub, port) = hub(data.path().to_str().unwrap(), 0);
    let _market = market(port);
    let wanted = names(&[Channel::Trades, Channel::Quotes], ["*"]).unwrap();
    // What an application keeps: its state, and the position it belongs to.
    let mut kept: Option<(Given, Position)> = None;
    for _ in 0..15 {
        let mut client = connected(port).await;
        match &kept {
            Some((_, position)) => client.resume(wanted.clone(), position).await.unwrap(),
            None => client.subscribe(wanted.clone()).await.unwrap(),
        };
        let mut given = kept.as_ref().map_or_else(Given::default, |(given, _)| given.clone());
        let enough = given.ticks + random.random_range(1..1500);
        while given.ticks < enough {
            let event = client.next().await.unwrap();
            given.take(&event);
            if let Event::Position(position) = event {
                // As text, as it would be in a file.
                kept = Some((given.clone(), position.to_string().parse().unwrap()));
            }
        }
        // What it was given behind the position dies with it.
    }
    let (given, _) = kept.unwrap();
    assert!(given.ticks > 3_000, "{} ticks", given.ticks);
    assert_eq!(given.last.len(), 40);
}

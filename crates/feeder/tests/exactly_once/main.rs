//! A publisher whose connections are cut at random, whose process is killed, and whose hub loses
//! recent state: every tick of a rewindable source arrives exactly once and in order, and for a
//! live source the number of lost ticks is reported exactly.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod hub;
mod proxy;

use std::sync::Arc;
use std::time::Duration;

use hub::{Received, StrictHub};
use proxy::CuttingProxy;
use rand::rngs::Xoshiro256PlusPlus as Random;
use rand::{RngExt, SeedableRng};
use tickwire_feeder::{
    Counts, FeedError, Pace, Progress, PublisherConfig, SimConfig, Simulator, Source, SourceError,
    Speed, publish,
};
use tickwire_protocol::Tick;
use tickwire_testkit::seeds;
use tokio_util::sync::CancellationToken;

/// Full speed with unchanged event times.
const AT_ONCE: Pace = Pace { speed: Speed::Max, restamp: false };
/// Time after which a test fails as hanging.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Settings of a market with few symbols, which is fast to generate twice.
const TICKS: u64 = 60_000;
const SYMBOLS: usize = 20;

fn market(ticks: u64) -> Simulator {
    let ticks_max = Some(ticks);
    Simulator::new(SimConfig { symbols: SYMBOLS, ticks_max, ..SimConfig::default() })
}

/// A live source: a market that cannot be rewound.
struct Live(Simulator);

impl Source for Live {
    fn next_tick(&mut self) -> Result<Option<Tick>, SourceError> {
        self.0.next_tick()
    }

    fn identity(&self) -> u64 {
        7
    }
}

/// The injected faults and their mean intervals.
struct Faults {
    seed: u64,
    /// Number of connections to cut before the faults stop.
    cuts: u64,
    /// Whether the publisher is killed repeatedly.
    kills: bool,
    /// Whether the hub repeatedly loses recent state.
    losses: bool,
}

struct Outcome {
    received: Vec<Received>,
    cuts: u64,
    kills: u64,
    losses: u64,
    counts: Counts,
}

fn config(proxy: &CuttingProxy) -> PublisherConfig {
    let mut config = PublisherConfig::new(format!("ws://{}", proxy.address).parse().unwrap());
    config.publisher = "one".parse().unwrap();
    config.message_ticks_max = 20;
    config.unacked_messages_max = 8;
    config.backoff_max = Duration::from_millis(2);
    config
}

/// Publishes sources created by `source` under faults until one is published completely.
async fn run<S: Source>(faults: Faults, source: impl Fn() -> S) -> Outcome {
    let Faults { seed, cuts, kills: killing, losses: losing } = faults;
    let mut random = Random::seed_from_u64(seed);
    let hub = StrictHub::start(seed).await;
    let proxy = CuttingProxy::start(hub.address, seed).await;
    let mut kills = 0;
    let mut losses = 0;
    let counts = loop {
        let progress = Arc::new(Progress::default());
        let work = publish(source(), AT_ONCE, config(&proxy), CancellationToken::new(), progress);
        tokio::pin!(work);
        let lifetime = random.random_range(1..300);
        let mut looks = 0;
        let ended: Option<Result<Counts, FeedError>> = loop {
            tokio::select! {
                ended = &mut work => break Some(ended),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            looks += 1;
            let had_all_faults =
                proxy.cuts() >= cuts && (!killing || kills > 0) && (!losing || losses > 0);
            if had_all_faults {
                proxy.calm();
                continue;
            }
            match random.random_range(0..20) {
                0 if losing => losses += u64::from(hub.lose_end()),
                1 | 2 => hub.keep(),
                _ => {}
            }
            if killing && looks > lifetime {
                kills += 1;
                break None;
            }
        };
        if let Some(ended) = ended {
            break ended.unwrap();
        }
    };
    let cuts = proxy.cuts();
    println!("{cuts} cuts, {kills} kills, {losses} losses, {} messages", hub.last());
    Outcome { received: hub.received(), cuts, kills, losses, counts }
}

async fn bounded<S: Source>(faults: Faults, source: impl Fn() -> S) -> Outcome {
    tokio::time::timeout(TIME_MAX, Box::pin(run(faults, source))).await.expect("hangs")
}

/// Asserts that every tick arrived once and in order, or was reported lost at its place. Returns
/// the number of lost ticks.
fn assert_complete(received: &[Received], market: Simulator) -> u64 {
    let mut market = market.enumerate();
    let mut lost = 0;
    for element in received {
        match element {
            Received::Tick(tick) => {
                let (number, expected) = market.next().expect("no more ticks than there are");
                assert_eq!(*tick, expected, "tick {number}");
            }
            Received::Lost(ticks) => {
                lost += ticks;
                for _ in 0..*ticks {
                    market.next().expect("no more are lost than there are");
                }
            }
        }
    }
    assert_eq!(market.next(), None, "nothing is missing at the end");
    lost
}

#[tokio::test]
async fn thousands_of_cuts_lose_and_repeat_nothing() {
    for seed in seeds!().each(4) {
        let faults = Faults { seed: seed.number(), cuts: 600, kills: false, losses: false };
        let outcome = bounded(faults, || market(TICKS)).await;
        assert_eq!(assert_complete(&outcome.received, market(TICKS)), 0);
        assert_eq!((outcome.counts.ticks, outcome.counts.acked), (TICKS, TICKS));
        assert!(outcome.cuts >= 500, "{}", outcome.cuts);
    }
}

#[tokio::test]
async fn killed_publisher_and_hub_with_data_loss_lose_and_repeat_nothing() {
    for seed in seeds!().each(2) {
        let faults = Faults { seed: seed.number(), cuts: 600, kills: true, losses: true };
        let outcome = bounded(faults, || market(TICKS)).await;
        assert!(outcome.kills > 0 && outcome.losses > 0, "{} kills", outcome.kills);
        assert_eq!(assert_complete(&outcome.received, market(TICKS)), 0);
    }
}

#[tokio::test]
async fn live_source_reports_exactly_the_ticks_a_hub_lost() {
    for seed in seeds!().each(2) {
        let faults = Faults { seed: seed.number(), cuts: 600, kills: false, losses: true };
        let outcome = bounded(faults, || Live(market(TICKS))).await;
        let lost = assert_complete(&outcome.received, market(TICKS));
        assert!(lost > 0, "{} losses", outcome.losses);
        assert_eq!((outcome.counts.republished, outcome.counts.acked), (0, TICKS));
    }
}

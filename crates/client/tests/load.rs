//! The load generator against a hub with known faults.

#![expect(clippy::unwrap_used, reason = "part of tests")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fake::{FakeHub, Session};
use tickwire_client::load::{LoadError, Phase, Plan, Report, numbered_symbols, run};
use tickwire_client::{Channel, Delivery, Feed, Symbol, UnixNanos};
use tickwire_protocol::Control;
use tickwire_testkit::PATIENCE;

const CONNECTIONS: usize = 20;

fn plan(hub: &str, threads: usize) -> Plan {
    Plan {
        hub: hub.parse().unwrap(),
        feed: Feed::default(),
        token: None,
        tls: None,
        connections: CONNECTIONS,
        symbols: numbered_symbols("SYM", 10).unwrap(),
        per_connection: 10,
        channels: vec![Channel::Trades],
        delivery: Delivery::Every,
        on_lag: None,
        ramp: Duration::from_millis(50),
        warmup: Duration::from_millis(50),
        duration: Duration::from_secs(600),
        threads,
    }
}

#[expect(clippy::disallowed_methods, reason = "ticks carry the time they are sent")]
fn unix() -> UnixNanos {
    UnixNanos::from(SystemTime::now())
}

/// Runs a load test that ends when `serve` has sent everything. Returns its report.
async fn load<F>(threads: usize, hub: FakeHub, serve: F) -> Result<Report, LoadError>
where
    F: AsyncFnOnce(Vec<Session>),
{
    load_by(plan(&hub.url(), threads), hub, serve).await
}

async fn load_by<F>(plan: Plan, hub: FakeHub, serve: F) -> Result<Report, LoadError>
where
    F: AsyncFnOnce(Vec<Session>),
{
    let stop = Arc::new(AtomicBool::new(false));
    let measuring = Arc::new(AtomicBool::new(false));
    let work = tokio::task::spawn_blocking({
        let stop = Arc::clone(&stop);
        let measuring = Arc::clone(&measuring);
        move || {
            run(&plan, &stop, &mut |progress| {
                measuring.store(matches!(progress.phase, Phase::Measuring(_)), Ordering::Relaxed);
            })
        }
    });
    let mut sessions = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut session = hub.accept("one").await;
        session.answer_subscribe().await;
        sessions.push(session);
    }
    let measures = async {
        while !measuring.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, measures).await.expect("the load test begins to measure");
    serve(sessions).await;
    stop.store(true, Ordering::Relaxed);
    work.await.unwrap()
}

/// Sends the same ticks to every session.
async fn deliver(sessions: &mut [Session], seqs: std::ops::RangeInclusive<u64>) {
    let seqs: Vec<u64> = seqs.collect();
    for session in &mut *sessions {
        session.send_trades("SYM0003", &seqs, unix()).await;
    }
}

#[tokio::test]
async fn ticks_of_all_connections_are_counted() {
    for threads in [1, 3] {
        let report = load(threads, FakeHub::start().await, async |mut sessions| {
            deliver(&mut sessions, 1..=100).await;
            // The close frame follows all ticks, so they have been read when the client closes,
            // too.
            for session in sessions {
                session.close(1001).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(report.ticks, 100 * CONNECTIONS as u64);
        assert_eq!(report.latency_ms.samples, report.ticks);
        assert!(report.latency_ms.max < 60_000.0, "{:?}", report.latency_ms);
        assert_eq!((report.gaps, report.duplicates, report.unasked), (0, 0, 0));
        assert_eq!(report.connections.opened, CONNECTIONS);
        assert_eq!(report.closes.get("1001"), Some(&(CONNECTIONS as u64)));
        assert!(!report.is_clean(), "closed by the hub");
    }
}

#[tokio::test]
async fn missing_and_repeated_ticks_are_counted() {
    let report = load(1, FakeHub::start().await, async |mut sessions| {
        deliver(&mut sessions, 1..=10).await;
        let mut odd = sessions.split_off(CONNECTIONS - 2);
        odd[0].send_trades("SYM0003", &[12, 13], unix()).await;
        odd[1].send_trades("SYM0003", &[11, 11], unix()).await;
        for session in sessions.into_iter().chain(odd) {
            session.close(1001).await;
        }
    })
    .await
    .unwrap();
    assert_eq!((report.gaps, report.gap_ticks, report.duplicates), (1, 1, 1));
    let faults = report.faults().join(", ");
    assert!(
        faults.starts_with("1 gap, 1 duplicate, 20 connections closed (20 × 1001)"),
        "{faults}"
    );
}

#[tokio::test]
async fn latest_counts_skipped_ticks_and_measures_the_age_of_values() {
    let hub = FakeHub::start().await;
    let delivery = Delivery::Latest { max_rate: None };
    let plan = Plan { delivery, ..plan(&hub.url(), 1) };
    let report = load_by(plan, hub, async |mut sessions| {
        for session in &mut sessions {
            session.send_trades("SYM0003", &[1, 5, 6], unix()).await;
        }
        sessions[0].send_trades("SYM0003", &[6], unix()).await;
        for session in sessions {
            session.close(1001).await;
        }
    })
    .await
    .unwrap();
    let connections = CONNECTIONS as u64;
    assert_eq!((report.delivery, report.skipped_ticks), ("latest", 3 * connections));
    assert_eq!((report.gaps, report.duplicates), (0, 1));
    assert_eq!(report.latency_ms.samples, 3 * connections + 1);
}

#[tokio::test]
async fn gaps_that_the_hub_announces_are_no_faults() {
    let report = load(1, FakeHub::start().await, async |mut sessions| {
        deliver(&mut sessions, 1..=10).await;
        let symbol = Symbol::new("SYM0003").unwrap();
        let channel = Channel::Trades;
        let from = Some(11);
        let to = Some(20);
        sessions[0].send(&Control::Gap { channel, symbol, from, to, lagged: true }).await;
        sessions[0].send_trades("SYM0003", &[21, 30], unix()).await;
        sessions[1].send_trades("SYM0003", &[21], unix()).await;
        for session in sessions {
            session.close(1001).await;
        }
    })
    .await
    .unwrap();
    assert_eq!((report.named_gaps, report.named_gap_ticks), (1, 10));
    assert_eq!(
        (report.gaps, report.gap_ticks),
        (1, 10),
        "there is no announcement for the other session"
    );
    assert_eq!(report.skipped_ticks, 8);
}

#[tokio::test]
async fn run_without_an_open_connection_is_an_error() {
    let hub = FakeHub::start().await;
    let plan = plan(&hub.url(), 1);
    drop(hub);
    let work =
        tokio::task::spawn_blocking(move || run(&plan, &AtomicBool::new(false), &mut |_| {}));
    let error = work.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "none of 20 connections opened: 20 × connection refused");
}

//! The load generator against a hub whose faults are known.

#![expect(clippy::unwrap_used, reason = "part of tests")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fake::{FakeHub, Session};
use tickwire_client::load::{LoadError, Phase, Plan, Report, numbered, run};
use tickwire_client::{Channel, Delivery, Feed, Symbol, UnixNanos};
use tickwire_protocol::Control;

const CONNECTIONS: usize = 20;

fn plan(hub: &str, threads: usize) -> Plan {
    Plan {
        hub: hub.parse().unwrap(),
        feed: Feed::default(),
        token: None,
        connections: CONNECTIONS,
        symbols: numbered("SYM", 10).unwrap(),
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

/// Subscribers of a hub under a load that ends when the sessions have said all they had to.
async fn loaded<F>(threads: usize, hub: FakeHub, serve: F) -> Result<Report, LoadError>
where
    F: AsyncFnOnce(Vec<Session>),
{
    loaded_by(plan(&hub.url(), threads), hub, serve).await
}

async fn loaded_by<F>(plan: Plan, hub: FakeHub, serve: F) -> Result<Report, LoadError>
where
    F: AsyncFnOnce(Vec<Session>),
{
    let (stop, measuring) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let work = tokio::task::spawn_blocking({
        let (stop, measuring) = (Arc::clone(&stop), Arc::clone(&measuring));
        move || {
            run(&plan, &stop, &mut |progress| {
                measuring.store(matches!(progress.phase, Phase::Measuring(_)), Ordering::Relaxed);
            })
        }
    });
    let mut sessions = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut session = hub.accept("one").await;
        session.subscribed().await;
        sessions.push(session);
    }
    while !measuring.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serve(sessions).await;
    stop.store(true, Ordering::Relaxed);
    work.await.unwrap()
}

/// Every session gets the same ticks; all of them have been read when this returns.
async fn deliver(sessions: &mut [Session], seqs: std::ops::RangeInclusive<u64>) {
    let seqs: Vec<u64> = seqs.collect();
    for session in &mut *sessions {
        session.trades("SYM0003", &seqs, unix()).await;
    }
}

#[tokio::test]
async fn ticks_of_all_connections_are_counted() {
    for threads in [1, 3] {
        let report = loaded(threads, FakeHub::start().await, async |mut sessions| {
            deliver(&mut sessions, 1..=100).await;
            // A goodbye is behind all ticks, so those have been read when the client has left.
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
async fn missing_and_repeated_ticks_are_found() {
    let report = loaded(1, FakeHub::start().await, async |mut sessions| {
        deliver(&mut sessions, 1..=10).await;
        let mut odd = sessions.split_off(CONNECTIONS - 2);
        odd[0].trades("SYM0003", &[12, 13], unix()).await;
        odd[1].trades("SYM0003", &[11, 11], unix()).await;
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
async fn newest_values_are_checked_and_their_age_is_measured() {
    let hub = FakeHub::start().await;
    let delivery = Delivery::Latest { max_rate: None };
    let plan = Plan { delivery, ..plan(&hub.url(), 1) };
    let report = loaded_by(plan, hub, async |mut sessions| {
        for session in &mut sessions {
            session.trades("SYM0003", &[1, 5, 6], unix()).await;
        }
        sessions[0].trades("SYM0003", &[6], unix()).await;
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
async fn gaps_the_hub_names_are_no_faults() {
    let report = loaded(1, FakeHub::start().await, async |mut sessions| {
        deliver(&mut sessions, 1..=10).await;
        let symbol = Symbol::new("SYM0003").unwrap();
        let (channel, from, to) = (Channel::Trades, Some(11), Some(20));
        sessions[0].say(&Control::Gap { channel, symbol, from, to, lagged: true }).await;
        sessions[0].trades("SYM0003", &[21, 30], unix()).await;
        sessions[1].trades("SYM0003", &[21], unix()).await;
        for session in sessions {
            session.close(1001).await;
        }
    })
    .await
    .unwrap();
    assert_eq!((report.named_gaps, report.named_gap_ticks), (1, 10));
    assert_eq!((report.gaps, report.gap_ticks), (1, 10), "the other session was told nothing");
    assert_eq!(report.skipped_ticks, 8);
}

#[tokio::test]
async fn hub_that_opens_nothing_is_an_error() {
    let hub = FakeHub::start().await;
    let plan = plan(&hub.url(), 1);
    drop(hub);
    let work =
        tokio::task::spawn_blocking(move || run(&plan, &AtomicBool::new(false), &mut |_| {}));
    let error = work.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "none of 20 connections opened: 20 × connection refused");
}

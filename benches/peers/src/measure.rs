//! Measures one server under one workload.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::measurement::Measurement;
use crate::process_usage::{self, Usage};
use crate::publisher::Publisher;
use crate::server::Server;
use crate::subscribers::{Subscribers, Tally};
use crate::workload::{Peer, Workload};

/// From when the server listens until its memory is first read. Parts of the server that start
/// lazily start meanwhile.
const SETTLE: Duration = Duration::from_millis(400);

/// From the first tick until the measurement starts.
pub(crate) const WARM_UP: Duration = Duration::from_millis(1_500);

/// Measures the server of `peer` under `workload` for `duration`.
///
/// # Errors
/// The server or a connection fails, or nothing is delivered.
pub(crate) fn measure(peer: Peer, workload: &Workload, duration: Duration) -> Result<Measurement> {
    let server = Server::start(peer, workload)?;
    std::thread::sleep(SETTLE);
    let pid = server.pid;
    let before = process_usage::usage(pid)?;
    let mut subscribers = Subscribers::connect(peer, workload, server.address)
        .with_context(|| format!("last output of {}: {}", peer.title(), server.last_output()))?;
    let stop = AtomicBool::new(false);
    let has_publisher = peer != Peer::Floor && workload.rate > 0;
    let publisher = has_publisher
        .then(|| Publisher::connect(peer, workload, server.publish_address))
        .transpose()
        .context("the publisher")?;
    std::thread::scope(|scope| {
        let stop = &stop;
        let publishing =
            publisher.map(|publisher| scope.spawn(move || publisher.run(workload.rate, stop)));
        let measurement = observe(&mut subscribers, workload, pid, before, duration);
        stop.store(true, Ordering::Relaxed);
        // The end of the server also unblocks a publisher that waits for it.
        drop(server);
        if let Some(publishing) = publishing {
            publishing.join().expect("the publisher does not panic")?;
        }
        measurement
    })
}

/// Reads during the warm-up, then measures.
fn observe(
    subscribers: &mut Subscribers,
    workload: &Workload,
    pid: u32,
    idle: Usage,
    duration: Duration,
) -> Result<Measurement> {
    subscribers.read_for(WARM_UP)?;
    let before = process_usage::usage(pid)?;
    let client_before = process_usage::thread_cpu()?;
    let tally = subscribers.read_for(duration)?;
    let after = process_usage::usage(pid)?;
    let client_after = process_usage::thread_cpu()?;
    if workload.rate > 0 && tally.ticks == 0 {
        bail!(
            "nothing was delivered; {} of {} were closed",
            subscribers.closed(),
            workload.readers()
        );
    }
    let client = client_after.saturating_sub(client_before);
    Ok(measurement(subscribers, workload, &tally, (idle, before, after), client))
}

fn measurement(
    subscribers: &Subscribers,
    workload: &Workload,
    tally: &Tally,
    (idle, before, after): (Usage, Usage, Usage),
    client: Duration,
) -> Measurement {
    let wall_s = tally.wall.as_secs_f64();
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    let grown = after.rss_bytes as f64 - idle.rss_bytes as f64;
    let (least, most) = subscribers.extremes();
    Measurement {
        delivered_per_s: tally.ticks as f64 / wall_s,
        cpu_per_tick_ns: (tally.ticks > 0).then(|| cpu * 1e9 / tally.ticks as f64),
        cpu_cores: cpu / wall_s,
        p50_ms: tally.latency_ms(50.0),
        p99_ms: tally.latency_ms(99.0),
        bytes_per_connection: grown / workload.connections as f64,
        least_per_s: least as f64 / wall_s,
        most_per_s: most as f64 / wall_s,
        closed: subscribers.closed() as f64,
        client_cores: client.as_secs_f64() / wall_s,
    }
}

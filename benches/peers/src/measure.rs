//! One measurement: one server, one load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::figures::Figures;
use crate::plan::{Peer, Row};
use crate::proc::{self, Usage};
use crate::publisher::Publisher;
use crate::server::Server;
use crate::subscribers::{Subscribers, Tally};

/// From listening to the first look at its memory: what starts lazily has started.
const SETTLE: Duration = Duration::from_millis(400);

/// From the first tick to the start of the measurement.
pub(crate) const WARM_UP: Duration = Duration::from_millis(1_500);

/// Measures `peer` under the load of `row` for so long.
pub(crate) fn measure(peer: Peer, row: &Row, duration: Duration) -> Result<Figures> {
    let server = Server::start(peer, row)?;
    std::thread::sleep(SETTLE);
    let pid = server.pid;
    let before = proc::usage(pid)?;
    let mut subscribers = Subscribers::connect(peer, row, server.address)
        .with_context(|| format!("{} said last: {}", peer.title(), server.last_words()))?;
    let stop = AtomicBool::new(false);
    let has_publisher = peer != Peer::Floor && row.rate > 0;
    let publisher = has_publisher
        .then(|| Publisher::connect(peer, row, server.publish_address))
        .transpose()
        .context("the publisher")?;
    std::thread::scope(|scope| {
        let stop = &stop;
        let publishing =
            publisher.map(|publisher| scope.spawn(move || publisher.run(row.rate, stop)));
        let figures = observe(&mut subscribers, row, pid, before, duration);
        stop.store(true, Ordering::Relaxed);
        // Its end also frees a publisher that it holds back.
        drop(server);
        if let Some(publishing) = publishing {
            publishing.join().expect("the publisher does not panic")?;
        }
        figures
    })
}

/// Reads until it is warm, then measures.
fn observe(
    subscribers: &mut Subscribers,
    row: &Row,
    pid: u32,
    idle: Usage,
    duration: Duration,
) -> Result<Figures> {
    subscribers.read_for(WARM_UP)?;
    let (before, client_before) = (proc::usage(pid)?, proc::thread_cpu()?);
    let tally = subscribers.read_for(duration)?;
    let (after, client_after) = (proc::usage(pid)?, proc::thread_cpu()?);
    if row.rate > 0 && tally.ticks == 0 {
        bail!("nothing was delivered; {} of {} were closed", subscribers.closed(), row.readers());
    }
    let client = client_after.saturating_sub(client_before);
    Ok(figures(subscribers, row, &tally, (idle, before, after), client))
}

fn figures(
    subscribers: &Subscribers,
    row: &Row,
    tally: &Tally,
    (idle, before, after): (Usage, Usage, Usage),
    client: Duration,
) -> Figures {
    let wall_s = tally.wall.as_secs_f64();
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    let grown = after.rss_bytes as f64 - idle.rss_bytes as f64;
    let (least, most) = subscribers.extremes();
    Figures {
        delivered_per_s: tally.ticks as f64 / wall_s,
        cpu_per_tick_ns: (tally.ticks > 0).then(|| cpu * 1e9 / tally.ticks as f64),
        cpu_cores: cpu / wall_s,
        p50_ms: tally.latency_ms(50.0),
        p99_ms: tally.latency_ms(99.0),
        bytes_per_connection: grown / row.connections as f64,
        least_per_s: least as f64 / wall_s,
        most_per_s: most as f64 / wall_s,
        closed: subscribers.closed() as f64,
        client_cores: client.as_secs_f64() / wall_s,
    }
}

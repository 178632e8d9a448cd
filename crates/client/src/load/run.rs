//! A run: starts the workers, decides when the measurement begins, and sums up their counts.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::counters::{IntervalCounts, merge_histogram, nanos_histogram};
use crate::load::report::{Second, Summary};
use crate::load::topic_layout::TopicLayout;
use crate::load::worker::{
    ConnectionCounts, RunContext, RunState, TlsSettings, Worker, WorkerResult, WorkerUpdate, now,
};
use crate::load::{LoadError, Plan, Report};
use crate::tls;

/// The most updates in the queue from the workers to the collector. A worker waits while the queue
/// is full.
const UPDATES_MAX: usize = 64;

/// The longest time between two reports of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// The shortest second that the report has a row for: the last one may be cut off.
const ROW_LENGTH_MIN: Duration = Duration::from_millis(500);

/// How long one of several addresses of a host may take to accept a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The phase of a load test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections are being opened.
    Opening,
    /// Every connection is open or refused; the measurement starts soon.
    WarmingUp,
    /// All threads are measuring, and the measurement has been running for this long.
    Measuring(Duration),
}

/// The state of a running load test, reported several times a second.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// Connections that are open.
    pub open: usize,
    /// Connections that did not open.
    pub refused: usize,
    /// Connections that the hub closed or that were lost.
    pub closed: usize,
    /// The last complete second of the measurement; `None` before the end of the first.
    pub second: Option<Second>,
}

/// Runs a load test and returns its report. Blocks, and calls `observe` several times a second.
/// Setting `stop` ends the run soon, with a report of what was measured until then.
///
/// # Errors
/// Fails if no connection opened, or the operating system refuses something.
pub fn run(
    plan: &Plan,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<Report, LoadError> {
    let context = RunContext {
        plan,
        layout: TopicLayout::new(plan),
        address: resolve(plan)?,
        tls: tls_settings(plan)?,
        state: RunState::new(stop),
    };
    let (update_sender, updates) = sync_channel(UPDATES_MAX);
    let workers: Vec<Worker<'_>> = (0..plan.threads)
        .map(|thread| Worker::new(&context, thread, update_sender.clone()))
        .collect::<Result<_, _>>()
        .map_err(LoadError::System)?;
    drop(update_sender);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            workers.into_iter().map(|worker| scope.spawn(|| worker.run())).collect();
        let mut collector = Collector::new(plan, &context.state);
        collector.collect(&updates, observe);
        let mut results = Vec::new();
        for thread in threads {
            let result = thread.join().map_err(|_| LoadError::Panicked)?;
            results.push(result.map_err(LoadError::System)?);
        }
        collector.finish(results)
    })
}

/// Returns the first address of the hub that accepts connections, or the first if none does.
fn resolve(plan: &Plan) -> Result<SocketAddr, LoadError> {
    let hub = plan.hub.socket_address();
    let unreachable = |source| LoadError::Unreachable { hub: hub.clone(), source };
    let found: Vec<SocketAddr> = hub.to_socket_addrs().map_err(unreachable)?.collect();
    let accepts =
        |address: &&SocketAddr| TcpStream::connect_timeout(address, PROBE_TIMEOUT).is_ok();
    let chosen = match &found[..] {
        [only] => Some(only),
        several => several.iter().find(accepts).or_else(|| several.first()),
    };
    chosen.copied().ok_or_else(|| unreachable(std::io::ErrorKind::AddrNotAvailable.into()))
}

fn tls_settings(plan: &Plan) -> Result<Option<TlsSettings>, LoadError> {
    if !plan.hub.uses_tls() {
        return Ok(None);
    }
    let failed = |source| LoadError::Tls { hub: plan.hub.socket_address(), source };
    let config = plan.tls.clone().map_or_else(tls::system_trust, Ok).map_err(failed)?;
    let server_name = tls::server_name(&plan.hub).map_err(failed)?;
    Ok(Some(TlsSettings { config, server_name }))
}

/// Sums up the updates of all workers.
struct Collector<'a> {
    plan: &'a Plan,
    state: &'a RunState<'a>,
    /// Connections by thread and state.
    connections: Vec<ConnectionCounts>,
    /// By thread: whether it has begun to measure.
    measuring: Vec<bool>,
    summary: Summary,
    /// By number of the second: how many threads have reported the second, and the sum of their
    /// rates. Removed when all threads have reported it.
    pending: BTreeMap<usize, (usize, Rates)>,
    last_second: Option<Second>,
}

/// One second summed up over threads, each of which may have measured a little longer or shorter.
struct Rates {
    ticks_per_s: f64,
    messages_per_s: f64,
    bytes_per_s: f64,
    length: Duration,
    latency: Histogram<u64>,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            ticks_per_s: 0.0,
            messages_per_s: 0.0,
            bytes_per_s: 0.0,
            length: Duration::ZERO,
            latency: nanos_histogram(),
        }
    }
}

impl Rates {
    fn add(&mut self, length: Duration, counts: &IntervalCounts) {
        let seconds = length.as_secs_f64().max(1e-9);
        self.ticks_per_s += counts.ticks as f64 / seconds;
        self.messages_per_s += counts.messages as f64 / seconds;
        self.bytes_per_s += counts.bytes as f64 / seconds;
        self.length = self.length.max(length);
        merge_histogram(&mut self.latency, &counts.latency);
    }

    fn row(&self, second: usize) -> Second {
        Second::new(
            second,
            [self.ticks_per_s, self.messages_per_s, self.bytes_per_s],
            &self.latency,
        )
    }
}

impl<'a> Collector<'a> {
    fn new(plan: &'a Plan, state: &'a RunState<'a>) -> Self {
        // Until a thread has reported, all of its connections are undecided.
        let unreported = ConnectionCounts { undecided: 1, ..ConnectionCounts::default() };
        Self {
            plan,
            state,
            connections: vec![unreported; plan.threads],
            measuring: vec![false; plan.threads],
            summary: Summary::default(),
            pending: BTreeMap::new(),
            last_second: None,
        }
    }

    /// Handles updates until all workers have ended.
    fn collect(&mut self, updates: &Receiver<WorkerUpdate>, observe: &mut dyn FnMut(&Progress)) {
        let mut observed = self.state.started;
        loop {
            match updates.recv_timeout(PROGRESS_INTERVAL) {
                Ok(update) => self.update(update),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = now();
            let counts = self.connections();
            if counts.undecided == 0 {
                self.state.measure_at(now + self.plan.warmup);
                if counts.open == 0 {
                    self.state.end();
                }
            }
            if now - observed >= PROGRESS_INTERVAL {
                observed = now;
                observe(&self.progress(counts, now));
            }
        }
    }

    /// Returns the connections of all threads.
    fn connections(&self) -> ConnectionCounts {
        self.connections.iter().fold(ConnectionCounts::default(), |sum, one| ConnectionCounts {
            undecided: sum.undecided + one.undecided,
            open: sum.open + one.open,
            refused: sum.refused + one.refused,
            closed: sum.closed + one.closed,
        })
    }

    fn progress(&self, counts: ConnectionCounts, now: Instant) -> Progress {
        let phase = match self.state.measured_from() {
            None => Phase::Opening,
            Some(_) if self.measuring.contains(&false) => Phase::WarmingUp,
            Some(from) => Phase::Measuring((now - from).min(self.plan.duration)),
        };
        let ConnectionCounts { open, refused, closed, .. } = counts;
        Progress { phase, open, refused, closed, second: self.last_second }
    }

    fn update(&mut self, update: WorkerUpdate) {
        self.connections[update.thread] = update.connections;
        self.measuring[update.thread] = update.is_measuring;
        let Some(second) = update.second else { return };
        self.summary.add(update.thread, second.length, &second.counts);
        let (reported, rates) = self.pending.entry(second.number).or_default();
        rates.add(second.length, &second.counts);
        *reported += 1;
        if *reported == self.plan.threads {
            if rates.length >= ROW_LENGTH_MIN {
                let row = rates.row(second.number);
                self.last_second = Some(row);
                self.summary.seconds.push(row);
            }
            self.pending.remove(&second.number);
        }
    }

    fn finish(self, results: Vec<WorkerResult>) -> Result<Report, LoadError> {
        let counts = self.connections();
        let report = self.summary.report(self.plan, results);
        if counts.open == 0 && counts.closed == 0 && counts.undecided == 0 {
            return Err(LoadError::NothingOpened {
                connections: self.plan.connections,
                causes: report.refused_causes(),
            });
        }
        Ok(report)
    }
}

//! Starts the threads, decides when the measurement begins, and adds up what they count.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::report::{Second, Summary};
use crate::load::tally::{Interval, merge, nanos_histogram};
use crate::load::topics::Topics;
use crate::load::worker::{Outcome, Shared, Standing, Update, Worker, now};
use crate::load::{LoadError, Plan, Report};

/// Updates on their way; a thread that is ahead waits.
const UPDATES_MAX: usize = 64;

/// How often progress is told at least.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Less than this of a second, at the end of a measurement, makes no row of its own.
const ROW_MIN: Duration = Duration::from_millis(500);

/// What a load test is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections are being opened.
    Opening,
    /// All are open or refused; the measurement starts soon.
    WarmingUp,
    /// Every thread counts ticks. The measurement has taken this long.
    Measuring(Duration),
}

/// How a load test stands; told several times a second.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Connections that are open.
    pub open: usize,
    /// Connections that did not open.
    pub refused: usize,
    /// Connections that ended by themselves.
    pub closed: usize,
    /// The last second of the measurement.
    pub second: Option<Second>,
}

/// Runs a load test; returns when it is over, or soon after `stop` is set, with what was measured
/// until then. Blocks, and tells its progress to `observe` several times a second.
///
/// # Errors
/// If no connection opened, or the system refuses something.
pub fn run(
    plan: &Plan,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<Report, LoadError> {
    let address = resolve(plan)?;
    let (topics, shared) = (Topics::new(plan), Shared::new(stop));
    let (updates_in, updates) = sync_channel(UPDATES_MAX);
    let mut workers = Vec::new();
    for thread in 0..plan.threads {
        let world = (plan, &topics, &shared);
        workers.push(
            Worker::new(world, address, thread, updates_in.clone()).map_err(LoadError::System)?,
        );
    }
    drop(updates_in);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            workers.into_iter().map(|worker| scope.spawn(|| worker.run())).collect();
        let mut collector = Collector::new(plan, &shared);
        collector.collect(&updates, observe);
        let mut outcomes = Vec::new();
        for thread in threads {
            let outcome = thread.join().map_err(|_| LoadError::Panicked)?;
            outcomes.push(outcome.map_err(LoadError::System)?);
        }
        collector.finish(outcomes)
    })
}

fn resolve(plan: &Plan) -> Result<SocketAddr, LoadError> {
    if plan.hub.uses_tls() {
        return Err(LoadError::Encrypted { hub: plan.hub.clone() });
    }
    let hub = plan.hub.socket_address();
    let unreachable = |source| LoadError::Unreachable { hub: plan.hub.socket_address(), source };
    let mut found = hub.to_socket_addrs().map_err(unreachable)?;
    found.next().ok_or_else(|| unreachable(std::io::ErrorKind::AddrNotAvailable.into()))
}

/// Adds up.
struct Collector<'a> {
    plan: &'a Plan,
    shared: &'a Shared<'a>,
    standings: Vec<Standing>,
    summary: Summary,
    /// Seconds that not all threads have reported.
    pending: BTreeMap<usize, (usize, Rates)>,
    last: Option<Second>,
}

/// One second over several threads, each of which may have measured it a little longer or shorter.
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
    fn add(&mut self, length: Duration, interval: &Interval) {
        let seconds = length.as_secs_f64().max(1e-9);
        self.ticks_per_s += interval.ticks as f64 / seconds;
        self.messages_per_s += interval.messages as f64 / seconds;
        self.bytes_per_s += interval.bytes as f64 / seconds;
        self.length = self.length.max(length);
        merge(&mut self.latency, &interval.latency);
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
    fn new(plan: &'a Plan, shared: &'a Shared<'a>) -> Self {
        // Until a thread has reported, all of its connections are undecided.
        let standings = vec![Standing { undecided: 1, ..Standing::default() }; plan.threads];
        let (summary, pending) = (Summary::default(), BTreeMap::new());
        Self { plan, shared, standings, summary, pending, last: None }
    }

    fn collect(&mut self, updates: &Receiver<Update>, observe: &mut dyn FnMut(&Progress)) {
        let mut told = self.shared.base;
        loop {
            match updates.recv_timeout(PROGRESS_EVERY) {
                Ok(update) => self.update(update),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = now();
            let standing = self.standing();
            if standing.undecided == 0 {
                self.shared.measure_at(now + self.plan.warmup);
                if standing.open == 0 {
                    self.shared.end();
                }
            }
            if now - told >= PROGRESS_EVERY {
                told = now;
                observe(&self.progress(standing, now));
            }
        }
    }

    fn standing(&self) -> Standing {
        self.standings.iter().fold(Standing::default(), |sum, one| Standing {
            undecided: sum.undecided + one.undecided,
            open: sum.open + one.open,
            refused: sum.refused + one.refused,
            closed: sum.closed + one.closed,
            measuring: sum.measuring + one.measuring,
        })
    }

    fn progress(&self, standing: Standing, now: Instant) -> Progress {
        let phase = match self.shared.measured_from() {
            None => Phase::Opening,
            Some(_) if standing.measuring < self.plan.threads => Phase::WarmingUp,
            Some(from) => {
                Phase::Measuring(now.saturating_duration_since(from).min(self.plan.duration))
            }
        };
        let Standing { open, refused, closed, .. } = standing;
        Progress { phase, open, refused, closed, second: self.last }
    }

    fn update(&mut self, update: Update) {
        self.standings[update.thread] = update.standing;
        let Some((second, length, interval)) = update.second else { return };
        self.summary.add(update.thread, length, &interval);
        let (reported, rates) = self.pending.entry(second).or_default();
        rates.add(length, &interval);
        *reported += 1;
        if *reported == self.plan.threads {
            if rates.length >= ROW_MIN {
                let row = rates.row(second);
                self.last = Some(row);
                self.summary.seconds.push(row);
            }
            self.pending.remove(&second);
        }
    }

    fn finish(self, outcomes: Vec<Outcome>) -> Result<Report, LoadError> {
        let standing = self.standing();
        let report = self.summary.report(self.plan, outcomes);
        if standing.open == 0 && standing.closed == 0 && standing.undecided == 0 {
            return Err(LoadError::NothingOpened {
                connections: self.plan.connections,
                causes: report.refused_text(),
            });
        }
        Ok(report)
    }
}

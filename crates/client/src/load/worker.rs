//! The event loop of one thread: its share of the connections on one epoll instance.

mod connection;
mod run_state;
mod transport;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::load::Plan;
use crate::load::counters::{Counters, Faults, IntervalCounts};
use crate::load::skew::TickArrivals;
use crate::load::subscriber::{ConnectionEnd, Subscriber};
use crate::load::topic_layout::TopicLayout;
use connection::{Connection, ReadBuffers};
use run_state::unix_ns;
pub(crate) use run_state::{RunState, now};
pub(crate) use transport::TlsSettings;
use transport::Transport;

/// The most handshakes at the same time: more would only queue in the hub's backlog and time out
/// there.
const OPENING_MAX: usize = 256;

/// How long a connection may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// The clock is read after this many events: a turn can be long when the machine is busy.
const EVENTS_PER_CLOCK_READ: usize = 32;

/// The interval of updates before the measurement; during it, updates come every second.
const UPDATE_INTERVAL: Duration = Duration::from_millis(200);

/// The length of one row of the report.
const SECOND: Duration = Duration::from_secs(1);

/// What the workers of a run share.
#[derive(Debug)]
pub(crate) struct RunContext<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) layout: TopicLayout,
    pub(crate) state: RunState<'a>,
    pub(crate) address: SocketAddr,
    /// `None` for a hub without TLS.
    pub(crate) tls: Option<TlsSettings>,
}

/// The connections of a thread by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConnectionCounts {
    /// Connections that have neither opened nor failed yet.
    pub(crate) undecided: usize,
    pub(crate) open: usize,
    pub(crate) refused: usize,
    pub(crate) closed: usize,
}

/// What a worker reports while it runs.
#[derive(Debug)]
pub(crate) struct WorkerUpdate {
    pub(crate) thread: usize,
    pub(crate) connections: ConnectionCounts,
    /// Whether the thread has begun to measure.
    pub(crate) is_measuring: bool,
    /// The second of the measurement that ended with this update, if one did.
    pub(crate) second: Option<EndedSecond>,
}

/// One second of the measurement as one thread has seen it.
#[derive(Debug)]
pub(crate) struct EndedSecond {
    /// Number of the second, from 0.
    pub(crate) number: usize,
    /// How long it really was.
    pub(crate) length: Duration,
    pub(crate) counts: Box<IntervalCounts>,
}

/// What a worker returns.
#[derive(Debug)]
pub(crate) struct WorkerResult {
    pub(crate) faults: Faults,
    pub(crate) arrivals: Vec<TickArrivals>,
    /// Live ticks of each connection that was open at the end.
    pub(crate) ticks: Vec<u64>,
    /// Processor time during the measurement; `None` if the system does not report it.
    pub(crate) busy: Option<Duration>,
}

/// The second that is being measured.
#[derive(Debug)]
struct Measuring {
    second: usize,
    since: Instant,
    /// Processor time of the thread when the measurement began; `None` if the system does not
    /// report it.
    busy_before: Option<Duration>,
}

/// The event loop of one thread.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    context: &'a RunContext<'a>,
    updates: SyncSender<WorkerUpdate>,
    thread: usize,
    poll: Poll,
    /// This thread's connections in the order of opening; `None` for those that have ended.
    connections: Vec<Option<Connection>>,
    /// How many connections this thread will open.
    share: usize,
    counts: ConnectionCounts,
    counters: Counters,
    measuring: Option<Measuring>,
    update_at: Instant,
    buffers: ReadBuffers,
}

/// Returns the processor time that this thread has used; `None` if the system does not report it.
fn thread_busy() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        context: &'a RunContext<'a>,
        thread: usize,
        updates: SyncSender<WorkerUpdate>,
    ) -> std::io::Result<Self> {
        let plan = context.plan;
        let share = (plan.connections + plan.threads - 1 - thread) / plan.threads;
        Ok(Self {
            context,
            updates,
            thread,
            poll: Poll::new()?,
            connections: Vec::with_capacity(share),
            share,
            counts: ConnectionCounts { undecided: share, ..ConnectionCounts::default() },
            counters: Counters::default(),
            measuring: None,
            update_at: context.state.started,
            buffers: ReadBuffers::new(context.tls.is_some()),
        })
    }

    /// Runs until the measurement has ended or is stopped.
    pub(crate) fn run(mut self) -> std::io::Result<WorkerResult> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = now();
            if self.is_over(now) {
                break;
            }
            self.update(now);
            let wake = self.open_due(now).min(self.update_at).min(now + UPDATE_INTERVAL);
            match self.poll.poll(&mut events, Some(wake.saturating_duration_since(now))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for (index, event) in events.iter().enumerate() {
                self.exchange(event.token().0, event.is_read_closed() || event.is_error());
                if index % EVENTS_PER_CLOCK_READ == EVENTS_PER_CLOCK_READ - 1 {
                    self.update(run_state::now());
                }
            }
        }
        Ok(self.finish())
    }

    /// Starts the connections that are due. Returns when the next one is due.
    fn open_due(&mut self, now: Instant) -> Instant {
        let RunContext { plan, state, .. } = self.context;
        while self.connections.len() < self.share {
            let number = self.connections.len() * plan.threads + self.thread;
            let due = state.started + plan.ramp.mul_f64(number as f64 / plan.connections as f64);
            if due > now {
                return due;
            }
            let decided = self.share - self.counts.undecided;
            if self.connections.len() - decided >= OPENING_MAX {
                break;
            }
            match self.connect(number, now) {
                Ok(connection) => self.connections.push(Some(connection)),
                Err(error) => {
                    self.connections.push(None);
                    self.count_end(&ConnectionEnd::Refused(error.kind().to_string()));
                }
            }
        }
        now + UPDATE_INTERVAL
    }

    fn connect(&self, number: usize, started: Instant) -> std::io::Result<Connection> {
        let RunContext { plan, layout, address, tls, .. } = self.context;
        let mut stream = TcpStream::connect(*address)?;
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(self.connections.len()), interest)?;
        Ok(Connection {
            transport: Transport::new(stream, tls.as_ref())?,
            subscriber: Subscriber::new(number, plan, layout),
            partial: Vec::new(),
            started,
        })
    }

    /// Moves the bytes of a connection in both directions until its socket blocks.
    fn exchange(&mut self, index: usize, is_ending: bool) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        let was_open = connection.subscriber.is_open();
        let measured = self.measuring.is_some();
        let layout = &self.context.layout;
        let buffers = &mut self.buffers;
        let counters = &mut self.counters;
        let exchanged = connection
            .flush()
            .and_then(|()| connection.receive(is_ending, measured, buffers, layout, counters))
            .and_then(|()| connection.flush());
        if connection.subscriber.is_open() && !was_open {
            self.counts.undecided -= 1;
            self.counts.open += 1;
        }
        if let Err(end) = exchanged {
            self.connections[index] = None;
            self.count_end(&end);
        }
    }

    fn count_end(&mut self, end: &ConnectionEnd) {
        let (causes, cause) = match end {
            ConnectionEnd::Refused(cause) => {
                self.counts.undecided -= 1;
                self.counts.refused += 1;
                (&mut self.counters.faults.refused, cause)
            }
            ConnectionEnd::Closed(cause) => {
                self.counts.open -= 1;
                self.counts.closed += 1;
                (&mut self.counters.faults.closes, cause)
            }
        };
        *causes.entry(cause.clone()).or_default() += 1;
    }

    /// Gives up connections that have not opened in time.
    fn expire(&mut self, now: Instant) {
        if self.connections.len() + self.counts.undecided == self.share {
            return;
        }
        for index in 0..self.connections.len() {
            let is_late = self.connections[index].as_ref().is_some_and(|connection| {
                !connection.subscriber.is_open() && now - connection.started > OPEN_TIMEOUT
            });
            if is_late {
                self.connections[index] = None;
                let cause = format!("not open within {} s", OPEN_TIMEOUT.as_secs());
                self.count_end(&ConnectionEnd::Refused(cause));
            }
        }
    }

    /// Starts the measurement when it is time, and sends an update when one is due.
    fn update(&mut self, now: Instant) {
        if let (None, Some(from)) = (&self.measuring, self.context.state.measured_from()) {
            self.update_at = self.update_at.min(from);
            if now >= from {
                self.counters.interval = IntervalCounts::default();
                let busy_before = thread_busy();
                self.measuring = Some(Measuring { second: 0, since: now, busy_before });
                self.update_at = now + SECOND;
                self.send_update(None);
            }
        }
        if now < self.update_at {
            return;
        }
        self.expire(now);
        let second = self.end_second(now);
        self.update_at = match &self.measuring {
            Some(_) => self.update_at + SECOND,
            None => now + UPDATE_INTERVAL,
        };
        self.send_update(second);
    }

    fn send_update(&self, second: Option<EndedSecond>) {
        let update = WorkerUpdate {
            thread: self.thread,
            connections: self.counts,
            is_measuring: self.measuring.is_some(),
            second,
        };
        // The collector outlives the workers; without it, the update would be of no use.
        let _ = self.updates.send(update);
    }

    fn end_second(&mut self, now: Instant) -> Option<EndedSecond> {
        let measuring = self.measuring.as_mut()?;
        let number = measuring.second;
        let length = now - measuring.since;
        measuring.second += 1;
        measuring.since = now;
        let counts = Box::new(std::mem::take(&mut self.counters.interval));
        Some(EndedSecond { number, length, counts })
    }

    fn is_over(&self, now: Instant) -> bool {
        let RunContext { plan, state, .. } = self.context;
        let is_measured = state.measured_from().is_some_and(|from| now >= from + plan.duration);
        is_measured || state.is_ended()
    }

    fn finish(mut self) -> WorkerResult {
        let busy_before = self.measuring.as_ref().and_then(|measuring| measuring.busy_before);
        let busy = busy_before.and_then(|before| Some(thread_busy()?.saturating_sub(before)));
        let second = self.end_second(now());
        self.send_update(second);
        let mut ticks = Vec::with_capacity(self.counts.open);
        for mut connection in self.connections.into_iter().flatten() {
            if connection.subscriber.is_open() {
                ticks.push(connection.subscriber.ticks);
                connection.close();
            }
        }
        let Counters { faults, skew, .. } = self.counters;
        WorkerResult { faults, arrivals: skew.finish(unix_ns()), ticks, busy }
    }
}

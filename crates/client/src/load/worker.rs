//! The loop of one thread: its share of the connections on one epoll set.

mod clock;
mod connection;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::load::Plan;
use crate::load::peer::{End, Peer};
use crate::load::skew::Spread;
use crate::load::tally::{Faults, Interval, Tally};
use crate::load::topics::Topics;
use clock::unix_ns;
pub(crate) use clock::{Shared, now};
use connection::{Connection, READ_BYTES, flush, receive};

/// Handshakes under way at a time: more would only queue in the hub's backlog and time out there.
const OPENING_MAX: usize = 256;

/// How long a connection may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// After so many events the clock is read: a turn can be long when the machine is busy.
const EVENTS_PER_LOOK: usize = 32;

/// How often a thread reports before the measurement starts; then it is every second.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// One row of the report.
const SECOND: Duration = Duration::from_secs(1);

/// Where a thread stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Connections that have not been decided: neither open nor failed.
    pub(crate) undecided: usize,
    pub(crate) open: usize,
    pub(crate) refused: usize,
    pub(crate) closed: usize,
    /// Threads that have started the measurement.
    pub(crate) measuring: usize,
}

/// What a thread tells its collector now and then.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) thread: usize,
    pub(crate) standing: Standing,
    /// The second of the measurement that has just ended, and how long it really was.
    pub(crate) second: Option<(usize, Duration, Box<Interval>)>,
}

/// What a thread has at the end.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) faults: Faults,
    pub(crate) spreads: Vec<Spread>,
    /// Live ticks of the connections that were open at the end.
    pub(crate) ticks: Vec<u64>,
    /// Time on a processor while measured, as far as the system tells.
    pub(crate) busy: Option<Duration>,
}

/// The second being measured.
#[derive(Debug)]
struct Measuring {
    second: usize,
    since: Instant,
    busy_before: Option<Duration>,
}

/// One thread's loop.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    plan: &'a Plan,
    topics: &'a Topics,
    shared: &'a Shared<'a>,
    updates: SyncSender<Update>,
    address: SocketAddr,
    thread: usize,
    poll: Poll,
    /// This thread's share, in the order of opening; `None` where one has ended.
    connections: Vec<Option<Connection>>,
    /// How many there will be.
    share: usize,
    standing: Standing,
    tally: Tally,
    measuring: Option<Measuring>,
    report_at: Instant,
    buffer: Vec<u8>,
}

/// Time this thread has spent on a processor, where the system tells.
fn busy() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        (plan, topics, shared): (&'a Plan, &'a Topics, &'a Shared<'a>),
        address: SocketAddr,
        thread: usize,
        updates: SyncSender<Update>,
    ) -> std::io::Result<Self> {
        let share = (plan.connections + plan.threads - 1 - thread) / plan.threads;
        Ok(Self {
            plan,
            topics,
            shared,
            updates,
            address,
            thread,
            poll: Poll::new()?,
            connections: Vec::with_capacity(share),
            share,
            standing: Standing { undecided: share, ..Standing::default() },
            tally: Tally::default(),
            measuring: None,
            report_at: shared.base,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Runs until the measurement is over or stopped.
    pub(crate) fn run(mut self) -> std::io::Result<Outcome> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = now();
            if self.is_over(now) {
                break;
            }
            self.report(now);
            let wake = self.open_due(now).min(self.report_at).min(now + REPORT_EVERY);
            match self.poll.poll(&mut events, Some(wake.saturating_duration_since(now))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for (index, event) in events.iter().enumerate() {
                self.ready(event.token().0, event.is_read_closed() || event.is_error());
                if index % EVENTS_PER_LOOK == EVENTS_PER_LOOK - 1 {
                    self.report(clock::now());
                }
            }
        }
        Ok(self.finish())
    }

    /// Starts the connections whose time has come; returns when the next one is due.
    fn open_due(&mut self, now: Instant) -> Instant {
        while self.connections.len() < self.share {
            let number = self.connections.len() * self.plan.threads + self.thread;
            let due = self.shared.base
                + self.plan.ramp.mul_f64(number as f64 / self.plan.connections as f64);
            if due > now {
                return due;
            }
            let decided = self.share - self.standing.undecided;
            if self.connections.len() - decided >= OPENING_MAX {
                break;
            }
            self.open(number, now);
        }
        now + REPORT_EVERY
    }

    fn open(&mut self, number: usize, started: Instant) {
        let token = Token(self.connections.len());
        let connection = TcpStream::connect(self.address).and_then(|mut stream| {
            stream.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, interest)?;
            let peer = Peer::new(number, self.plan, self.topics);
            Ok(Connection { stream, peer, partial: Vec::new(), started })
        });
        match connection {
            Ok(connection) => self.connections.push(Some(connection)),
            Err(error) => {
                self.connections.push(None);
                self.count_end(&End::Refused(error.kind().to_string()));
            }
        }
    }

    /// Moves bytes of a connection, in both directions, until its socket blocks.
    fn ready(&mut self, index: usize, ending: bool) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        let was_open = connection.peer.is_open();
        let measured = self.measuring.is_some();
        let moved = flush(connection)
            .and_then(|()| {
                let (buffer, topics, tally) = (&mut self.buffer, self.topics, &mut self.tally);
                receive(connection, ending, measured, buffer, topics, tally)
            })
            .and_then(|()| flush(connection));
        let is_open = connection.peer.is_open();
        if is_open && !was_open {
            self.standing.undecided -= 1;
            self.standing.open += 1;
        }
        if let Err(end) = moved {
            self.connections[index] = None;
            self.count_end(&end);
        }
    }

    fn count_end(&mut self, end: &End) {
        let (causes, cause) = match end {
            End::Refused(cause) => {
                self.standing.undecided -= 1;
                self.standing.refused += 1;
                (&mut self.tally.faults.refused, cause)
            }
            End::Closed(cause) => {
                self.standing.open -= 1;
                self.standing.closed += 1;
                (&mut self.tally.faults.closes, cause)
            }
        };
        *causes.entry(cause.clone()).or_default() += 1;
    }

    /// Gives up connections that do not open.
    fn expire(&mut self, now: Instant) {
        if self.connections.len() + self.standing.undecided == self.share {
            return;
        }
        for index in 0..self.connections.len() {
            let late = self.connections[index].as_ref().is_some_and(|connection| {
                !connection.peer.is_open() && now - connection.started > OPEN_WITHIN
            });
            if late {
                self.connections[index] = None;
                let cause = format!("not open within {} s", OPEN_WITHIN.as_secs());
                self.count_end(&End::Refused(cause));
            }
        }
    }

    /// Tells the collector how things stand when it is time, and starts the measurement.
    fn report(&mut self, now: Instant) {
        if let (None, Some(from)) = (&self.measuring, self.shared.measured_from()) {
            self.report_at = self.report_at.min(from);
            if now >= from {
                self.tally.interval = Interval::default();
                self.measuring = Some(Measuring { second: 0, since: now, busy_before: busy() });
                self.report_at = now + SECOND;
                self.standing.measuring = 1;
                self.tell(None);
            }
        }
        if now < self.report_at {
            return;
        }
        self.expire(now);
        let second = self.end_second(now);
        self.report_at = match &self.measuring {
            Some(_) => self.report_at + SECOND,
            None => now + REPORT_EVERY,
        };
        self.tell(second);
    }

    fn tell(&self, second: Option<(usize, Duration, Box<Interval>)>) {
        let update = Update { thread: self.thread, standing: self.standing, second };
        // The collector outlives the threads; were it gone, nobody would miss the update.
        let _ = self.updates.send(update);
    }

    fn end_second(&mut self, now: Instant) -> Option<(usize, Duration, Box<Interval>)> {
        let measuring = self.measuring.as_mut()?;
        let ended = (measuring.second, now - measuring.since);
        measuring.second += 1;
        measuring.since = now;
        Some((ended.0, ended.1, Box::new(std::mem::take(&mut self.tally.interval))))
    }

    fn is_over(&self, now: Instant) -> bool {
        let measured =
            self.shared.measured_from().is_some_and(|from| now >= from + self.plan.duration);
        measured || self.shared.is_ended()
    }

    fn finish(mut self) -> Outcome {
        let busy_before = self.measuring.as_ref().map(|measuring| measuring.busy_before);
        let busy = busy_before.flatten().and_then(|before| Some(busy()?.saturating_sub(before)));
        let second = self.end_second(now());
        self.tell(second);
        let mut ticks = Vec::with_capacity(self.standing.open);
        for mut connection in self.connections.into_iter().flatten() {
            if connection.peer.is_open() {
                ticks.push(connection.peer.ticks);
                connection.peer.close();
                // A hub that does not take the goodbye sees the end of the stream.
                let _ = flush(&mut connection);
            }
        }
        let Tally { faults, skew, .. } = self.tally;
        Outcome { faults, spreads: skew.finish(unix_ns()), ticks, busy }
    }
}

//! The event loop of a thread that serves many clients.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rand::RngExt as _;
use socket2::SockRef;
use tickwire_protocol::UnixNanos;

use crate::session::{End, Session, Tally};
use crate::universe::Universe;

/// Size of one read.
const READ_BYTES: usize = 256 << 10;
/// Clients reconnect within this time, and after a drain within this time after the retry delay.
const RETRY: Duration = Duration::from_secs(1);
/// Interval at which the signals of other threads are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Signals between the threads.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// How many times all clients of the worker were to be cut. They reconnect within [`RETRY`].
    pub(crate) cuts: AtomicU64,
    /// Whether the worker is to return.
    pub(crate) ended: AtomicBool,
    /// Number of clients that have caught up.
    pub(crate) live: AtomicUsize,
}

/// What a worker thread does, and where it reports.
#[derive(Debug)]
pub(crate) struct WorkerConfig<'a> {
    pub(crate) hub: SocketAddr,
    pub(crate) universe: &'a Universe,
    /// Numbers of the clients that the thread serves.
    pub(crate) clients: Range<usize>,
    /// Period over which the first connections are spread.
    pub(crate) ramp: Duration,
    pub(crate) signals: &'a Signals,
    /// Whether the delays of ticks are recorded.
    pub(crate) delays: bool,
    /// Counts since another thread last took them.
    pub(crate) tally: &'a Mutex<Tally>,
}

struct Client {
    session: Session,
    stream: Option<TcpStream>,
    /// Start of a frame that has not fully arrived.
    partial: Vec<u8>,
}

struct Worker<'a> {
    config: &'a WorkerConfig<'a>,
    poll: Poll,
    clients: Vec<Client>,
    /// When each disconnected client connects, the earliest first.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    buffer: Vec<u8>,
    cuts: u64,
    /// Counts of this turn.
    tally: Tally,
}

/// Serves the clients until [`Signals::ended`] is set.
pub(crate) fn run(config: &WorkerConfig<'_>) -> Result<()> {
    let client = |number| Client {
        session: Session::new(number, config.universe),
        stream: None,
        partial: Vec::new(),
    };
    let clients: Vec<Client> = config.clients.clone().map(client).collect();
    let mut worker = Worker {
        config,
        poll: Poll::new()?,
        due: BinaryHeap::with_capacity(clients.len()),
        clients,
        buffer: vec![0; READ_BYTES],
        cuts: 0,
        tally: Tally { delays_ns: config.delays.then(Vec::new), ..Tally::default() },
    };
    for index in 0..worker.clients.len() {
        worker.connect_within(index, config.ramp);
    }
    let mut events = Events::with_capacity(4_096);
    while !config.signals.ended.load(Relaxed) {
        worker.turn(&mut events)?;
    }
    Ok(())
}

impl Worker<'_> {
    fn turn(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, Some(POLL_INTERVAL)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut tally = std::mem::take(&mut self.tally);
        for event in events.iter() {
            let index = event.token().0;
            if let Err(end) = self.serve(index, &mut tally) {
                self.on_end(index, end, &mut tally);
            }
        }
        self.cut_if_signalled();
        self.connect_due(&mut tally);
        self.config
            .tally
            .lock()
            .expect("no thread panics while it holds the lock")
            .merge(&mut tally);
        self.tally = tally;
        Ok(())
    }

    /// Closes all connections at once if [`Signals::cuts`] has changed, even in the middle of a
    /// frame.
    fn cut_if_signalled(&mut self) {
        let cuts = self.config.signals.cuts.load(Relaxed);
        if cuts == std::mem::replace(&mut self.cuts, cuts) {
            return;
        }
        for index in 0..self.clients.len() {
            self.close(index);
            self.connect_within(index, RETRY);
        }
    }

    /// Schedules a connection at a random time within `most` from now.
    fn connect_within(&mut self, index: usize, most: Duration) {
        let wait = most.mul_f64(rand::rng().random::<f64>());
        self.due.push(Reverse((now() + wait, index)));
    }

    fn connect_due(&mut self, tally: &mut Tally) {
        let now = now();
        while let Some(Reverse((at, index))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            if self.clients[index].stream.is_none() && self.connect(index).is_err() {
                self.on_end(index, End::Broken, tally);
            }
        }
    }

    fn connect(&mut self, index: usize) -> std::io::Result<()> {
        let client = &mut self.clients[index];
        let mut stream = TcpStream::connect(self.config.hub)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        client.stream = Some(stream);
        client.partial.clear();
        client.session.connect(&self.config.hub.to_string());
        Ok(())
    }

    /// Closes a connection with a reset, like a broken network: without a close frame, and without
    /// leaving the port in TIME_WAIT.
    fn close(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some(stream) = client.stream.take() {
            let _best_effort = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        if client.session.is_live() {
            self.config.signals.live.fetch_sub(1, Relaxed);
            client.session.disconnected();
        }
    }

    fn on_end(&mut self, index: usize, end: End, tally: &mut Tally) {
        self.close(index);
        match end {
            End::Drained(delay) => {
                let wait = delay + RETRY.mul_f64(rand::rng().random());
                self.due.push(Reverse((now() + wait, index)));
            }
            End::Broken => {
                tally.ended += 1;
                self.connect_within(index, RETRY);
            }
        }
    }

    /// Writes queued bytes and reads what has arrived.
    fn serve(&mut self, index: usize, tally: &mut Tally) -> Result<(), End> {
        let client = &mut self.clients[index];
        let Some(stream) = &mut client.stream else { return Ok(()) };
        let was_live = client.session.is_live();
        loop {
            flush(stream, &mut client.session.out)?;
            let kept = client.partial.len();
            if self.buffer.len() < kept + READ_BYTES / 2 {
                self.buffer.resize(kept + READ_BYTES, 0);
            }
            self.buffer[..kept].copy_from_slice(&client.partial);
            let read = match stream.read(&mut self.buffer[kept..]) {
                Ok(0) => return Err(End::Broken),
                Ok(read) => read,
                Err(error) if would_block(&error) => break,
                Err(_broken) => return Err(End::Broken),
            };
            let received = &self.buffer[..kept + read];
            let used = client.session.receive(received, unix_ns(), self.config.universe, tally)?;
            client.partial.clear();
            client.partial.extend_from_slice(&received[used..]);
        }
        if client.session.is_live() && !was_live {
            self.config.signals.live.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

fn flush(stream: &mut TcpStream, out: &mut Vec<u8>) -> Result<(), End> {
    while !out.is_empty() {
        match stream.write(out) {
            Ok(sent) => drop(out.drain(..sent)),
            Err(error) if would_block(&error) => return Ok(()),
            Err(_broken) => return Err(End::Broken),
        }
    }
    Ok(())
}

/// Returns whether an operation should be tried again when the socket is ready.
fn would_block(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

#[expect(clippy::disallowed_methods, reason = "a driver")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "delay is measured from the times of ticks")]
fn unix_ns() -> u64 {
    UnixNanos::from(SystemTime::now()).0
}

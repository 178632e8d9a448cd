//! One thread with its clients: an event loop.

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

/// One read.
const READ_BYTES: usize = 256 << 10;
/// Who is cut or refused comes back within this time, if nobody said otherwise.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks at what the other threads want.
const LOOK: Duration = Duration::from_millis(10);

/// What threads tell each other.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// All clients that may be cut have been cut so often, and come back within [`RETRY`].
    pub(crate) cuts: AtomicU64,
    pub(crate) ended: AtomicBool,
    /// Clients that have everything.
    pub(crate) live: AtomicUsize,
}

/// The clients of a thread.
#[derive(Debug)]
pub(crate) struct Crew<'a> {
    pub(crate) hub: SocketAddr,
    pub(crate) universe: &'a Universe,
    pub(crate) clients: Range<usize>,
    /// In which time they connect at first.
    pub(crate) ramp: Duration,
    pub(crate) signals: &'a Signals,
    /// Whether the delay of ticks is wanted.
    pub(crate) delays: bool,
    /// What was counted since the others last took it.
    pub(crate) tally: &'a Mutex<Tally>,
}

struct Client {
    session: Session,
    stream: Option<TcpStream>,
    /// The beginning of a frame whose rest has not come.
    partial: Vec<u8>,
}

struct Worker<'a> {
    crew: &'a Crew<'a>,
    poll: Poll,
    clients: Vec<Client>,
    /// Who connects when.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    buffer: Vec<u8>,
    cuts: u64,
    /// What was counted in this turn.
    tally: Tally,
}

/// Serves the clients until the end is signalled.
pub(crate) fn run(crew: &Crew<'_>) -> Result<()> {
    let client = |number| Client {
        session: Session::new(number, crew.universe),
        stream: None,
        partial: Vec::new(),
    };
    let clients: Vec<Client> = crew.clients.clone().map(client).collect();
    let mut worker = Worker {
        crew,
        poll: Poll::new()?,
        due: BinaryHeap::with_capacity(clients.len()),
        clients,
        buffer: vec![0; READ_BYTES],
        cuts: 0,
        tally: Tally { late_ns: crew.delays.then(Vec::new), ..Tally::default() },
    };
    for index in 0..worker.clients.len() {
        worker.connect_within(index, crew.ramp);
    }
    let mut events = Events::with_capacity(4_096);
    while !crew.signals.ended.load(Relaxed) {
        worker.turn(&mut events)?;
    }
    Ok(())
}

impl Worker<'_> {
    fn turn(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, Some(LOOK)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut tally = std::mem::take(&mut self.tally);
        for event in events.iter() {
            let index = event.token().0;
            if let Err(end) = self.serve(index, &mut tally) {
                self.lose(index, end, &mut tally);
            }
        }
        self.cut_if_told();
        self.connect_due(&mut tally);
        self.crew.tally.lock().expect("nobody panics").take_in(&mut tally);
        self.tally = tally;
        Ok(())
    }

    /// Closes all connections at once, in the middle of whatever comes, if that is signalled.
    fn cut_if_told(&mut self) {
        let cuts = self.crew.signals.cuts.load(Relaxed);
        if cuts == std::mem::replace(&mut self.cuts, cuts) {
            return;
        }
        for index in 0..self.clients.len() {
            self.close(index);
            self.connect_within(index, RETRY);
        }
    }

    /// Lets a client connect at some time from now on.
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
                self.lose(index, End::Broken, tally);
            }
        }
    }

    fn connect(&mut self, index: usize) -> std::io::Result<()> {
        let client = &mut self.clients[index];
        let mut stream = TcpStream::connect(self.crew.hub)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        client.stream = Some(stream);
        client.partial.clear();
        client.session.connect(&self.crew.hub.to_string());
        Ok(())
    }

    /// Ends a connection as a broken network does: without a goodbye, and without ports that wait.
    fn close(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some(stream) = client.stream.take() {
            let _as_good = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        if client.session.is_live() {
            self.crew.signals.live.fetch_sub(1, Relaxed);
            client.session.disconnected();
        }
    }

    fn lose(&mut self, index: usize, end: End, tally: &mut Tally) {
        self.close(index);
        match end {
            End::Drained { retry_ms } => {
                let wait = Duration::from_millis(retry_ms) + RETRY.mul_f64(rand::rng().random());
                self.due.push(Reverse((now() + wait, index)));
            }
            End::Broken => {
                tally.ended += 1;
                self.connect_within(index, RETRY);
            }
        }
    }

    /// Writes what is owed and reads what has come.
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
                Err(error) if not_now(&error) => break,
                Err(_broken) => return Err(End::Broken),
            };
            let come = &self.buffer[..kept + read];
            let used = client.session.receive(come, unix_ns(), self.crew.universe, tally)?;
            client.partial.clear();
            client.partial.extend_from_slice(&come[used..]);
        }
        if client.session.is_live() && !was_live {
            self.crew.signals.live.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

fn flush(stream: &mut TcpStream, out: &mut Vec<u8>) -> Result<(), End> {
    while !out.is_empty() {
        match stream.write(out) {
            Ok(sent) => drop(out.drain(..sent)),
            Err(error) if not_now(&error) => return Ok(()),
            Err(_broken) => return Err(End::Broken),
        }
    }
    Ok(())
}

/// Whether a socket has nothing to give or to take yet.
fn not_now(error: &std::io::Error) -> bool {
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

//! The subscribers: all connections on one thread with one epoll set. Counting a tick allocates
//! nothing, because this client must cost less than the servers it measures.

use std::io::{ErrorKind, Read, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::clock::{now, unix_ns};
use crate::frame::{self, Frame, Opcode};
use crate::handshake::{Endpoint, Handshake};
use crate::protocols;
use crate::tick::{TickFinder, read_stamp};
use crate::workload::{Peer, Workload};

/// Length of a read. A frame that is cut off at its end is completed by the next read.
const READ_BYTES: usize = 256 << 10;

/// Latency is measured on about this many connections, evenly spread.
const SAMPLED_CONNECTIONS: usize = 64;

/// Largest latency of the histogram; longer ones count as this.
const LATENCY_US_MAX: u64 = 300_000_000;

/// A connection that this client reads.
#[derive(Debug)]
struct Reader {
    /// `None` once the server has closed it.
    stream: Option<TcpStream>,
    /// The start of a frame that is not complete yet.
    partial: Vec<u8>,
    ticks: u64,
    /// Whether latency is measured on this connection.
    is_sampled: bool,
}

/// All subscribers of a measurement.
#[derive(Debug)]
pub(crate) struct Subscribers {
    poll: Poll,
    readers: Vec<Reader>,
    /// Connections that are open and never read.
    _stalled: Vec<std::net::TcpStream>,
    finder: TickFinder,
    buffer: Vec<u8>,
    tally: Tally,
}

/// What all connections received in one call of [`Subscribers::read_for`].
#[derive(Debug)]
pub(crate) struct Tally {
    /// Ticks of all connections.
    pub(crate) ticks: u64,
    /// Latency from when a tick was due until it was read, in microseconds, of sampled connections.
    pub(crate) latency_us: Histogram<u64>,
    /// How long the call took.
    pub(crate) wall: Duration,
}

impl Subscribers {
    /// Opens all connections of a workload and subscribes; those that never read come last.
    ///
    /// # Errors
    /// A connection or a subscription is refused.
    pub(crate) fn connect(
        peer: Peer,
        workload: &Workload,
        address: std::net::SocketAddr,
    ) -> Result<Self> {
        let endpoint = Endpoint {
            address,
            path: protocols::subscriber_path(peer),
            header: protocols::header(peer),
            refusal: protocols::refusal(peer),
        };
        let poll = Poll::new()?;
        let mut readers = Vec::new();
        let mut stalled = Vec::new();
        let stride = (workload.readers() / SAMPLED_CONNECTIONS).max(1);
        for number in 0..workload.connections {
            let steps = protocols::subscribe(peer, workload.symbols_of(number), workload.delivery);
            let (stream, partial) = Handshake::open(&endpoint)
                .and_then(|mut handshake| {
                    handshake.run(&steps)?;
                    handshake.finish()
                })
                .with_context(|| {
                    format!("subscriber {} of {}", number + 1, workload.connections)
                })?;
            if number >= workload.readers() {
                stalled.push(stream);
                continue;
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            let is_sampled = number % stride == 0;
            readers.push(Reader { stream: Some(stream), partial, ticks: 0, is_sampled });
        }
        let finder = TickFinder::new();
        let buffer = vec![0; READ_BYTES];
        Ok(Self { poll, readers, _stalled: stalled, finder, buffer, tally: Tally::new()? })
    }

    /// Reads for `duration` and returns what was received.
    ///
    /// # Errors
    /// Polling fails.
    pub(crate) fn read_for(&mut self, duration: Duration) -> Result<Tally> {
        self.readers.iter_mut().for_each(|reader| reader.ticks = 0);
        self.tally = Tally::new()?;
        let started = now();
        self.read_until(started + duration)?;
        self.tally.wall = started.elapsed();
        Ok(std::mem::replace(&mut self.tally, Tally::new()?))
    }

    fn read_until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let left = end.saturating_duration_since(now());
            if left.is_zero() {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let reader = &mut self.readers[event.token().0];
                let ended = event.is_read_closed() || event.is_error();
                if !reader.read(ended, &mut self.buffer, &self.finder, &mut self.tally) {
                    // Closing the socket takes it out of the epoll set.
                    reader.stream = None;
                }
            }
        }
    }

    /// Returns how many reading connections the server has closed.
    pub(crate) fn closed(&self) -> usize {
        self.readers.iter().filter(|reader| reader.stream.is_none()).count()
    }

    /// Returns the fewest and the most ticks of one connection in the last call of `read_for`.
    pub(crate) fn extremes(&self) -> (u64, u64) {
        let ticks = || self.readers.iter().map(|reader| reader.ticks);
        (ticks().min().unwrap_or(0), ticks().max().unwrap_or(0))
    }
}

impl Tally {
    fn new() -> Result<Self> {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?;
        Ok(Self { ticks: 0, latency_us, wall: Duration::ZERO })
    }

    /// Returns a percentile of the latency in milliseconds; `None` without ticks.
    pub(crate) fn latency_ms(&self, percentile: f64) -> Option<f64> {
        let any = !self.latency_us.is_empty();
        any.then(|| self.latency_us.value_at_percentile(percentile) as f64 / 1e3)
    }
}

impl Reader {
    /// Reads until the socket is empty; returns whether the connection is still open.
    fn read(
        &mut self,
        ended: bool,
        buffer: &mut Vec<u8>,
        finder: &TickFinder,
        tally: &mut Tally,
    ) -> bool {
        loop {
            let Some(stream) = &mut self.stream else { return false };
            let kept = self.partial.len();
            if buffer.len() < kept + READ_BYTES / 2 {
                buffer.resize(kept + READ_BYTES, 0);
            }
            buffer[..kept].copy_from_slice(&self.partial);
            let read = match stream.read(&mut buffer[kept..]) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            let whole = kept + read;
            let Some(used) = self.count_frames(&buffer[..whole], finder, tally) else {
                return false;
            };
            self.partial.clear();
            self.partial.extend_from_slice(&buffer[used..whole]);
            // A read that does not fill the buffer has emptied the socket, so the next byte causes
            // a new event. The end of the stream causes none, so it must be read now.
            if whole < buffer.len() && !ended {
                return true;
            }
        }
    }

    /// Counts the ticks of complete frames; returns their length, or `None` after a close.
    fn count_frames(
        &mut self,
        bytes: &[u8],
        finder: &TickFinder,
        tally: &mut Tally,
    ) -> Option<usize> {
        let arrived_ns = unix_ns();
        let mut used = 0;
        while let Some((frame, len)) = frame::first(&bytes[used..]) {
            used += len;
            match frame {
                Frame::Data(message) => {
                    let before = tally.ticks;
                    for after_marker in finder.find(message) {
                        tally.ticks += 1;
                        let stamp = if self.is_sampled { read_stamp(after_marker) } else { None };
                        if let Some(stamp_ns) = stamp {
                            let waited_ns = arrived_ns.saturating_sub(stamp_ns);
                            tally.latency_us.saturating_record(waited_ns / 1_000);
                        }
                    }
                    self.ticks += tally.ticks - before;
                }
                Frame::Ping(payload) => self.pong(payload)?,
                Frame::Pong => {}
                Frame::Close => return None,
            }
        }
        Some(used)
    }

    /// Answers a ping. The answer is so small that only a broken socket does not take it.
    fn pong(&mut self, payload: &[u8]) -> Option<()> {
        let mut answer = Vec::new();
        frame::write(Opcode::Pong, payload, &mut answer);
        self.stream.as_mut()?.write_all(&answer).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::write_payload;

    fn reader() -> Reader {
        Reader { stream: None, partial: Vec::new(), ticks: 0, is_sampled: true }
    }

    /// Appends a frame of `count` ticks that were due a second ago.
    fn frame_of(count: u64, bytes: &mut Vec<u8>) {
        let mut message = b"[".to_vec();
        for _ in 0..count {
            write_payload(unix_ns() - 1_000_000_000, &mut message);
        }
        frame::write_unmasked(Opcode::Binary, &message, bytes);
    }

    #[test]
    fn ticks_of_complete_frames_are_counted_and_timed() {
        let mut bytes = Vec::new();
        frame_of(3, &mut bytes);
        frame_of(2, &mut bytes);
        let whole = bytes.len();
        frame_of(1, &mut bytes);
        bytes.pop();
        let mut reader = reader();
        let mut tally = Tally::new().unwrap();
        assert_eq!(reader.count_frames(&bytes, &TickFinder::new(), &mut tally), Some(whole));
        assert_eq!((tally.ticks, reader.ticks, tally.latency_us.len()), (5, 5, 5));
        let p50 = tally.latency_ms(50.0).unwrap();
        assert!((1_000.0..60_000.0).contains(&p50), "{p50}");
    }

    #[test]
    fn close_ends_the_connection() {
        let mut tally = Tally::new().unwrap();
        assert_eq!(reader().count_frames(&[0x88, 0], &TickFinder::new(), &mut tally), None);
        assert_eq!(tally.latency_ms(50.0), None);
    }
}

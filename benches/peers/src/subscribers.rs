//! The subscribers: all connections on one thread and one epoll set, which counts ticks and
//! allocates nothing for them. It must cost less than the servers it measures.

use std::io::{ErrorKind, Read, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::clock::{now, unix_ns};
use crate::connect::{Door, Opening};
use crate::dialect;
use crate::frame::{self, Frame, Opcode};
use crate::plan::{Peer, Row};
use crate::tick::{Ticks, read_stamp};

/// One read; frames cut off at its end are completed by the next.
const READ_BYTES: usize = 256 << 10;

/// Latency is taken on about so many of the connections, evenly spread.
const SAMPLED: usize = 64;

/// Largest latency told apart.
const LATENCY_US_MAX: u64 = 300_000_000;

/// A connection that is read.
#[derive(Debug)]
struct Reader {
    /// `None` once it has ended.
    stream: Option<TcpStream>,
    /// The beginning of a frame whose rest has not come.
    partial: Vec<u8>,
    ticks: u64,
    sampled: bool,
}

/// All subscribers of a measurement.
#[derive(Debug)]
pub(crate) struct Subscribers {
    poll: Poll,
    readers: Vec<Reader>,
    /// Open, and never read.
    _stalled: Vec<std::net::TcpStream>,
    finder: Ticks,
    buffer: Vec<u8>,
    tally: Tally,
}

/// What has come since the last look.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Over all connections.
    pub(crate) ticks: u64,
    /// From due to read, in microseconds, of sampled connections.
    pub(crate) latency_us: Histogram<u64>,
    /// How long it took.
    pub(crate) wall: Duration,
}

impl Subscribers {
    /// Connects all of a row and subscribes; those that will stall come last.
    pub(crate) fn connect(peer: Peer, row: &Row, address: std::net::SocketAddr) -> Result<Self> {
        let door = Door {
            address,
            path: dialect::subscriber_path(peer),
            header: dialect::header(peer),
            refusal: dialect::refusal(peer),
        };
        let poll = Poll::new()?;
        let (mut readers, mut stalled) = (Vec::new(), Vec::new());
        let stride = (row.readers() / SAMPLED).max(1);
        for number in 0..row.connections {
            let steps = dialect::subscribe(peer, row.symbols_of(number), row.delivery);
            let (stream, partial) = Opening::websocket(&door)
                .and_then(|mut opening| {
                    opening.introduce(&steps)?;
                    opening.finish()
                })
                .with_context(|| format!("subscriber {} of {}", number + 1, row.connections))?;
            if number >= row.readers() {
                stalled.push(stream);
                continue;
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            let sampled = number % stride == 0;
            readers.push(Reader { stream: Some(stream), partial, ticks: 0, sampled });
        }
        let (finder, buffer) = (Ticks::new(), vec![0; READ_BYTES]);
        Ok(Self { poll, readers, _stalled: stalled, finder, buffer, tally: Tally::new()? })
    }

    /// Reads for so long; returns what came.
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

    /// How many connections that are read the server has ended.
    pub(crate) fn closed(&self) -> usize {
        self.readers.iter().filter(|reader| reader.stream.is_none()).count()
    }

    /// The fewest and the most ticks that one connection got in the last reading.
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

    /// A percentile of latency in milliseconds; `None` if nothing came.
    pub(crate) fn latency_ms(&self, percentile: f64) -> Option<f64> {
        let any = !self.latency_us.is_empty();
        any.then(|| self.latency_us.value_at_percentile(percentile) as f64 / 1e3)
    }
}

impl Reader {
    /// Takes what has come, until the socket is empty; whether the connection goes on.
    fn read(
        &mut self,
        ended: bool,
        buffer: &mut Vec<u8>,
        finder: &Ticks,
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
            let Some(used) = self.take(&buffer[..whole], finder, tally) else { return false };
            self.partial.clear();
            self.partial.extend_from_slice(&buffer[used..whole]);
            // A read that does not fill the buffer has emptied the socket: the next byte is a new
            // event. At the end of the stream there is none.
            if whole < buffer.len() && !ended {
                return true;
            }
        }
    }

    /// Counts the ticks of whole frames; returns their length, or `None` after a close.
    fn take(&mut self, bytes: &[u8], finder: &Ticks, tally: &mut Tally) -> Option<usize> {
        let arrived_ns = unix_ns();
        let mut used = 0;
        while let Some((frame, len)) = frame::first(&bytes[used..]) {
            used += len;
            match frame {
                Frame::Data(message) => {
                    let before = tally.ticks;
                    for after_marker in finder.find(message) {
                        tally.ticks += 1;
                        let stamp = if self.sampled { read_stamp(after_marker) } else { None };
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

    /// Answers a ping; it is so small that the socket takes it or is broken.
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
        Reader { stream: None, partial: Vec::new(), ticks: 0, sampled: true }
    }

    /// A frame of `count` ticks that were due a second ago.
    fn frame_of(count: u64, bytes: &mut Vec<u8>) {
        let mut message = b"[".to_vec();
        for _ in 0..count {
            write_payload(unix_ns() - 1_000_000_000, &mut message);
        }
        frame::write_unmasked(Opcode::Binary, &message, bytes);
    }

    #[test]
    fn ticks_of_whole_frames_are_counted_and_timed() {
        let mut bytes = Vec::new();
        frame_of(3, &mut bytes);
        frame_of(2, &mut bytes);
        let whole = bytes.len();
        frame_of(1, &mut bytes);
        bytes.pop();
        let (mut reader, mut tally) = (reader(), Tally::new().unwrap());
        assert_eq!(reader.take(&bytes, &Ticks::new(), &mut tally), Some(whole));
        assert_eq!((tally.ticks, reader.ticks, tally.latency_us.len()), (5, 5, 5));
        let p50 = tally.latency_ms(50.0).unwrap();
        assert!((1_000.0..60_000.0).contains(&p50), "{p50}");
    }

    #[test]
    fn a_close_ends_the_connection() {
        let mut tally = Tally::new().unwrap();
        assert_eq!(reader().take(&[0x88, 0], &Ticks::new(), &mut tally), None);
        assert_eq!(tally.latency_ms(50.0), None);
    }
}

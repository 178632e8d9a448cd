//! The floor: a server that only writes prepared frames to every connection. It shows how much the
//! kernel can do, which no real server can exceed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use memchr::memmem;

use crate::clock::Schedule;
use crate::frame::{self, Opcode};
use crate::tick;

/// Length of a tick in bytes, about that of a small trade.
const TICK_LEN: usize = 60;

/// Longest sleep between two looks at the clock.
const SLEEP_MAX: Duration = Duration::from_micros(200);

const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The command line of the floor.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// Address to listen on
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Number of connections to wait for before the first tick
    #[arg(long)]
    pub(crate) connections: usize,
    /// Ticks per second to each connection
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: u64,
    /// Ticks per write
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) batch: u64,
}

/// A connection of a subscriber.
#[derive(Debug)]
struct Reader {
    stream: TcpStream,
    /// The bytes of the last write that the socket did not take.
    rest: Vec<u8>,
    open: bool,
}

/// Listens and serves until all connections have closed.
pub(crate) fn main(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(options.listen)
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    serve(&listener, options)
}

/// Waits for the connections, then sends ticks to them until all have closed.
pub(crate) fn serve(listener: &TcpListener, options: &Options) -> Result<()> {
    let mut readers = Vec::with_capacity(options.connections);
    while readers.len() < options.connections {
        readers.extend(accept(listener)?);
    }
    let schedule = Schedule::start(options.rate);
    let mut sent = 0;
    let mut frames = Vec::new();
    while readers.iter().any(|reader| reader.open) {
        if schedule.due() < sent + options.batch {
            std::thread::sleep(schedule.until(sent + options.batch - 1).min(SLEEP_MAX));
            continue;
        }
        prepare(sent..sent + options.batch, &schedule, &mut frames);
        readers.iter_mut().filter(|reader| reader.open).for_each(|reader| reader.send(&frames));
        sent += options.batch;
    }
    Ok(())
}

/// Accepts a connection and completes the upgrade; `None` if the peer closed without a request.
fn accept(listener: &TcpListener) -> Result<Option<Reader>> {
    let (mut stream, _) = listener.accept()?;
    let mut request = Vec::new();
    while memmem::find(&request, b"\r\n\r\n").is_none() {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return Ok(None),
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    stream.write_all(UPGRADED)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(Some(Reader { stream, rest: Vec::new(), open: true }))
}

/// Encodes the frames of these ticks, once for all connections.
fn prepare(numbers: std::ops::Range<u64>, schedule: &Schedule, frames: &mut Vec<u8>) {
    frames.clear();
    let mut body = Vec::with_capacity(TICK_LEN);
    for number in numbers {
        body.clear();
        tick::write_payload(schedule.stamp_ns(number), &mut body);
        body.resize(TICK_LEN, b'x');
        frame::write_unmasked(Opcode::Binary, &body, frames);
    }
}

impl Reader {
    /// Writes the frames, or the rest of older frames: a reader that falls behind misses ticks.
    fn send(&mut self, frames: &[u8]) {
        let is_complete = self.rest.is_empty();
        let bytes = if is_complete { frames } else { &self.rest[..] };
        match self.stream.write(bytes) {
            Ok(written) if is_complete => self.rest.extend_from_slice(&frames[written..]),
            Ok(written) => drop(self.rest.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.open = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscribers::Subscribers;
    use crate::workload::{Peer, tests::small};

    #[test]
    fn all_readers_receive_whole_batches_until_all_have_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let options = Options { listen, connections: 4, rate: 2_000, batch: 10 };
        let floor = std::thread::spawn(move || serve(&listener, &options));
        // A connection that closes without a request does not count.
        drop(TcpStream::connect(listen).unwrap());

        let mut subscribers = Subscribers::connect(Peer::Floor, &small(4, 1), listen).unwrap();
        let tally = loop {
            let tally = subscribers.read_for(Duration::from_millis(50)).unwrap();
            if tally.ticks > 0 {
                break tally;
            }
        };
        assert_eq!(tally.ticks % 10, 0, "whole writes of whole ticks");
        assert!(tally.latency_ms(50.0).unwrap() < 60_000.0);
        assert_eq!(subscribers.closed(), 0);
        assert!(subscribers.extremes().1 < tally.ticks, "no subscriber received the ticks of all");
        drop(subscribers);
        floor.join().unwrap().unwrap();
    }
}

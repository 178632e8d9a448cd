//! The publisher: sends ticks to a server over one connection, at the times of a schedule.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::clock::Schedule;
use crate::encoder::TickEncoder;
use crate::handshake::{Endpoint, Handshake, printable, tcp};
use crate::protocols;
use crate::workload::{Peer, Workload};

/// Shortest pause between two writes, so that high rates do not need a system call per tick.
const PAUSE_MIN: Duration = Duration::from_micros(200);

/// Longest pause, so that the publisher stops soon when asked to.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Maximum of ticks per write.
const WRITE_TICKS_MAX: u64 = 2_000;

/// A connected publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    stream: TcpStream,
    encoder: TickEncoder,
    /// A text that is part of every answer that refuses ticks.
    refusal: Option<&'static str>,
}

impl Publisher {
    /// Connects to the server of `peer`.
    ///
    /// # Errors
    /// The connection fails or is refused.
    pub(crate) fn connect(peer: Peer, workload: &Workload, address: SocketAddr) -> Result<Self> {
        let refusal = protocols::refusal(peer);
        let stream = if peer == Peer::Nats {
            let mut stream = tcp(address)?;
            stream.write_all(protocols::NATS_CONNECT.as_bytes())?;
            stream
        } else {
            let path = protocols::publisher_path(peer);
            let mut handshake =
                Handshake::open(&Endpoint { address, path, header: None, refusal })?;
            handshake.run(&protocols::publisher_steps(peer))?;
            handshake.finish()?.0
        };
        stream.set_read_timeout(None)?;
        Ok(Self { stream, encoder: TickEncoder::new(peer, workload.symbols), refusal })
    }

    /// Publishes `rate` ticks per second until `stop` is set or the server closes the connection.
    ///
    /// # Errors
    /// The connection broke before `stop` was set, or the server refused ticks.
    pub(crate) fn run(mut self, rate: u64, stop: &AtomicBool) -> Result<()> {
        let answers = self.stream.try_clone()?;
        let refusal = self.refusal;
        let reader = std::thread::spawn(move || read_answers(answers, refusal));
        let published = self.publish(rate, stop);
        // Ends the reader as well.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let refused = reader.join().expect("the reader of answers does not panic");
        if let Some(words) = refused {
            anyhow::bail!("the publisher was refused: {words}");
        }
        match published {
            Err(error) if !stop.load(Ordering::Relaxed) => Err(error).context("publishing"),
            _ => Ok(()),
        }
    }

    fn publish(&mut self, rate: u64, stop: &AtomicBool) -> std::io::Result<()> {
        let schedule = Schedule::start(rate);
        let mut sent = 0;
        let mut bytes = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let due = schedule.due().min(sent + WRITE_TICKS_MAX);
            if due > sent {
                bytes.clear();
                self.encoder.write(sent..due, &schedule, &mut bytes);
                self.stream.write_all(&bytes)?;
                sent = due;
            }
            std::thread::sleep(schedule.until(sent).clamp(PAUSE_MIN, PAUSE_MAX));
        }
        Ok(())
    }
}

/// Reads and discards the answers of the server; returns the first refusal.
fn read_answers(mut stream: TcpStream, refusal: Option<&'static str>) -> Option<String> {
    let mut buffer = vec![0; 64 << 10];
    let mut refused = None;
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return refused,
            Ok(read) => &buffer[..read],
        };
        let word = refusal.filter(|_| refused.is_none());
        if word.is_some_and(|word| memchr::memmem::find(read, word.as_bytes()).is_some()) {
            refused = Some(printable(read));
        }
    }
}

//! One connection of a worker: a subscriber and its socket.

use std::io;
use std::time::Instant;

use crate::load::counters::{Arrival, Counters};
use crate::load::subscriber::{ConnectionEnd, Subscriber};
use crate::load::topic_layout::TopicLayout;

use super::run_state::unix_ns;
use super::transport::{CIPHERTEXT_BYTES, PLAINTEXT_ROOM_BYTES, Transport, is_blocked};

/// Size of the buffer for one read. The next read completes frames that are cut off at its end.
const READ_BYTES: usize = 256 << 10;

const _: () = assert!(READ_BYTES / 2 >= PLAINTEXT_ROOM_BYTES);

/// One connection: a subscriber and its socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) subscriber: Subscriber,
    /// The beginning of a frame that has not arrived completely.
    pub(super) partial: Vec<u8>,
    pub(super) started: Instant,
}

/// Read buffers that the connections of a worker share.
#[derive(Debug)]
pub(super) struct ReadBuffers {
    plaintext: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl ReadBuffers {
    /// Creates buffers for connections with or without TLS.
    pub(super) fn new(uses_tls: bool) -> Self {
        let ciphertext = vec![0; if uses_tls { CIPHERTEXT_BYTES } else { 0 }];
        Self { plaintext: vec![0; READ_BYTES], ciphertext }
    }
}

impl Connection {
    /// Sends the subscriber's bytes, as many as the socket accepts.
    pub(super) fn flush(&mut self) -> Result<(), ConnectionEnd> {
        let Self { transport, subscriber, .. } = self;
        transport.write(&mut subscriber.out).map_err(|error| self.broken(&error))?;
        self.subscriber.out.shrink_to_fit();
        Ok(())
    }

    /// Reads until the socket is empty. `is_ending` says that the peer has closed its side, so that
    /// no further event will come; `measured` that the measurement has begun.
    pub(super) fn receive(
        &mut self,
        is_ending: bool,
        measured: bool,
        buffers: &mut ReadBuffers,
        layout: &TopicLayout,
        counters: &mut Counters,
    ) -> Result<(), ConnectionEnd> {
        let ReadBuffers { plaintext: buffer, ciphertext } = buffers;
        loop {
            let kept = self.partial.len();
            if buffer.len() < kept + READ_BYTES / 2 {
                buffer.resize(kept + READ_BYTES, 0);
            }
            buffer[..kept].copy_from_slice(&self.partial);
            let received = match self.transport.read(&mut buffer[kept..], ciphertext) {
                Ok(received) if received.bytes == 0 => {
                    return Err(self.ended("connection ended without a close"));
                }
                Ok(received) => received,
                Err(error) if is_blocked(&error) => return Ok(()),
                Err(error) => return Err(self.broken(&error)),
            };
            let arrival = Arrival { unix_ns: unix_ns(), measured };
            let filled = kept + received.bytes;
            let used = self.subscriber.receive(&buffer[..filled], arrival, layout, counters)?;
            self.partial.clear();
            self.partial.extend_from_slice(&buffer[used..filled]);
            if self.partial.is_empty() {
                self.partial = Vec::new();
            }
            // The next byte raises a new event: one system call saved per wake-up. At the end of
            // the stream there is no new event.
            if received.is_drained && !is_ending {
                return Ok(());
            }
        }
    }

    /// Sends a close frame and the end of the TLS stream, as far as the socket accepts them.
    /// Otherwise the hub sees the end of the TCP stream.
    pub(super) fn close(&mut self) {
        self.subscriber.close();
        let _ = self.flush();
        self.transport.close();
    }

    fn broken(&self, error: &io::Error) -> ConnectionEnd {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => self.ended(&tls.to_string()),
            None => self.ended(&error.kind().to_string()),
        }
    }

    fn ended(&self, cause: &str) -> ConnectionEnd {
        if self.subscriber.is_open() {
            ConnectionEnd::Closed(cause.to_owned())
        } else {
            ConnectionEnd::Refused(cause.to_owned())
        }
    }
}

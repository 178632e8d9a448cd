//! One WebSocket connection: its socket, its reader, and its unwritten bytes.

mod reader;

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Bytes, Message};

pub use reader::Reader;

use super::transport::{Transport, Written};
use crate::access::admission::SessionPermit;
use crate::access::auth_state::AuthState;
use crate::config::Config;
use crate::fanout::CloseReason;
use crate::serving::new_connection::{HandshakeInfo, PendingSession};
use crate::serving::session_protocol::SessionProtocol;

/// Largest message of an unauthenticated session, in bytes. Such a session sends only its key.
const UNAUTHENTICATED_BYTES_MAX: usize = 4_096;

/// One WebSocket connection and the state of its session that concerns I/O.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Decodes the messages read from `buffered`, and writes pongs and closes to it.
    reader: Reader,
    buffered: BufferedTransport,
    /// Unwritten part of a frame that the socket took in part. Nothing else may be sent before.
    partial_frame: Vec<u8>,
    pub(crate) stage: Stage,
    pub(crate) handshake: HandshakeInfo,
    pub(crate) auth_state: AuthState,
    /// Commands of a message that are not handled yet.
    pub(crate) unread: Bytes,
    /// When a message was last received.
    pub(crate) last_received: Instant,
    /// When data was last written. Pings and pongs do not count: applications do not see them.
    pub(crate) last_sent: Instant,
    pub(crate) next_ping: Instant,
    _permit: SessionPermit,
}

/// Progress of a connection through its closing handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The session is active.
    Open,
    /// The session ends for `reason`: pending data is sent first, then the close frame.
    Finishing { reason: CloseReason, deadline: Instant },
    /// The close frame is queued or sent; the close frame of the peer is expected.
    CloseSent { reason: CloseReason, deadline: Instant },
    /// The peer has sent a close frame; the answer is queued.
    Answering { deadline: Instant },
    /// The peer violated the protocol and is sent a close frame. Its further input is read and
    /// dropped: closing a socket with unread data would destroy the close frame.
    Discarding { reason: CloseReason, deadline: Instant },
}

impl Stage {
    /// Returns the time by which the connection is closed; `None` while the session is active.
    pub(crate) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Open => None,
            Self::Finishing { deadline, .. }
            | Self::CloseSent { deadline, .. }
            | Self::Answering { deadline }
            | Self::Discarding { deadline, .. } => Some(deadline),
        }
    }

    /// Returns why the connection ends, for metrics and logs.
    pub(crate) const fn reason(self) -> CloseReason {
        match self {
            Self::Open | Self::Answering { .. } => CloseReason::PeerClosed,
            Self::Finishing { reason, .. }
            | Self::CloseSent { reason, .. }
            | Self::Discarding { reason, .. } => reason,
        }
    }
}

/// Result of reading from a connection.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A message, or a control frame that the library answers: a ping, a pong, a close.
    Message(Message),
    /// No complete message has arrived.
    Blocked,
    /// More data may have arrived, but the bytes that the connection may read in this turn are used
    /// up.
    ShareUsed,
    /// The closing handshake is complete except for the hub's answer, which is ready to be sent.
    Closed,
    /// The connection has ended without a closing handshake.
    Ended,
    /// The peer violated the protocol.
    Violation(CloseReason),
}

impl Connection {
    /// Creates the connection of a socket whose opening handshake is complete. Messages start with
    /// the bytes that were read beyond the handshake.
    pub(crate) fn new(
        transport: Transport,
        pending: PendingSession,
        config: &Config,
        now: Instant,
    ) -> Self {
        let PendingSession { read_already, handshake, permit } = pending;
        let message_bytes_max = config.command_size_max.as_usize().min(UNAUTHENTICATED_BYTES_MAX);
        let reader = Reader::new(message_bytes_max, read_already);
        let buffered = BufferedTransport { transport, out: Vec::new(), allowance: 0 };
        Self {
            reader,
            buffered,
            partial_frame: Vec::new(),
            stage: Stage::Open,
            handshake,
            auth_state: AuthState::AwaitingKey { until: now + config.auth_timeout, refused: 0 },
            unread: Bytes::new(),
            last_received: now,
            last_sent: now,
            next_ping: now + config.ping_interval,
            _permit: permit,
        }
    }

    /// Returns the time by which the connection must have ended or authenticated, if there is one.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => self.auth_state.deadline(),
            ending => ending.deadline(),
        }
    }

    /// Returns whether the session receives heartbeats and the state of its feed.
    pub(crate) fn receives_notices(&self) -> bool {
        self.handshake.protocol == SessionProtocol::Tickwire && self.auth_state.grant().is_some()
    }

    /// Returns the socket, without the buffer of outgoing control frames.
    pub(crate) fn transport(&mut self) -> &mut Transport {
        &mut self.buffered.transport
    }

    /// Returns the number of unwritten bytes outside the queues of the core: a partial frame,
    /// pongs, closes, TLS ciphertext.
    pub(crate) fn own_bytes(&self) -> usize {
        self.buffered.out.len()
            + self.partial_frame.len()
            + self.buffered.transport.pending_bytes_max()
    }

    /// Marks the session as authenticated and sets the largest size of its further messages.
    pub(crate) fn authenticate(&mut self, auth_state: AuthState, message_bytes_max: usize) {
        self.auth_state = auth_state;
        self.reader.set_message_bytes_max(message_bytes_max);
    }

    /// Sets how many bytes may be read from now on.
    pub(crate) fn allow_reading(&mut self, bytes: usize) {
        self.buffered.allowance = bytes;
    }

    /// Reads one message, or returns the unhandled commands of the previous one. The input of a
    /// peer that violated the protocol is dropped.
    pub(crate) fn read(&mut self, now: Instant) -> Inbound {
        let inbound = match self.stage {
            Stage::Discarding { .. } => self.discard(),
            Stage::Answering { .. } => Inbound::Blocked, // the peer's close frame is its last
            Stage::Open if matches!(self.auth_state, AuthState::Rejected { .. }) => {
                return Inbound::Blocked;
            }
            Stage::Open if !self.unread.is_empty() => {
                self.last_received = now;
                return Inbound::Message(Message::Binary(std::mem::take(&mut self.unread)));
            }
            _ => self.read_message(now),
        };
        match inbound {
            Inbound::Blocked if self.buffered.allowance == 0 => Inbound::ShareUsed,
            inbound => inbound,
        }
    }

    fn read_message(&mut self, now: Instant) -> Inbound {
        match self.reader.read(&mut self.buffered) {
            Ok(message) => {
                self.last_received = now;
                Inbound::Message(message)
            }
            Err(error) => classify(&error),
        }
    }

    /// Reads and drops the input of a peer that violated the protocol.
    fn discard(&mut self) -> Inbound {
        let mut bytes = [0; 4096];
        loop {
            match self.buffered.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Inbound::Blocked,
                Ok(0) | Err(_) => return Inbound::Ended,
            }
        }
    }

    /// Queues a ping, to be sent between two frames.
    pub(crate) fn ping(&mut self, now: Instant, interval: Duration) {
        self.next_ping = now + interval;
        self.buffered.out.extend_from_slice(&[0x89, 0]);
    }

    /// Queues the close frame, to be sent after the current frame.
    pub(crate) fn close(&mut self, frame: CloseFrame) {
        self.reader.close(&mut self.buffered, frame);
    }

    /// Writes the bytes that go before new frames: a partial frame, then pongs and closes. Returns
    /// whether all of them are written.
    pub(crate) fn write_own(&mut self) -> io::Result<bool> {
        loop {
            if self.partial_frame.is_empty() {
                std::mem::swap(&mut self.partial_frame, &mut self.buffered.out);
                if self.partial_frame.is_empty() {
                    return self.buffered.transport.flush();
                }
            }
            let Self { buffered, partial_frame, .. } = self;
            match buffered.transport.write(partial_frame)? {
                Written::Blocked => return Ok(false),
                Written::Bytes(count) if count == partial_frame.len() => {
                    *partial_frame = Vec::new();
                }
                Written::Bytes(count) => drop(partial_frame.drain(..count)),
            }
        }
    }

    /// Writes whole frames and keeps the bytes that the socket does not take. Returns whether all
    /// bytes are written.
    pub(crate) fn write(&mut self, frames: &[u8], now: Instant) -> io::Result<bool> {
        debug_assert!(self.partial_frame.is_empty(), "a partial frame goes first");
        let taken = match self.transport().write(frames)? {
            Written::Bytes(count) => count,
            Written::Blocked => 0,
        };
        if taken > 0 {
            self.last_sent = now;
        }
        if taken == frames.len() {
            return Ok(self.buffered.transport.pending_bytes_max() == 0);
        }
        self.partial_frame = frames[taken..].to_vec();
        Ok(false)
    }
}

/// Classifies an error of the WebSocket library.
fn classify(error: &tungstenite::Error) -> Inbound {
    use tungstenite::Error;
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Inbound::Blocked,
        Error::ConnectionClosed => Inbound::Closed,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Inbound::Violation(CloseReason::TooBig)
        }
        Error::Utf8(_) => Inbound::Violation(CloseReason::NotUtf8),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Inbound::Ended,
        Error::Protocol(_) => Inbound::Violation(CloseReason::Protocol),
        _ => Inbound::Ended,
    }
}

/// The stream that the WebSocket library reads and writes. Reads pass through to the socket; writes
/// are buffered until [`Connection::write_own`] sends them. Since a write never blocks, each call
/// holds whole frames.
#[derive(Debug)]
struct BufferedTransport {
    transport: Transport,
    out: Vec<u8>,
    /// Bytes that may still be read from the socket in this turn.
    allowance: usize,
}

impl Read for BufferedTransport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.transport.read(into, &mut self.allowance)
    }
}

impl Write for BufferedTransport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

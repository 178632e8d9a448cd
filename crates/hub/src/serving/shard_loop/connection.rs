//! One WebSocket connection: its socket, what reads it, and what is not yet written.

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

/// Largest message of a session that is not in, in bytes: it has a key to show and nothing else to say.
const STRANGER_BYTES_MAX: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Connection {
    /// Reads the tap; what it writes (pongs, closes) waits in there.
    reader: Reader,
    tap: Tap,
    /// A frame the socket took only a part of: nothing else may be sent before the rest.
    rest: Vec<u8>,
    pub(crate) stage: Stage,
    pub(crate) handshake: HandshakeInfo,
    pub(crate) login: AuthState,
    /// What is left of a message of which the first commands have been taken.
    pub(crate) unread: Bytes,
    pub(crate) heard: Instant,
    /// When data was last written; pings and pongs do not count, they say nothing to a program.
    pub(crate) sent: Instant,
    pub(crate) next_ping: Instant,
    _permit: SessionPermit,
}

/// Where a connection stands on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    /// It is to end for a reason: what is pending, then the close frame, go out first.
    Finishing {
        reason: CloseReason,
        deadline: Instant,
    },
    /// Our close frame is on its way; the peer's should come.
    CloseSent {
        reason: CloseReason,
        deadline: Instant,
    },
    /// The peer has closed; our answer is on its way.
    Answering {
        deadline: Instant,
    },
    /// The peer broke the protocol and was told; what it still sends is read and dropped, since
    /// closing on unread data would destroy our last words.
    Discarding {
        reason: CloseReason,
        deadline: Instant,
    },
}

impl Stage {
    pub(crate) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Open => None,
            Self::Finishing { deadline, .. }
            | Self::CloseSent { deadline, .. }
            | Self::Answering { deadline }
            | Self::Discarding { deadline, .. } => Some(deadline),
        }
    }

    pub(crate) const fn reason(self) -> CloseReason {
        match self {
            Self::Open | Self::Answering { .. } => CloseReason::PeerClosed,
            Self::Finishing { reason, .. }
            | Self::CloseSent { reason, .. }
            | Self::Discarding { reason, .. } => reason,
        }
    }
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A message, or what the library deals with itself: a ping, a pong, a close.
    Message(Message),
    /// Nothing more for now.
    Blocked,
    /// There may be more, but the connection has had its share of the turn.
    ShareUsed,
    /// The closing handshake is complete but for our answer, which is ready to be sent.
    Closed,
    /// The connection has ended without one.
    Ended,
    /// The peer broke the protocol.
    Broken(CloseReason),
}

impl Connection {
    /// Takes over a socket behind its opening handshake, with the bytes that were read too far.
    pub(crate) fn new(
        transport: Transport,
        pending: PendingSession,
        config: &Config,
        now: Instant,
    ) -> Self {
        let PendingSession { read_already, handshake, permit } = pending;
        let message_bytes_max = config.command_size_max.as_usize().min(STRANGER_BYTES_MAX);
        let reader = Reader::new(message_bytes_max, read_already);
        let tap = Tap { transport, out: Vec::new(), allowance: 0 };
        Self {
            reader,
            tap,
            rest: Vec::new(),
            stage: Stage::Open,
            handshake,
            login: AuthState::AwaitingKey { until: now + config.auth_timeout, refused: 0 },
            unread: Bytes::new(),
            heard: now,
            sent: now,
            next_ping: now + config.ping_interval,
            _permit: permit,
        }
    }

    /// When it is to be looked at: it has to have ended by then, or to be in.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => self.login.deadline(),
            ending => ending.deadline(),
        }
    }

    /// Whether it is told of feeds, and hears heartbeats.
    pub(crate) fn is_told_more(&self) -> bool {
        self.handshake.protocol == SessionProtocol::Tickwire && self.login.grant().is_some()
    }

    pub(crate) fn transport(&mut self) -> &mut Transport {
        &mut self.tap.transport
    }

    /// Bytes that wait to be written although the core has handed them over, or does not know of them:
    /// the rest of a frame, pongs, closes.
    pub(crate) fn own_bytes(&self) -> usize {
        self.tap.out.len() + self.rest.len() + self.tap.transport.pending_bytes_max()
    }

    /// It is in, and may send larger messages from the next one on.
    pub(crate) fn let_in(&mut self, login: AuthState, message_bytes_max: usize) {
        self.login = login;
        self.reader.set_message_bytes_max(message_bytes_max);
    }

    /// How many bytes may be read from now on.
    pub(crate) fn allow_reading(&mut self, bytes: usize) {
        self.tap.allowance = bytes;
    }

    /// Reads one message, or the rest of one. What a peer that was told off still sends is dropped.
    pub(crate) fn read(&mut self, now: Instant) -> Inbound {
        let inbound = match self.stage {
            Stage::Discarding { .. } => self.discard(),
            Stage::Answering { .. } => Inbound::Blocked, // it has said its last
            Stage::Open if matches!(self.login, AuthState::Rejected { .. }) => {
                return Inbound::Blocked;
            }
            Stage::Open if !self.unread.is_empty() => {
                self.heard = now;
                return Inbound::Message(Message::Binary(std::mem::take(&mut self.unread)));
            }
            _ => self.read_message(now),
        };
        match inbound {
            Inbound::Blocked if self.tap.allowance == 0 => Inbound::ShareUsed,
            inbound => inbound,
        }
    }

    fn read_message(&mut self, now: Instant) -> Inbound {
        match self.reader.read(&mut self.tap) {
            Ok(message) => {
                self.heard = now;
                Inbound::Message(message)
            }
            Err(error) => ended(&error),
        }
    }

    fn discard(&mut self) -> Inbound {
        let mut bytes = [0; 4096];
        loop {
            match self.tap.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Inbound::Blocked,
                Ok(0) | Err(_) => return Inbound::Ended,
            }
        }
    }

    /// Puts a ping between the frames.
    pub(crate) fn ping(&mut self, now: Instant, interval: Duration) {
        self.next_ping = now + interval;
        self.tap.out.extend_from_slice(&[0x89, 0]);
    }

    /// Puts the close frame behind the frame that is being sent.
    pub(crate) fn close(&mut self, frame: CloseFrame) {
        self.reader.close(&mut self.tap, frame);
    }

    /// Writes what has to go first: the rest of a frame, then pongs and closes. `true` when all of it
    /// is written.
    pub(crate) fn write_own(&mut self) -> io::Result<bool> {
        loop {
            if self.rest.is_empty() {
                std::mem::swap(&mut self.rest, &mut self.tap.out);
                if self.rest.is_empty() {
                    return self.tap.transport.flush();
                }
            }
            let Self { tap, rest, .. } = self;
            match tap.transport.write(rest)? {
                Written::Blocked => return Ok(false),
                Written::Bytes(count) if count == rest.len() => *rest = Vec::new(),
                Written::Bytes(count) => drop(rest.drain(..count)),
            }
        }
    }

    /// Writes whole frames and keeps what the socket does not take. `true` when it took everything.
    pub(crate) fn write(&mut self, frames: &[u8], now: Instant) -> io::Result<bool> {
        debug_assert!(self.rest.is_empty(), "the rest of a frame goes first");
        let taken = match self.transport().write(frames)? {
            Written::Bytes(count) => count,
            Written::Blocked => 0,
        };
        if taken > 0 {
            self.sent = now;
        }
        if taken == frames.len() {
            return Ok(self.tap.transport.pending_bytes_max() == 0);
        }
        self.rest = frames[taken..].to_vec();
        Ok(false)
    }
}

/// What the end of reading means.
fn ended(error: &tungstenite::Error) -> Inbound {
    use tungstenite::Error;
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Inbound::Blocked,
        Error::ConnectionClosed => Inbound::Closed,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Inbound::Broken(CloseReason::TooBig)
        }
        Error::Utf8(_) => Inbound::Broken(CloseReason::NotUtf8),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Inbound::Ended,
        Error::Protocol(_) => Inbound::Broken(CloseReason::Protocol),
        _ => Inbound::Ended,
    }
}

/// What the library takes for its socket: reads pass through, writes are kept until it is their turn.
/// Since a write never blocks, each call holds whole frames.
#[derive(Debug)]
struct Tap {
    transport: Transport,
    out: Vec<u8>,
    /// Bytes that may still be read from the socket in this turn.
    allowance: usize,
}

impl Read for Tap {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.transport.read(into, &mut self.allowance)
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

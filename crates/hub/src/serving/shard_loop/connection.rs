//! One WebSocket connection: its socket, its reader, and its unwritten bytes.

use std::io;
use std::time::{Duration, Instant};

use super::transport::{Transport, Written};
use crate::access::admission::SessionPermit;
use crate::access::auth_state::AuthState;
use crate::config::Config;
use crate::fanout::CloseReason;
use crate::serving::new_connection::{HandshakeInfo, PendingSession};
use crate::serving::session_protocol::SessionProtocol;
use crate::state::views::LIVE_TIMELINE;
use crate::websocket::{
    BudgetAccount, CloseFrame, Message, MessageError, Opcode, Payload, Reader, ReaderConfig,
    write_close, write_frame,
};

/// Largest message of an unauthenticated session, in bytes. Such a session sends only its key.
const UNAUTHENTICATED_BYTES_MAX: usize = 4_096;

/// Most bytes read at once between two messages. Most commands fit, and a session whose commands
/// wait keeps no more bytes than these.
const READ_BYTES: usize = 2 * 1024;
/// Most bytes read at once within a large message.
const READ_BYTES_MAX: usize = 16 * 1024;

/// One WebSocket connection and the state of its session that concerns I/O.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: Reader,
    transport: Transport,
    /// Bytes that may still be read from the socket in this turn.
    read_allowance: usize,
    /// Whole control frames that the next [`Connection::write_own`] sends.
    control_frames: Vec<u8>,
    /// Whether the close frame is queued or sent. No control frame follows it.
    close_queued: bool,
    /// Unwritten part of a frame that the socket took in part. Nothing else may be sent before.
    partial_frame: Vec<u8>,
    pub(crate) stage: Stage,
    pub(crate) handshake: HandshakeInfo,
    pub(crate) auth_state: AuthState,
    /// Index of the timeline whose state of the feed the session is sent: the live one, if the
    /// client may read the feed live.
    pub(crate) feed_timeline: usize,
    /// Commands of a message that are not handled yet.
    pub(crate) unread: Payload,
    /// When bytes were last received, or a message that had waited was read.
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
    /// A message, a ping that is answered already, or a pong.
    Message(Message),
    /// No complete message has arrived.
    Blocked,
    /// More data may have arrived, but the bytes that the connection may read in this turn are used
    /// up.
    ShareUsed,
    /// The peer has sent its close frame. The hub's close frame is queued or sent.
    Closed,
    /// The connection has ended without a closing handshake.
    Ended,
    /// The peer violated the protocol or exceeded a limit.
    Violation(CloseReason),
}

impl Connection {
    /// Creates the connection of a socket whose opening handshake is complete. Messages start with
    /// the bytes that were read beyond the handshake.
    pub(crate) fn new(
        transport: Transport,
        pending: PendingSession,
        account: BudgetAccount,
        config: &Config,
        now: Instant,
    ) -> Self {
        let PendingSession { read_already, handshake, permit } = pending;
        let message_bytes_max = config.command_size_max.as_usize().min(UNAUTHENTICATED_BYTES_MAX);
        let reader_config = ReaderConfig { message_bytes_max, compression: false };
        Self {
            reader: Reader::new(reader_config, account, read_already),
            transport,
            read_allowance: 0,
            control_frames: Vec::new(),
            close_queued: false,
            partial_frame: Vec::new(),
            stage: Stage::Open,
            handshake,
            auth_state: AuthState::AwaitingKey { until: now + config.auth_timeout, refused: 0 },
            feed_timeline: LIVE_TIMELINE,
            unread: Payload::default(),
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

    /// Returns the byte stream of the connection.
    pub(crate) const fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// Returns the number of unwritten bytes outside the queues of the core: a partial frame,
    /// pongs, closes, TLS ciphertext.
    pub(crate) fn own_bytes(&self) -> usize {
        self.control_frames.len() + self.partial_frame.len() + self.transport.pending_bytes_max()
    }

    /// Marks the session as authenticated and sets the largest size of its further messages.
    pub(crate) fn authenticate(&mut self, auth_state: AuthState, message_bytes_max: usize) {
        self.auth_state = auth_state;
        self.reader.set_message_bytes_max(message_bytes_max);
    }

    /// Sets how many bytes may be read from now on.
    pub(crate) const fn allow_reading(&mut self, bytes: usize) {
        self.read_allowance = bytes;
    }

    /// Returns when the message that has not ended began, if there is one.
    pub(crate) fn message_began(&self) -> Option<Instant> {
        self.reader.incomplete_since()
    }

    /// Returns whether the budget has evicted a message of the session.
    pub(crate) fn is_evicted(&self) -> bool {
        self.reader.is_evicted() || self.unread.is_evicted()
    }

    /// Reads one message, or returns the unhandled commands of the previous one. The input of a
    /// peer that violated the protocol is dropped.
    ///
    /// A message that takes longer than `message_timeout` is a violation. The time is checked once
    /// all bytes that have arrived are read, so that a hub that was late itself closes no session
    /// for that. While more may have arrived, the message has another second.
    pub(crate) fn read(&mut self, now: Instant, message_timeout: Duration) -> Inbound {
        let inbound = match self.stage {
            Stage::Discarding { .. } => self.discard(),
            Stage::Answering { .. } => Inbound::Blocked, // the peer's close frame is its last
            Stage::Open if matches!(self.auth_state, AuthState::Rejected { .. }) => {
                return Inbound::Blocked;
            }
            Stage::Open if !self.unread.bytes.is_empty() => {
                self.last_received = now;
                return Inbound::Message(Message::Binary(std::mem::take(&mut self.unread)));
            }
            _ => self.read_message(now),
        };
        let inbound = match inbound {
            Inbound::Blocked if self.read_allowance == 0 => Inbound::ShareUsed,
            inbound => inbound,
        };
        let is_overdue = self.stage == Stage::Open
            && match inbound {
                Inbound::Blocked => self.reader.is_overdue(now, message_timeout),
                // A message after which another one is incomplete is a ping or a pong within it.
                Inbound::ShareUsed | Inbound::Message(_) => {
                    self.reader.is_overdue_unread(now, message_timeout)
                }
                Inbound::Closed | Inbound::Ended | Inbound::Violation(_) => false,
            };
        if is_overdue { Inbound::Violation(CloseReason::MessageTimeout) } else { inbound }
    }

    /// Does not count `time`, in which the process was suspended until `now`, against the client.
    pub(crate) fn forgive(&mut self, time: Duration, now: Instant) {
        self.last_received = (self.last_received + time).min(now);
        self.reader.forgive(time, now);
    }

    fn read_message(&mut self, now: Instant) -> Inbound {
        loop {
            let message = match self.reader.next(now) {
                Ok(None) => match self.read_some(now) {
                    Ok(message) => message,
                    Err(error) => return classify(&error),
                },
                next => next,
            };
            match message {
                Ok(None) => {}
                Ok(Some(message)) => {
                    self.last_received = now; // also of bytes that were read earlier
                    return self.answer(message);
                }
                Err(error) => return Inbound::Violation(error.into()),
            }
        }
    }

    /// Reads some bytes, and returns the first message that ends in them.
    fn read_some(&mut self, now: Instant) -> io::Result<Result<Option<Message>, MessageError>> {
        match self.reader.missing_bytes() > READ_BYTES as u64 {
            true => self.read_at_once::<READ_BYTES_MAX>(now),
            false => self.read_at_once::<READ_BYTES>(now),
        }
    }

    /// Reads up to `N` bytes. Their buffer is on the stack, so that a waiting connection holds
    /// none.
    fn read_at_once<const N: usize>(
        &mut self,
        now: Instant,
    ) -> io::Result<Result<Option<Message>, MessageError>> {
        let mut bytes = [0; N];
        match self.transport.read(&mut bytes, &mut self.read_allowance)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.last_received = now;
                Ok(self.reader.take(&bytes[..count], now))
            }
        }
    }

    /// Queues the answer to a ping or a close frame.
    fn answer(&mut self, message: Message) -> Inbound {
        match message {
            Message::Close(frame) => {
                if !self.close_queued {
                    write_close(frame.as_ref(), &mut self.control_frames);
                    self.close_queued = true;
                }
                Inbound::Closed
            }
            Message::Ping(payload) => {
                if !self.close_queued {
                    write_frame(Opcode::Pong, &payload, &mut self.control_frames);
                }
                Inbound::Message(Message::Ping(payload))
            }
            message => Inbound::Message(message),
        }
    }

    /// Reads and drops the input of a peer that violated the protocol.
    fn discard(&mut self) -> Inbound {
        let mut bytes = [0; 4096];
        loop {
            match self.transport.read(&mut bytes, &mut self.read_allowance) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Inbound::Blocked,
                Ok(0) | Err(_) => return Inbound::Ended,
            }
        }
    }

    /// Drops the bytes of messages. The session ends, and its further input is discarded.
    pub(crate) fn drop_messages(&mut self) {
        self.reader.clear();
        self.unread = Payload::default();
    }

    /// Queues a ping, to be sent between two frames.
    pub(crate) fn ping(&mut self, now: Instant, interval: Duration) {
        self.next_ping = now + interval;
        write_frame(Opcode::Ping, &[], &mut self.control_frames);
    }

    /// Queues the close frame, to be sent after the current frame, unless one was queued before.
    pub(crate) fn close(&mut self, frame: &CloseFrame) {
        if !self.close_queued {
            write_close(Some(frame), &mut self.control_frames);
            self.close_queued = true;
        }
    }

    /// Writes the bytes that go before new frames: a partial frame, then pongs and closes. Returns
    /// whether all of them are written.
    pub(crate) fn write_own(&mut self) -> io::Result<bool> {
        loop {
            if self.partial_frame.is_empty() {
                std::mem::swap(&mut self.partial_frame, &mut self.control_frames);
                if self.partial_frame.is_empty() {
                    return self.transport.flush();
                }
            }
            let Self { transport, partial_frame, .. } = self;
            match transport.write(partial_frame)? {
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
        let taken = match self.transport.write(frames)? {
            Written::Bytes(count) => count,
            Written::Blocked => 0,
        };
        if taken > 0 {
            self.last_sent = now;
        }
        if taken == frames.len() {
            return Ok(self.transport.pending_bytes_max() == 0);
        }
        self.partial_frame = frames[taken..].to_vec();
        Ok(false)
    }
}

/// Classifies an error of the socket.
fn classify(error: &io::Error) -> Inbound {
    match error.kind() {
        io::ErrorKind::WouldBlock => Inbound::Blocked,
        _ => Inbound::Ended,
    }
}

//! Messages of clients.

use bytes::Bytes;

use super::CloseFrame;
use super::message_budget::Reservation;

/// A message, or a control frame.
#[derive(Debug)]
pub enum Message {
    /// Text. It is UTF-8, unless it is compressed.
    Text(Payload),
    /// Binary data.
    Binary(Payload),
    /// A ping, to be answered with a pong that has the same payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// The close frame, to be answered with a close frame unless one was sent before. The peer
    /// sends nothing after it.
    Close(Option<CloseFrame>),
}

/// The payload of a message. Its memory counts in the budget until it is dropped.
#[derive(Debug, Default)]
pub struct Payload {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether the bytes are compressed with permessage-deflate. They are as they were received,
    /// without the four bytes that RFC 7692 section 7.2.2 appends.
    pub is_compressed: bool,
    pub(super) reservation: Option<Reservation>,
}

impl Payload {
    /// Returns whether the payload is dropped from the budget, so that its session has to end.
    pub(crate) fn is_evicted(&self) -> bool {
        self.reservation.as_ref().is_some_and(Reservation::is_evicted)
    }
}

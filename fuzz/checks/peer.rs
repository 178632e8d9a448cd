//! The peer of a session: tungstenite, which receives the written bytes in pieces of random length.

use std::io::{self, Read, Write};

use tickwire_protocol::{Element, Encoding, Tick, decode_message};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::input::SeededRandom;

/// A client that accepts only what RFC 6455 allows a server to send.
pub(super) struct Peer {
    library: WebSocketContext,
    socket: Socket,
}

struct Socket {
    /// Bytes written for the peer.
    bytes: Vec<u8>,
    /// Start of the unread bytes.
    read: usize,
    /// Chooses the length of each read.
    cuts: SeededRandom,
}

impl Peer {
    pub(super) fn new(seed: u64) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(512);
        let library = WebSocketContext::new(Role::Client, Some(config));
        Self {
            library,
            socket: Socket { bytes: Vec::new(), read: 0, cuts: SeededRandom::new(seed) },
        }
    }

    /// Returns the messages in the bytes that the hub has written, which must end with a whole
    /// frame.
    pub(super) fn read(&mut self, written: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        self.socket.bytes.drain(..self.socket.read);
        self.socket.read = 0;
        self.socket.bytes.extend_from_slice(written);
        loop {
            match self.library.read(&mut self.socket) {
                Ok(message) => messages.push(message),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.socket.read == self.socket.bytes.len() {
                        return messages;
                    }
                }
                Err(Error::ConnectionClosed) => return messages,
                Err(error) => panic!("the client cannot read the frames: {error}"),
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let unread = &self.bytes[self.read..];
        let count_max = into.len().min(unread.len());
        let count = match self.cuts.below(4) {
            _ if count_max == 0 => 0,
            0 => 0,
            1 => 1,
            _ => 1 + self.cuts.below(count_max),
        };
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        into[..count].copy_from_slice(&unread[..count]);
        self.read += count;
        Ok(count)
    }
}

/// Discards what the client sends, such as pongs and close frames.
impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decodes the elements of a message from the hub, which must be in the session's encoding.
pub(super) fn elements(message: &Message, encoding: Encoding) -> Vec<Element> {
    assert_eq!(message.is_binary(), encoding.is_binary());
    let bytes = payload(message);
    decode_message(bytes, encoding)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

pub(super) fn payload(message: &Message) -> &[u8] {
    match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
        other => panic!("not a data message: {other:?}"),
    }
}

/// Returns the ticks among the elements.
pub(super) fn ticks(elements: Vec<Element>) -> impl Iterator<Item = Tick> {
    elements.into_iter().filter_map(|element| match element {
        Element::Tick(tick) => Some(tick),
        Element::Control(_) => None,
    })
}

//! Compares the reader with another library, under random frames that arrive in random pieces.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tickwire_testkit::seeds;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

use super::*;

/// Frames that a client may send.
#[derive(Debug, Clone)]
enum Sent {
    Text(usize),
    Ping(usize),
    Pong(usize),
    /// A fragmented message, with a ping after the first fragment.
    Fragments(Vec<usize>),
    /// A frame whose length takes more bytes than needed.
    Padded(usize, usize),
    Close(u16),
    /// A frame that may be invalid.
    Any(u8, Vec<u8>),
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let letters = |count: &usize| "lätters ".bytes().cycle().take(*count).collect::<Vec<_>>();
        match self {
            Self::Text(count) => text(&"letters ".repeat(count / 8 + 1)[..*count]),
            Self::Ping(count) => frame(FINAL | PING, &letters(count)),
            Self::Pong(count) => frame(FINAL | PONG, &letters(count)),
            Self::Padded(count, length_bytes) => {
                frame_with(FINAL | BINARY, &letters(count), *length_bytes)
            }
            Self::Fragments(counts) => {
                let mut bytes = frame(BINARY, b"");
                bytes.extend(frame(FINAL | PING, b"between"));
                for count in counts {
                    bytes.extend(frame(0, &letters(count)));
                }
                bytes.extend(frame(FINAL, b""));
                bytes
            }
            Self::Close(code) => frame(FINAL | CLOSE, &code.to_be_bytes()),
            Self::Any(first, payload) => frame(*first, payload),
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let size = prop_oneof![0_usize..130, 0_usize..5_000, 65_530_usize..65_540];
    prop_oneof![
        8 => size.clone().prop_map(Sent::Text),
        2 => (0_usize..=125).prop_map(Sent::Ping),
        2 => (0_usize..=125).prop_map(Sent::Pong),
        2 => vec(size, 0..4).prop_map(Sent::Fragments),
        2 => (0_usize..=125, prop_oneof![Just(2), Just(8)]).prop_map(|(n, l)| Sent::Padded(n, l)),
        1 => prop_oneof![Just(1000_u16), any::<u16>()]
            .prop_filter("the other library refuses 1014", |code| *code != 1014)
            .prop_map(Sent::Close),
        1 => (any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(first, bytes)| Sent::Any(first, bytes)),
    ]
}

/// A stream that returns `bytes` and then blocks.
struct Bytes(VecDeque<u8>);

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what another library reads, and the error at the end.
fn oracle(bytes: &[u8]) -> Result<Vec<Seen>, (Vec<Seen>, MessageError)> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let stream = Bytes(bytes.iter().copied().collect());
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut messages = Vec::new();
    loop {
        messages.push(match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Seen::Text(text.as_bytes().to_vec()),
            Ok(tungstenite::Message::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
            Ok(tungstenite::Message::Ping(bytes)) => Seen::Ping(bytes.to_vec()),
            Ok(tungstenite::Message::Pong(_)) => Seen::Pong,
            Ok(tungstenite::Message::Close(Some(frame)))
                if frame.reason.as_str() == "Protocol violation" =>
            {
                return Err((messages, MessageError::Protocol)); // a code that may not be sent
            }
            Ok(tungstenite::Message::Close(frame)) => {
                let frame = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                messages.push(Seen::Close(frame));
                return Ok(messages);
            }
            Ok(tungstenite::Message::Frame(frame)) => panic!("{frame:?}"),
            Err(Error::Io(_)) => return Ok(messages),
            Err(Error::Utf8(_)) => return Err((messages, MessageError::NotUtf8)),
            Err(Error::Capacity(_)) => return Err((messages, MessageError::TooBig)),
            Err(_) => return Err((messages, MessageError::Protocol)),
        });
    }
}

proptest! {
    #![proptest_config(seeds!().proptest(256))]

    /// The reader finds an error in the first byte that shows it, so it may find another one than a
    /// library that looks at whole frames and messages.
    #[test]
    fn reader_agrees_with_another_library_however_the_bytes_arrive(
        sent in vec(sent(), 1..12),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        let whole = take_all(&mut reader(), &bytes);
        match (&whole, oracle(&bytes)) {
            (Ok(messages), expected) => prop_assert_eq!(&expected, &Ok(messages.clone())),
            (Err((messages, _)), Ok(expected) | Err((expected, _))) => {
                prop_assert!(expected.starts_with(messages));
            }
        }

        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut reader = reader();
        let mut messages = Vec::new();
        let mut start = 0;
        let mut error = None;
        for end in ends {
            let is_closed = matches!(messages.last(), Some(Seen::Close(_)));
            if error.is_some() || is_closed {
                break;
            }
            match take_all(&mut reader, &bytes[start..end]) {
                Ok(more) => messages.extend(more),
                Err((more, why)) => {
                    messages.extend(more);
                    error = Some(why);
                }
            }
            start = end;
        }
        let pieces = match error {
            None => Ok(messages),
            Some(error) => Err((messages, error)),
        };
        prop_assert_eq!(pieces, whole);
    }
}

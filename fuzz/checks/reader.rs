//! Checks the reader of WebSocket messages: bytes split anywhere give the same messages as the
//! whole, and no others than another library (tungstenite) finds.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tickwire_hub::{Message, MessageBudget, MessageError, Reader, ReaderConfig};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::budget::account;
use super::clock::start;
use super::input::Input;

const MESSAGE_BYTES_MAX: usize = 100_000;
/// Enough for every message: the memory of a message depends on where its bytes are split.
const BUDGET_BYTES: usize = 1 << 20;
/// Most memory that a message may hold beyond its bytes.
const EXCESS_BYTES_MAX: usize = 16 * 1024;

/// What is compared of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

/// The messages before an error, or before the end of the bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Found>,
    error: Option<MessageError>,
}

/// Takes the first bytes as the lengths of pieces, and the others as decisions: raw bytes, or
/// frames of any kind.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let count = usize::from(input.byte() % 32);
    let pieces: Vec<_> = (0..count).map(|_| usize::from(input.number())).collect();
    let stream = stream(&mut input);
    let whole = read(&stream, &[]);
    assert_eq!(read(&stream, &pieces), whole, "pieces of {pieces:?}");
    let expected = oracle(&stream);
    match whole.error {
        None => assert_eq!(whole, expected),
        // The reader finds an error in the first byte that shows it; the library later.
        Some(_) => assert!(expected.messages.starts_with(&whole.messages)),
    }
}

/// Builds what a client sends.
fn stream(input: &mut Input<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    while !input.is_empty() {
        let kind = input.byte();
        let first = match kind % 8 {
            0 => {
                let count = usize::from(input.byte());
                stream.extend_from_slice(input.take(count));
                continue;
            }
            1 => 0x81,
            2 => 0x82,
            3 => 0x01,
            4 => 0x00,
            5 => 0x80,
            6 => 0x89,
            _ => input.byte(),
        };
        let length = usize::from(input.number()) >> (kind >> 4);
        let seed = input.take(16);
        let payload: Vec<u8> = match seed {
            [] => vec![b' '; length],
            seed => seed.iter().copied().cycle().take(length).collect(),
        };
        append_frame(first, &payload, &mut stream);
    }
    stream
}

fn append_frame(first: u8, payload: &[u8], stream: &mut Vec<u8>) {
    stream.push(first);
    match u8::try_from(payload.len()) {
        Ok(short @ 0..=125) => stream.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).expect("a length has two bytes");
            stream.push(0x80 | 126);
            stream.extend_from_slice(&length.to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    stream.extend_from_slice(&mask);
    stream.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Reads a stream that arrives in pieces of these lengths, and the rest at once.
fn read(stream: &[u8], pieces: &[usize]) -> Outcome {
    let budget = MessageBudget::new(BUDGET_BYTES);
    let config = ReaderConfig { message_bytes_max: MESSAGE_BYTES_MAX, compression: false };
    let mut reader = Reader::new(config, account(&budget), Vec::new());
    let mut now = start();
    let mut messages = Vec::new();
    let mut rest = stream;
    for length in pieces.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        now += Duration::from_secs(1);
        if let Err(error) = read_piece(&mut reader, piece, now, &mut messages) {
            return Outcome { messages, error: Some(error) };
        }
        if matches!(messages.last(), Some(Found::Close(_))) {
            return Outcome { messages, error: None };
        }
        assert!(reader.incomplete_since() <= Some(now));
        let arrived = stream.len() - rest.len();
        assert!(budget.bytes() <= arrived + EXCESS_BYTES_MAX, "memory for bytes that arrived");
    }
    if reader.is_idle() {
        assert_eq!((reader.incomplete_since(), budget.bytes()), (None, 0), "an idle reader");
    }
    Outcome { messages, error: None }
}

fn read_piece(
    reader: &mut Reader,
    piece: &[u8],
    now: Instant,
    messages: &mut Vec<Found>,
) -> Result<(), MessageError> {
    let mut next = reader.take(piece, now)?;
    while let Some(message) = next {
        messages.push(match message {
            Message::Text(payload) => {
                assert!(str::from_utf8(&payload.bytes).is_ok(), "text is UTF-8");
                Found::Text(payload.bytes.to_vec())
            }
            Message::Binary(payload) => Found::Binary(payload.bytes.to_vec()),
            Message::Ping(payload) => Found::Ping(payload),
            Message::Pong => Found::Pong,
            Message::Close(frame) => {
                let frame = frame.map(|frame| (frame.code, frame.reason));
                messages.push(Found::Close(frame.map(as_the_library_sees_it)));
                return Ok(());
            }
        });
        next = reader.next(now)?;
    }
    Ok(())
}

/// Returns what the other library reports for a close frame. It refuses the code 1014, which IANA
/// has registered for gateways.
fn as_the_library_sees_it((code, reason): (u16, String)) -> (u16, String) {
    match code {
        1014 => (1002, "Protocol violation".to_owned()),
        _ => (code, reason),
    }
}

/// Bytes that a library reads; what it writes is discarded.
struct Socket<'a>(&'a [u8]);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a stream with another library.
fn oracle(stream: &[u8]) -> Outcome {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut library = WebSocketContext::new(Role::Server, Some(config));
    let mut socket = Socket(stream);
    let mut messages = Vec::new();
    loop {
        messages.push(match library.read(&mut socket) {
            Ok(tungstenite::Message::Text(text)) => Found::Text(text.as_bytes().to_vec()),
            Ok(tungstenite::Message::Binary(bytes)) => Found::Binary(bytes.to_vec()),
            Ok(tungstenite::Message::Ping(bytes)) => Found::Ping(bytes.to_vec()),
            Ok(tungstenite::Message::Pong(_)) => Found::Pong,
            Ok(tungstenite::Message::Close(frame)) => {
                let frame = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                messages.push(Found::Close(frame));
                return Outcome { messages, error: None };
            }
            Ok(tungstenite::Message::Frame(frame)) => panic!("not a message: {frame:?}"),
            Err(tungstenite::Error::Io(_)) => return Outcome { messages, error: None },
            Err(_) => return Outcome { messages, error: Some(MessageError::Protocol) },
        });
    }
}

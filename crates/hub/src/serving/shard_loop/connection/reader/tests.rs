use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tickwire_testkit::seeds;
use tungstenite::WebSocket;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::CloseCode;

use super::*;

const MESSAGE_BYTES_MAX: usize = 1 << 20;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FINAL: u8 = 0x80;

/// A stream that returns `bytes` and then blocks.
#[derive(Default)]
struct FakeStream {
    bytes: VecDeque<u8>,
    written: Vec<u8>,
}

impl FakeStream {
    fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.iter().copied().collect(), written: Vec::new() }
    }
}

impl Read for FakeStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for FakeStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Builds a frame of a client whose length takes `length_bytes` (0, 2 or 8) additional bytes.
fn frame_with(first: u8, payload: &[u8], length_bytes: usize) -> Vec<u8> {
    let length = payload.len() as u64;
    let mut frame = vec![first];
    match length_bytes {
        0 => frame.push(0x80 | u8::try_from(length).unwrap()),
        2 => frame.push(0x80 | 126),
        _ => frame.push(0x80 | 127),
    }
    frame.extend_from_slice(&length.to_be_bytes()[8 - length_bytes..]);
    let mask = [7, 11, 13, 17];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length_bytes = frame_bytes_min(payload.len()) - payload.len() - 6;
    frame_with(first, payload, length_bytes)
}

fn text(text: &str) -> Vec<u8> {
    frame(FINAL | TEXT, text.as_bytes())
}

fn reader() -> Reader {
    Reader::new(MESSAGE_BYTES_MAX, Vec::new())
}

fn blocks(read: Result<Message, Error>) -> bool {
    matches!(read, Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Reads messages until the stream blocks.
fn read_all(reader: &mut Reader, stream: &mut FakeStream) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        match reader.read(stream) {
            Ok(message) => messages.push(message),
            error => {
                assert!(blocks(error));
                return messages;
            }
        }
    }
}

fn close_frame() -> CloseFrame {
    CloseFrame { code: CloseCode::Away, reason: "bye".into() }
}

#[test]
fn library_is_dropped_once_all_bytes_have_become_messages() {
    for payload in [0, 1, 125, 126, 2_048, 65_535, 65_536, 300_000] {
        let mut stream = FakeStream::new(&frame(FINAL | BINARY, &vec![3; payload]));
        let mut reader = reader();
        assert_eq!(reader.read(&mut stream).unwrap(), Message::binary(vec![3; payload]));
        assert!(reader.library.is_some(), "more may be in its buffer");
        assert!(blocks(reader.read(&mut stream)));
        assert!(reader.library.is_none(), "{payload}");
    }
}

#[test]
fn read_without_data_leaves_no_library() {
    let mut reader = reader();
    assert!(reader.library.is_none());
    assert!(blocks(reader.read(&mut FakeStream::default())));
    assert!(reader.library.is_none());
}

#[test]
fn bytes_read_with_the_handshake_come_first() {
    let (first, second) = (text("first"), text("second"));
    let (early, late) = second.split_at(4);
    let mut reader = Reader::new(MESSAGE_BYTES_MAX, [first.as_slice(), early].concat());
    let mut stream = FakeStream::new(late);
    let expected = [Message::text("first"), Message::text("second")];
    assert_eq!(read_all(&mut reader, &mut stream), expected);
    assert!(reader.library.is_none());
}

#[test]
fn partial_message_keeps_its_bytes_wherever_it_is_split() {
    let second = text(&"x".repeat(300));
    for cut in 1..second.len() {
        let (early, late) = second.split_at(cut);
        let mut reader = reader();
        let mut stream = FakeStream::new(&[text("first").as_slice(), early].concat());
        assert_eq!(read_all(&mut reader, &mut stream), [Message::text("first")]);
        assert!(reader.library.is_some(), "{cut}");
        stream.bytes.extend(late);
        assert_eq!(read_all(&mut reader, &mut stream), [Message::text("x".repeat(300))], "{cut}");
        assert!(reader.library.is_none(), "{cut}");
    }
}

#[test]
fn fragmented_message_survives_a_pause_between_fragments() {
    let mut reader = reader();
    let mut stream = FakeStream::new(&frame(TEXT, b"to"));
    assert_eq!(read_all(&mut reader, &mut stream), []);
    stream.bytes.extend(frame(FINAL | PING, b"?"));
    assert_eq!(read_all(&mut reader, &mut stream), [Message::Ping("?".into())]);
    stream.bytes.extend(frame(FINAL, b"gether"));
    assert_eq!(read_all(&mut reader, &mut stream), [Message::text("together")]);
}

/// Covers the only size at which fragments are as long as the whole message: they have two short
/// headers instead of a long one.
#[test]
fn fragments_as_long_as_the_whole_message_are_complete() {
    let mut reader = reader();
    let mut stream = FakeStream::new(&frame(BINARY, &[1; 65_535]));
    assert_eq!(read_all(&mut reader, &mut stream), []);
    assert!(reader.library.is_some());
    stream.bytes.extend(frame(FINAL, &[1]));
    stream.bytes.extend(frame(FINAL | PONG, b""));
    let expected = [Message::binary(vec![1; 65_536]), Message::Pong(Default::default())];
    assert_eq!(read_all(&mut reader, &mut stream), expected);
    assert!(reader.library.is_none());
}

#[test]
fn ping_is_answered_once() {
    let mut reader = reader();
    let mut stream = FakeStream::new(&frame(FINAL | PING, b"ping"));
    assert_eq!(read_all(&mut reader, &mut stream), [Message::Ping("ping".into())]);
    assert!(reader.library.is_none());
    assert_eq!(read_all(&mut reader, &mut stream), []);
    assert_eq!(stream.written, b"\x8a\x04ping");
}

#[test]
fn close_of_the_hub_is_written_once_and_its_answer_is_read() {
    let mut reader = reader();
    let mut stream = FakeStream::new(&text("before"));
    assert_eq!(read_all(&mut reader, &mut stream), [Message::text("before")]);
    reader.close(&mut stream, close_frame());
    let written = b"\x88\x05\x03\xe9bye";
    assert_eq!(stream.written, written);
    stream.bytes.extend(text("on its way"));
    assert_eq!(read_all(&mut reader, &mut stream), [Message::text("on its way")]);
    reader.close(&mut stream, close_frame());
    stream.bytes.extend(frame(FINAL | CLOSE, &1001_u16.to_be_bytes()));
    assert!(matches!(reader.read(&mut stream), Ok(Message::Close(_))));
    assert!(matches!(reader.read(&mut stream), Err(Error::ConnectionClosed)));
    assert_eq!(stream.written, written);
}

#[test]
fn close_of_the_peer_is_answered_once_and_ends_reading() {
    for payload in [&b""[..], b"\x03\xe8"] {
        let mut reader = reader();
        let frames = [text("last words"), frame(FINAL | CLOSE, payload), text("ignored")];
        let mut stream = FakeStream::new(&frames.concat());
        assert_eq!(reader.read(&mut stream).unwrap(), Message::text("last words"));
        assert!(matches!(reader.read(&mut stream), Ok(Message::Close(_))));
        reader.close(&mut stream, close_frame());
        let answer = [&[0x88, u8::try_from(payload.len()).unwrap()], payload].concat();
        assert_eq!(stream.written, answer);
        assert!(!blocks(reader.read(&mut stream)));
        assert_eq!(stream.written, answer);
    }
}

#[test]
fn protocol_violation_is_answered_with_one_close() {
    let unmasked = [FINAL | TEXT, 2, b'{', b'}'];
    let mut reader = reader();
    let mut stream = FakeStream::new(&[text("fine"), unmasked.to_vec()].concat());
    assert_eq!(reader.read(&mut stream).unwrap(), Message::text("fine"));
    let broken = reader.read(&mut stream);
    assert!(matches!(broken, Err(Error::Protocol(ProtocolError::UnmaskedFrameFromClient))));
    reader.close(&mut stream, close_frame());
    reader.close(&mut stream, close_frame());
    assert_eq!(stream.written, b"\x88\x05\x03\xe9bye");
}

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
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let letters = |count: &usize| b"letters ".iter().copied().cycle().take(*count).collect();
        let payload: Vec<u8> = match self {
            Self::Text(count) | Self::Ping(count) | Self::Pong(count) => letters(count),
            Self::Padded(count, _) => letters(count),
            Self::Fragments(_) => Vec::new(),
        };
        match self {
            Self::Text(_) => frame(FINAL | TEXT, &payload),
            Self::Ping(_) => frame(FINAL | PING, &payload),
            Self::Pong(_) => frame(FINAL | PONG, &payload),
            Self::Padded(_, length_bytes) => frame_with(FINAL | TEXT, &payload, *length_bytes),
            Self::Fragments(counts) => {
                let mut bytes = frame(TEXT, b"");
                bytes.extend(frame(FINAL | PING, b"between"));
                for count in counts {
                    bytes.extend(frame(0, &letters(count)));
                }
                bytes.extend(frame(FINAL, b""));
                bytes
            }
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let size = prop_oneof![0_usize..130, 0_usize..5_000, 65_530_usize..65_540];
    prop_oneof![
        6 => size.clone().prop_map(Sent::Text),
        1 => (0_usize..=125).prop_map(Sent::Ping),
        1 => (0_usize..=125).prop_map(Sent::Pong),
        1 => vec(size, 0..4).prop_map(Sent::Fragments),
        1 => (0_usize..=125, prop_oneof![Just(2), Just(8)]).prop_map(|(n, l)| Sent::Padded(n, l)),
    ]
}

proptest! {
    #![proptest_config(seeds!().proptest(256))]

    /// Compares messages and answers with those of a library that is never dropped, however the
    /// bytes arrive. The library is dropped whenever an idle connection has sent only plain
    /// messages.
    #[test]
    fn dropping_the_library_changes_nothing(
        sent in vec(sent(), 1..12),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let frames: Vec<Vec<u8>> = sent.iter().map(Sent::bytes).collect();
        let bytes = frames.concat();
        let mut whole = WebSocket::from_raw_socket(FakeStream::new(&bytes), Role::Server, None);
        let expected: Vec<Message> = std::iter::from_fn(|| whole.read().ok()).collect();

        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut reader, mut stream) = (reader(), FakeStream::default());
        let (mut messages, mut start) = (Vec::new(), 0);
        for end in ends {
            stream.bytes.extend(&bytes[start..end]);
            messages.extend(read_all(&mut reader, &mut stream));
            start = end;
        }
        prop_assert_eq!(messages, expected);
        prop_assert_eq!(&stream.written, &whole.get_ref().written);
        let plain = |sent: &Sent| !matches!(sent, Sent::Fragments(_) | Sent::Padded(..));
        if sent.iter().all(plain) {
            prop_assert!(reader.library.is_none());
        }
    }
}

mod comparison;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::super::MessageBudget;
use super::*;
use crate::clock;

const MESSAGE_BYTES_MAX: usize = 1 << 20;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;

/// What a test compares of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

impl From<Message> for Seen {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(payload) => Self::Text(payload.bytes.to_vec()),
            Message::Binary(payload) => Self::Binary(payload.bytes.to_vec()),
            Message::Ping(payload) => Self::Ping(payload),
            Message::Pong => Self::Pong,
            Message::Close(frame) => Self::Close(frame.map(|frame| (frame.code, frame.reason))),
        }
    }
}

fn read_text(text: &str) -> Seen {
    Seen::Text(text.as_bytes().to_vec())
}

fn reader_with(config: ReaderConfig) -> Reader {
    let budget = MessageBudget::new(usize::MAX);
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    Reader::new(config, BudgetAccount::new(budget, address, 0, Arc::new(Notify::new())), Vec::new())
}

fn reader() -> Reader {
    reader_with(ReaderConfig { message_bytes_max: MESSAGE_BYTES_MAX, compression: false })
}

/// Passes bytes to a reader, and returns the messages that end in them. A close frame is the last
/// message that is read.
fn take_all(reader: &mut Reader, bytes: &[u8]) -> Result<Vec<Seen>, (Vec<Seen>, MessageError)> {
    let now = clock::monotonic();
    let mut messages = Vec::new();
    let mut next = reader.take(bytes, now);
    loop {
        match next {
            Ok(Some(message)) => messages.push(message.into()),
            Ok(None) => return Ok(messages),
            Err(error) => return Err((messages, error)),
        }
        if matches!(messages.last(), Some(Seen::Close(_))) {
            return Ok(messages);
        }
        next = reader.next(now);
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
    let length_bytes = match payload.len() {
        0..=125 => 0,
        126..=65_535 => 2,
        _ => 8,
    };
    frame_with(first, payload, length_bytes)
}

fn text(text: &str) -> Vec<u8> {
    frame(FINAL | TEXT, text.as_bytes())
}

#[test]
fn message_of_any_size_leaves_no_state() {
    for payload in [0, 1, 125, 126, 2_048, 16_384, 16_385, 65_535, 65_536, 300_000] {
        let mut reader = reader();
        let read = take_all(&mut reader, &frame(FINAL | BINARY, &vec![3; payload]));
        assert_eq!(read, Ok(vec![Seen::Binary(vec![3; payload])]));
        assert!(reader.is_idle(), "{payload}");
        assert_eq!(reader.incomplete_since(), None);
    }
}

#[test]
fn bytes_read_with_the_handshake_come_first() {
    let first = text("first");
    let second = text("second");
    let (early, late) = second.split_at(4);
    let mut reader = reader();
    reader = Reader::new(reader.config, reader.account, [first.as_slice(), early].concat());
    let now = clock::monotonic();
    assert_eq!(Seen::from(reader.next(now).unwrap().unwrap()), read_text("first"));
    assert!(reader.next(now).unwrap().is_none());
    assert_eq!(take_all(&mut reader, late), Ok(vec![read_text("second")]));
    assert!(reader.is_idle());
}

#[test]
fn message_is_read_wherever_it_is_split() {
    let second = text(&"x".repeat(300));
    for cut in 1..second.len() {
        let (early, late) = second.split_at(cut);
        let mut reader = reader();
        let read = take_all(&mut reader, &[text("first").as_slice(), early].concat());
        assert_eq!(read, Ok(vec![read_text("first")]));
        assert!(!reader.is_idle(), "{cut}");
        assert_eq!(take_all(&mut reader, late), Ok(vec![read_text(&"x".repeat(300))]), "{cut}");
        assert!(reader.is_idle(), "{cut}");
    }
}

#[test]
fn control_frames_between_fragments_come_first() {
    let mut reader = reader();
    assert_eq!(take_all(&mut reader, &frame(TEXT, b"to")), Ok(vec![]));
    let ping = take_all(&mut reader, &frame(FINAL | PING, b"?"));
    assert_eq!(ping, Ok(vec![Seen::Ping(b"?".to_vec())]));
    let bytes = [frame(0, b"ge"), frame(FINAL | PONG, b""), frame(FINAL, b"ther")].concat();
    assert_eq!(take_all(&mut reader, &bytes), Ok(vec![Seen::Pong, read_text("together")]));
    assert!(reader.is_idle());
}

#[test]
fn announced_length_takes_no_memory() {
    let mut reader = reader();
    let header = &frame(FINAL | BINARY, &vec![0; MESSAGE_BYTES_MAX])[..14];
    assert_eq!(take_all(&mut reader, header), Ok(vec![]));
    assert_eq!(reader.missing_bytes(), MESSAGE_BYTES_MAX as u64);
    assert_eq!(reader.state.as_ref().unwrap().assembler.memory(), 0);
}

#[test]
fn memory_exceeds_the_bytes_that_arrived_by_at_most_16_kib() {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(MESSAGE_BYTES_MAX).collect();
    for pieces in [1, 7, 1_000, 16_384, 16_385, 65_536] {
        let mut reader = reader();
        let bytes = frame(FINAL | BINARY, &payload);
        let mut sent = 0;
        let mut messages = Vec::new();
        for piece in bytes.chunks(pieces) {
            sent += piece.len();
            messages.extend(take_all(&mut reader, piece).unwrap());
            let memory = reader.state.as_ref().map_or(0, |state| state.assembler.memory());
            assert!(memory <= sent + 16 * 1024, "{memory} bytes for {sent}");
        }
        assert!(messages == [Seen::Binary(payload.clone())]);
    }
}

#[test]
fn fragments_of_one_byte_take_no_more_memory_than_others() {
    let mut reader = reader();
    let count = 100_000;
    take_all(&mut reader, &frame(BINARY, b"1")).unwrap();
    take_all(&mut reader, &frame(0, b"1").repeat(count)).unwrap();
    let memory = reader.state.as_ref().unwrap().assembler.memory();
    assert!(memory <= count + 16 * 1024 + 1_024, "{memory}");
    let read = take_all(&mut reader, &frame(FINAL, b"")).unwrap();
    assert_eq!(read, [Seen::Binary(vec![b'1'; count + 1])]);
}

#[test]
fn time_of_a_message_is_that_of_its_first_byte() {
    let mut reader = reader();
    let start = clock::monotonic();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(reader.take(&[TEXT], at(1)).unwrap().is_none());
    assert_eq!(reader.incomplete_since(), Some(at(1)));
    reader.take(&frame(TEXT, b"begin")[1..], at(2)).unwrap();
    for second in 3..6 {
        assert!(reader.take(&frame(FINAL | PONG, b""), at(second)).unwrap().is_some());
        assert!(reader.take(&frame(0, b"more"), at(second)).unwrap().is_none());
        assert_eq!(reader.incomplete_since(), Some(at(1)));
    }
    let end_and_begin = [frame(FINAL, b"end"), frame(BINARY, b"next")].concat();
    assert!(reader.take(&end_and_begin, at(6)).unwrap().is_some());
    assert!(reader.next(at(7)).unwrap().is_none());
    assert_eq!(reader.incomplete_since(), Some(at(7)), "that of the next message");
    assert!(reader.take(&frame(FINAL, b""), at(8)).unwrap().is_some());
    assert_eq!(reader.incomplete_since(), None);
    assert!(reader.take(&[FINAL | PING, 0x80], at(9)).unwrap().is_none());
    assert_eq!(reader.incomplete_since(), Some(at(9)), "that of a partial ping");
}

#[test]
fn message_is_overdue_unless_the_check_comes_late() {
    let start = clock::monotonic();
    let at = |seconds| start + Duration::from_secs(seconds);
    let timeout = Duration::from_secs(30);
    let mut reader = reader();
    assert!(!reader.is_overdue(at(100), timeout));
    reader.take(&frame(TEXT, b"begin"), at(0)).unwrap();
    assert!(!reader.is_overdue(at(29), timeout));
    assert!(reader.is_overdue(at(31), timeout));
    assert!(!reader.is_overdue(at(90), timeout), "the hub was suspended");
    reader.take(&frame(0, b"more"), at(90)).unwrap();
    assert!(!reader.is_overdue(at(90), timeout));
    assert!(reader.is_overdue(at(91), timeout));
}

#[test]
fn message_is_overdue_although_input_never_runs_dry() {
    let start = clock::monotonic();
    let at = |seconds| start + Duration::from_secs(seconds);
    let timeout = Duration::from_secs(30);
    let mut reader = reader();
    assert!(!reader.is_overdue_unread(at(100), timeout));
    reader.take(&frame(TEXT, b"begin"), at(0)).unwrap();
    assert!(!reader.is_overdue_unread(at(30), timeout), "the end may have arrived");
    assert!(reader.is_overdue_unread(at(31), timeout));
}

#[test]
fn suspension_does_not_count_against_a_message() {
    let start = clock::monotonic();
    let at = |seconds| start + Duration::from_secs(seconds);
    let timeout = Duration::from_secs(30);
    let mut reader = reader();
    reader.forgive(Duration::from_secs(9), at(1));
    reader.take(&frame(TEXT, b"begin"), at(2)).unwrap();
    reader.forgive(Duration::from_secs(25), at(31));
    assert!(!reader.is_overdue(at(33), timeout), "6 s of it have passed");
    assert!(!reader.is_overdue(at(56), timeout));
    assert!(reader.is_overdue(at(57), timeout));
    reader.forgive(Duration::from_secs(90), at(58));
    assert_eq!(reader.incomplete_since(), Some(at(58)), "no message begins in the future");
}

#[test]
fn invalid_text_is_refused_before_its_message_ends() {
    for bytes in [
        frame(FINAL | TEXT, b"ok\xff and more")[..9].to_vec(),
        frame(TEXT, b"\xed\xa0"),
        [frame(TEXT, b"\xe2\x82"), frame(0, b"x")].concat(),
        frame(FINAL | TEXT, b"\xe2\x82"),
    ] {
        let read = take_all(&mut reader(), &[text("ok").as_slice(), &bytes].concat());
        assert_eq!(read, Err((vec![read_text("ok")], MessageError::NotUtf8)), "{bytes:x?}");
    }
    let euro = [frame(TEXT, b"\xe2\x82"), frame(FINAL | PING, b""), frame(FINAL, b"\xac")];
    let read = take_all(&mut reader(), &euro.concat());
    assert_eq!(read, Ok(vec![Seen::Ping(Vec::new()), read_text("€")]));
}

#[test]
fn broken_sequence_of_frames_is_refused() {
    for bytes in [
        frame(FINAL, b"{}"),
        [frame(TEXT, b"{"), frame(FINAL | TEXT, b"}")].concat(),
        frame(FINAL | CLOSE, b"x"),
        frame(FINAL | CLOSE, &999_u16.to_be_bytes()),
    ] {
        let read = take_all(&mut reader(), &bytes);
        assert_eq!(read, Err((vec![], MessageError::Protocol)), "{bytes:x?}");
    }
}

#[test]
fn message_above_the_limit_is_refused_at_the_header_that_exceeds_it() {
    let mut reader = reader();
    reader.set_message_bytes_max(1_000);
    let longest = frame(FINAL | BINARY, &[0; 1_000]);
    assert!(take_all(&mut reader, &longest).is_ok());
    take_all(&mut reader, &frame(BINARY, &[0; 600])).unwrap();
    take_all(&mut reader, &frame(FINAL | PING, &[0; 125])).unwrap();
    let header = &frame(FINAL, &[0; 401])[..8];
    assert_eq!(take_all(&mut reader, header), Err((vec![], MessageError::TooBig)));
    let mut reader = self::reader();
    let header = [&[FINAL | BINARY, 0xff][..], &[0xff; 12]].concat();
    assert_eq!(take_all(&mut reader, &header), Err((vec![], MessageError::TooBig)));
}

#[test]
fn compressed_message_is_passed_on_unchanged_if_negotiated() {
    let invalid_text = b"\xff\xfe";
    let bytes = [frame(COMPRESSED | TEXT, invalid_text), frame(FINAL, invalid_text)].concat();
    assert!(take_all(&mut reader(), &bytes).is_err());
    let config = ReaderConfig { message_bytes_max: 100, compression: true };
    let mut reader = reader_with(config);
    let message = reader.take(&bytes, clock::monotonic()).unwrap();
    let Some(Message::Text(payload)) = message else { panic!("{message:?}") };
    assert!(payload.is_compressed);
    assert_eq!(payload.bytes, invalid_text.repeat(2));
    let message = reader.take(&text("plain"), clock::monotonic()).unwrap();
    assert!(matches!(message, Some(Message::Text(payload)) if !payload.is_compressed));
}

#[test]
fn large_message_counts_in_the_budget_until_it_is_dropped() {
    let budget = MessageBudget::new(1 << 20);
    let owner = Arc::new(Notify::new());
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    let account = BudgetAccount::new(budget.clone(), address, 0, owner);
    let mut reader = Reader::new(reader().config, account, Vec::new());
    let now = clock::monotonic();
    let bytes = frame(FINAL | BINARY, &[1; 100_000]);
    for piece in bytes[..10_000].chunks(1_000) {
        reader.take(piece, now).unwrap();
    }
    assert_eq!(budget.bytes(), 0, "small messages do not count");
    for piece in bytes[10_000..99_000].chunks(1_000) {
        reader.take(piece, now).unwrap();
    }
    let held = budget.bytes();
    assert!((80_000..110_000).contains(&held), "{held}");
    let message = reader.take(&bytes[99_000..], now).unwrap().unwrap();
    assert!(budget.bytes() >= held, "the message is not handled yet");
    drop(message);
    assert_eq!(budget.bytes(), 0);
}

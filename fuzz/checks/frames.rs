//! The frame writer: whatever is queued in whatever order, a client reads just that, however it is cut.

use std::collections::VecDeque;
use std::sync::Arc;

use tickwire_hub::fanout::{
    FeedId, FrameBuf, Limits, NextWrite, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{Command, Encoding, Seq, Symbol, Tick, TickData, Trade, UnixNanos};
use tungstenite::Message;

use super::input::Input;
use super::peer::{Peer, elements, payload, ticks};

const FEED: FeedId = FeedId(0);
/// Ticks the decisions may ask for in all: more would only be slow.
const TICKS_MAX: u64 = 3_000;

/// What a session must be sent next.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// A trade, by its id.
    Trade(u64),
    /// A message of so many bytes, which are no ticks.
    Message(usize),
}

struct Session {
    id: SessionId,
    encoding: Encoding,
    peer: Peer,
    expected: VecDeque<Sent>,
}

/// Takes the bytes as decisions: what is queued for two sessions that are owed the same ticks, and when
/// it is written.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let seed = u64::from(input.number());
    let message_bytes = 4_100 + usize::from(input.number()) % (65_535 - 4_100);
    let mut shard = Shard::new(limits(message_bytes), Position::FIRST);
    let encoding = [Encoding::Json, Encoding::MsgpackArray][usize::from(input.byte() % 2)];
    let mut sessions = [seed, seed + 1].map(|seed| subscribe(&mut shard, encoding, seed));
    let mut sequencer = Sequencer::new(64, 1);
    let mut frame = FrameBuf::default();
    let mut published = 0;
    while !input.is_empty() {
        let session = usize::from(input.byte() % 2);
        match input.byte() % 4 {
            0 => {
                let length = length(&mut input);
                queue_message(&mut shard, &mut sessions[session], length);
            }
            1 | 2 => {
                let count = u64::from(input.number() % 500).min(TICKS_MAX - published);
                let trades = (0..count).map(|number| trade(published + number, input.byte()));
                assert_eq!(sequencer.take(FEED, trades.collect()), 0);
                if let Some(batch) = sequencer.batch(UnixNanos(0)) {
                    shard.apply(Arc::new(batch));
                }
                for session in &mut sessions {
                    session.expected.extend((published..published + count).map(Sent::Trade));
                }
                published += count;
            }
            _ => write(&mut shard, &mut sessions[session], &mut frame, input.byte()),
        }
    }
    for session in &mut sessions {
        write(&mut shard, session, &mut frame, u8::MAX);
        write(&mut shard, session, &mut frame, u8::MAX);
        assert!(session.expected.is_empty(), "not sent: {:?}", session.expected);
    }
}

fn limits(message_bytes: usize) -> Limits {
    let many = 1 << 30;
    Limits {
        feeds: 1,
        names_per_session: 64,
        names: 128,
        waiting_topics: 64,
        backlog_ticks: many,
        backlogs_ticks: many as u64,
        controls_bytes: many,
        backlog_age_ns: u64::MAX,
        message_bytes,
    }
}

fn subscribe(shard: &mut Shard, encoding: Encoding, seed: u64) -> Session {
    let id = shard.open(FEED, encoding);
    let all = br#"{"action":"subscribe","trades":["*"],"snapshot":false}"#;
    shard.command(id, &Command::from_json(all).expect("it is a command"));
    let mut session = Session { id, encoding, peer: Peer::new(seed), expected: VecDeque::new() };
    let mut frame = FrameBuf::default();
    write(shard, &mut session, &mut frame, 1); // the answer
    session
}

/// Mostly short, often where a header takes another form.
fn length(input: &mut Input<'_>) -> usize {
    let (kind, small) = (input.byte() % 8, usize::from(input.byte()));
    match kind {
        0 => 65_400 + small,
        1 => small * 256,
        _ => small,
    }
}

/// A message whose bytes are no array, so that it is told from ticks.
fn queue_message(shard: &mut Shard, session: &mut Session, length: usize) {
    shard.message(session.id, session.encoding, &vec![b'x'; length]);
    session.expected.push_back(Sent::Message(length));
}

fn trade(id: u64, symbol: u8) -> Tick {
    let symbol = Symbol::new(&format!("S{}", symbol % 32)).expect("it is a symbol");
    let data = TickData::Trade(Trade { id, ..Trade::default() });
    Tick { symbol, seq: Seq(0), time: UnixNanos(1), data }
}

/// Writes so often at the most, and has the peer read.
fn write(shard: &mut Shard, session: &mut Session, frame: &mut FrameBuf, times: u8) {
    let mut written = Vec::new();
    for _ in 0..times {
        match shard.next_write(session.id, frame) {
            NextWrite::Frames { .. } => written.extend_from_slice(frame.frame()),
            NextWrite::Idle => break,
            other => panic!("nobody is slow or ends here: {other:?}"),
        }
    }
    for message in session.peer.read(&written) {
        take(session, &message);
    }
}

fn take(session: &mut Session, message: &Message) {
    let bytes = payload(message);
    if bytes.iter().all(|byte| *byte == b'x') {
        let sent = session.expected.pop_front();
        return assert_eq!(sent, Some(Sent::Message(bytes.len())));
    }
    for tick in ticks(elements(message, session.encoding)) {
        let TickData::Trade(trade) = tick.data else { panic!("not a trade: {tick:?}") };
        assert_eq!(session.expected.pop_front(), Some(Sent::Trade(trade.id)));
    }
}

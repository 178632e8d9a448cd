//! Checks the frame writer: a client must read exactly the queued ticks and messages, in order,
//! wherever the bytes are split.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use tickwire_hub::fanout::turn::{self, LogBreak, Received, ShardIo, SocketState, TurnLimits};
use tickwire_hub::fanout::{
    Batch, CloseReason, FeedId, Limits, Log, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{Command, Encoding, Seq, Symbol, Tick, TickData, Trade, UnixNanos};
use tungstenite::Message;

use super::input::Input;
use super::peer::{Peer, elements, payload, ticks};

const FEED: FeedId = FeedId(0);
/// The most ticks in one run; more only make it slower.
const TICKS_MAX: u64 = 3_000;

/// An item that the hub must send to a session.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// The trade with this id.
    Trade(u64),
    /// A message of this length without ticks.
    Message(usize),
}

struct Session {
    id: SessionId,
    peer: Peer,
    expected: VecDeque<Expected>,
}

/// A shard with two sessions. A turn writes to at most one of them.
struct Hub {
    shard: Shard,
    log: Log,
    encoding: Encoding,
    sessions: Vec<Session>,
    /// The session to which this turn writes, if any, and the most writes to it.
    writes: Option<(usize, u8)>,
    /// Bytes written in this turn.
    written: Vec<u8>,
}

/// Interprets the bytes as decisions: which ticks and messages are queued for two sessions with
/// equal subscriptions, and when each session is written.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let seed = u64::from(input.number());
    let message_bytes = 4_100 + usize::from(input.number()) % (65_535 - 4_100);
    let encoding = [Encoding::Json, Encoding::MsgpackArray][usize::from(input.byte() % 2)];
    let mut hub = Hub::new(limits(message_bytes), encoding);
    hub.subscribe(seed);
    hub.subscribe(seed + 1);
    let mut sequencer = Sequencer::new(64, 1);
    let mut published = 0;
    while !input.is_empty() {
        let session = usize::from(input.byte() % 2);
        match input.byte() % 4 {
            0 => {
                let length = length(&mut input);
                hub.queue_message(session, length);
            }
            1 | 2 => {
                let count = u64::from(input.number() % 500).min(TICKS_MAX - published);
                let trades = (0..count).map(|number| trade(published + number, input.byte()));
                assert_eq!(sequencer.take(FEED, trades.collect()), 0);
                if let Some(batch) = sequencer.batch(UnixNanos(0)) {
                    hub.log.append(Arc::new(batch));
                    hub.turn(None);
                }
                for session in &mut hub.sessions {
                    session.expected.extend((published..published + count).map(Expected::Trade));
                }
                published += count;
            }
            _ => hub.write(session, input.byte()),
        }
    }
    for session in 0..hub.sessions.len() {
        hub.write(session, u8::MAX);
        hub.write(session, u8::MAX);
        let expected = &hub.sessions[session].expected;
        assert!(expected.is_empty(), "not sent: {expected:?}");
    }
}

fn limits(message_bytes: usize) -> Limits {
    let many = 1 << 30;
    Limits {
        feeds: 1,
        subscriptions_per_session: 64,
        subscriptions: 128,
        waiting_topics: 64,
        backlog_ticks: many,
        total_backlog_ticks: many as u64,
        total_control_bytes: many,
        backlog_age_ns: u64::MAX,
        message_bytes,
        topics_per_piece: many,
    }
}

impl Hub {
    fn new(limits: Limits, encoding: Encoding) -> Self {
        Self {
            shard: Shard::new(limits, Position::FIRST),
            log: Log::new(usize::MAX, usize::MAX),
            encoding,
            sessions: Vec::new(),
            writes: None,
            written: Vec::new(),
        }
    }

    fn subscribe(&mut self, seed: u64) {
        let id = self.shard.open(FEED, self.encoding);
        let all = br#"{"action":"subscribe","trades":["*"],"snapshot":false}"#;
        self.shard.command(id, &Command::from_json(all).expect("a valid command"));
        self.sessions.push(Session { id, peer: Peer::new(seed), expected: VecDeque::new() });
        self.write(self.sessions.len() - 1, 1); // the acknowledgement
    }

    /// Queues a message that cannot be confused with ticks, because its bytes are not an array.
    fn queue_message(&mut self, session: usize, length: usize) {
        let session = &mut self.sessions[session];
        self.shard.message(session.id, self.encoding, &vec![b'x'; length]);
        session.expected.push_back(Expected::Message(length));
    }

    fn turn(&mut self, writes: Option<(usize, u8)>) {
        self.writes = writes;
        for session in &self.sessions {
            self.shard.writable(session.id);
        }
        turn::run(self);
    }

    /// Writes to a session at most `times` times. Its peer reads the written bytes.
    fn write(&mut self, session: usize, times: u8) {
        self.turn(Some((session, times)));
        let encoding = self.encoding;
        let session = &mut self.sessions[session];
        for message in session.peer.read(&std::mem::take(&mut self.written)) {
            session.receive(encoding, &message);
        }
    }
}

impl Session {
    fn receive(&mut self, encoding: Encoding, message: &Message) {
        let bytes = payload(message);
        if bytes.iter().all(|byte| *byte == b'x') {
            let expected = self.expected.pop_front();
            return assert_eq!(expected, Some(Expected::Message(bytes.len())));
        }
        for tick in ticks(elements(message, encoding)) {
            let TickData::Trade(trade) = tick.data else { panic!("not a trade: {tick:?}") };
            assert_eq!(self.expected.pop_front(), Some(Expected::Trade(trade.id)));
        }
    }
}

impl ShardIo for Hub {
    type Message = Infallible;

    fn shard(&mut self) -> &mut Shard {
        &mut self.shard
    }

    fn limits(&self) -> TurnLimits {
        let times = self.writes.map_or(0, |(_, times)| times);
        TurnLimits { writes_per_session: usize::from(times), ..TurnLimits::DEFAULT }
    }

    fn begin_turn(&mut self) -> UnixNanos {
        UnixNanos(0)
    }

    fn log_start(&self) -> Position {
        self.log.start()
    }

    fn log_head(&self) -> Position {
        self.log.head()
    }

    fn read_log(
        &mut self,
        from: Position,
        batches_max: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak> {
        Ok(self.log.read(from, batches_max, into)?)
    }

    fn receive(&mut self, _: SessionId) -> Received<Infallible> {
        Received::Nothing
    }

    fn handle(&mut self, _: SessionId, message: Infallible) {
        match message {}
    }

    fn begin_writing(&mut self) -> bool {
        self.writes.is_some()
    }

    fn flush(&mut self, id: SessionId) -> SocketState {
        let is_written = self.writes.is_some_and(|(session, _)| self.sessions[session].id == id);
        if is_written { SocketState::Writable } else { SocketState::Blocked }
    }

    fn write(&mut self, _: SessionId, frames: &[u8], _: usize) -> SocketState {
        self.written.extend_from_slice(frames);
        SocketState::Writable
    }

    fn send_close(&mut self, id: SessionId, reason: CloseReason) {
        panic!("session {id:?} must not be closed: {reason:?}");
    }

    fn finish(&mut self, id: SessionId, reason: CloseReason) {
        panic!("session {id:?} must not end: {reason:?}");
    }
}

/// Returns the length of a message: mostly short, often near a change of the frame header's size.
fn length(input: &mut Input<'_>) -> usize {
    let kind = input.byte() % 8;
    let small = usize::from(input.byte());
    match kind {
        0 => 65_400 + small,
        1 => small * 256,
        _ => small,
    }
}

fn trade(id: u64, symbol: u8) -> Tick {
    let symbol = Symbol::new(&format!("S{}", symbol % 32)).expect("a valid symbol");
    let data = TickData::Trade(Trade { id, ..Trade::default() });
    Tick { symbol, seq: Seq(0), time: UnixNanos(1), data }
}

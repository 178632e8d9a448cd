//! Checks a session: for any bytes from its peer, split anywhere and interleaved with ticks, time
//! and a socket that blocks, nothing panics, a client can read what is written, and all state stays
//! bounded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickwire_hub::fanout::turn::{self, LogBreak, Received, ShardIo, SocketState, TurnLimits};
use tickwire_hub::fanout::{
    Batch, CloseReason, FeedId, Limits, Log, Position, Sequencer, SessionId, Shard,
};
use tickwire_hub::{
    CloseFrame, Message, MessageBudget, Opcode, Reader, ReaderConfig, write_close, write_frame,
};
use tickwire_protocol::{
    Command, CommandError, Encoding, ErrorCode, Seq, Symbol, Tick, TickData, Trade, UnixNanos,
};

use super::budget::account;
use super::clock::start;
use super::input::Input;
use super::peer::{Peer, elements};

const FEED: FeedId = FeedId(0);
const COMMAND_BYTES_MAX: usize = 1_024;
/// Bytes of pending answers above which commands wait; small, so that this happens.
const ANSWERS_BYTES_MAX: usize = 2_048;
/// Size of the largest answer: to a subscription with [`NAMES_MAX`] names, including its snapshot.
const ANSWER_BYTES_MAX: usize = 16 * 1_024;
const NAMES_MAX: usize = 24;
const BACKLOG_TICKS_MAX: usize = 200;
const BACKLOG_AGE_MS_MAX: u64 = 2_000;
const LOG_TICKS_MAX: usize = 500;
const NANOS_PER_MS: u64 = 1_000_000;

/// Interprets the bytes as a sequence of events of a session.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut hub = Hub::new(u64::from(input.number()));
    while !input.is_empty() {
        hub.run_event(&mut input);
        turn::run(&mut hub);
        hub.check_bounds();
    }
    hub.replace_session(Encoding::Json);
    turn::run(&mut hub);
    while hub.shard.has_pieces() {
        turn::run(&mut hub); // names are removed in pieces
    }
    let stats = hub.shard.stats();
    assert_eq!(
        (stats.backlog_ticks, stats.control_bytes),
        (0, 0),
        "a closed session leaves no state"
    );
    assert_eq!((stats.subscriptions, hub.shard.sessions()), (0, 1));
}

/// A hub with one session.
struct Hub {
    shard: Shard,
    log: Log,
    sequencer: Sequencer,
    started: Instant,
    now_ms: u64,
    session: SessionId,
    reader: Reader,
    socket: Socket,
    peer: Peer,
    encoding: Encoding,
    seed: u64,
    /// Number of writes until the socket blocks.
    writes_left: u8,
    /// The reason to close the session after everything is written.
    close: Option<CloseReason>,
    /// Whether ages are checked in the next turn.
    checks_ages: bool,
}

/// The socket of the session.
#[derive(Default)]
struct Socket {
    /// Bytes in flight to the hub.
    received: VecDeque<u8>,
    /// Control frames for the peer: pongs and close frames.
    control_frames: Vec<u8>,
}

fn reader() -> Reader {
    let config = ReaderConfig { message_bytes_max: COMMAND_BYTES_MAX, compression: false };
    Reader::new(config, account(&MessageBudget::new(COMMAND_BYTES_MAX)), Vec::new())
}

impl Hub {
    fn new(seed: u64) -> Self {
        let limits = Limits {
            feeds: 1,
            subscriptions_per_session: NAMES_MAX,
            subscriptions: NAMES_MAX,
            waiting_topics: NAMES_MAX,
            backlog_ticks: BACKLOG_TICKS_MAX,
            total_backlog_ticks: BACKLOG_TICKS_MAX as u64,
            total_control_bytes: 1 << 20,
            backlog_age_ns: BACKLOG_AGE_MS_MAX * NANOS_PER_MS,
            message_bytes: 4_100,
            topics_per_piece: 3,
        };
        let encoding = Encoding::MsgpackArray;
        let mut shard = Shard::new(limits, Position::FIRST).in_epoch("e");
        let session = shard.open(FEED, encoding);
        Self {
            shard,
            log: Log::new(1 << 20, LOG_TICKS_MAX),
            sequencer: Sequencer::new(64, 1),
            started: start(),
            now_ms: 1_000,
            session,
            reader: reader(),
            socket: Socket::default(),
            peer: Peer::new(seed),
            encoding,
            seed,
            writes_left: u8::MAX,
            close: None,
            checks_ages: false,
        }
    }

    const fn now(&self) -> UnixNanos {
        UnixNanos(self.now_ms * NANOS_PER_MS)
    }

    /// Runs one event: received bytes, a frame, a command, ticks, a blocked or writable socket, or
    /// time.
    fn run_event(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0 => {
                let count = usize::from(input.byte());
                self.socket.received.extend(input.take(count));
            }
            kind @ (1 | 2) => {
                let count = usize::from(input.byte());
                let payload = input.take(count);
                let first = if kind == 1 { 0x81 } else { 0x82 };
                self.socket.received.extend(masked(first, payload));
            }
            3 => {
                let command = command(input);
                self.socket.received.extend(masked(0x81, command.as_bytes()));
            }
            4 | 5 => self.publish(input),
            6 => {
                self.writes_left = input.byte();
                self.shard.writable(self.session);
            }
            _ => {
                self.now_ms += u64::from(input.byte()) * 10;
                self.checks_ages = true;
            }
        }
    }

    fn publish(&mut self, input: &mut Input<'_>) {
        let count = usize::from(input.byte());
        let ticks = input.take(count).iter().map(|symbol| trade(*symbol)).collect();
        self.sequencer.take(FEED, ticks);
        if let Some(batch) = self.sequencer.batch(self.now()) {
            self.log.append(Arc::new(batch));
        }
    }

    fn peer_reads(&mut self, written: &[u8]) {
        for message in self.peer.read(written) {
            if message.is_text() || message.is_binary() {
                assert!(!elements(&message, self.encoding).is_empty(), "an empty message");
            }
        }
    }

    /// Closes the session and opens another one, in another encoding.
    fn replace_session(&mut self, encoding: Encoding) {
        self.shard.close(self.session);
        self.seed += 1;
        self.encoding = match encoding {
            Encoding::Json => Encoding::MsgpackArray,
            _ => Encoding::Json,
        };
        self.session = self.shard.open(FEED, self.encoding);
        self.reader = reader();
        self.socket = Socket::default();
        self.peer = Peer::new(self.seed);
        self.writes_left = u8::MAX;
        self.close = None;
    }

    fn check_bounds(&self) {
        let stats = self.shard.stats();
        // The backlog of a session that catches up may hold the whole log.
        let most = match stats.catching_up {
            0 => BACKLOG_TICKS_MAX as u64,
            _ => self.shard.head().0 - self.log.start().0,
        };
        let backlog = stats.backlog_ticks;
        assert!(backlog <= most, "{backlog} ticks pending");
        let answers = stats.control_bytes;
        assert!(answers <= ANSWERS_BYTES_MAX + ANSWER_BYTES_MAX, "{answers} bytes of answers");
        assert!(stats.subscriptions <= NAMES_MAX, "{} names", stats.subscriptions);
    }
}

impl ShardIo for Hub {
    type Message = Result<Command, CommandError>;

    fn shard(&mut self) -> &mut Shard {
        &mut self.shard
    }

    fn limits(&self) -> TurnLimits {
        TurnLimits { session_control_bytes: ANSWERS_BYTES_MAX, ..TurnLimits::DEFAULT }
    }

    fn begin_turn(&mut self) -> UnixNanos {
        self.now()
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

    fn take_input(&mut self) {
        turn::read_session(self, self.session);
    }

    fn receive(&mut self, id: SessionId) -> Received<Self::Message> {
        while id == self.session && self.close.is_none() {
            let now = self.started + Duration::from_millis(self.now_ms);
            let received = std::mem::take(&mut self.socket.received);
            let next = match self.reader.next(now) {
                Ok(None) if received.is_empty() => break,
                Ok(None) => self.reader.take(&Vec::from(received), now),
                next => {
                    self.socket.received = received;
                    next
                }
            };
            match next {
                Ok(None) => {}
                Ok(Some(Message::Text(text))) => {
                    return Received::Message(Command::from_json(&text.bytes));
                }
                Ok(Some(Message::Binary(binary))) => {
                    return Received::Message(Command::from_msgpack(&binary.bytes));
                }
                Ok(Some(Message::Ping(payload))) => {
                    write_frame(Opcode::Pong, &payload, &mut self.socket.control_frames);
                    self.shard.wake(id);
                }
                Ok(Some(Message::Pong)) => {}
                Ok(Some(Message::Close(_))) | Err(_) => self.replace_session(self.encoding),
            }
        }
        Received::Nothing
    }

    fn handle(&mut self, id: SessionId, command: Self::Message) {
        match command {
            Ok(command) => self.shard.command(id, &command),
            Err(CommandError { id: number, problem }) => {
                self.shard.refuse(id, number, ErrorCode::InvalidSyntax, problem.to_string());
            }
        }
    }

    fn transport_bytes(&self, _: SessionId) -> usize {
        self.socket.control_frames.len()
    }

    fn flush(&mut self, id: SessionId) -> SocketState {
        if id != self.session {
            return SocketState::Closed;
        }
        if self.writes_left == 0 {
            return SocketState::Blocked;
        }
        self.writes_left -= 1;
        if let Some(reason) = self.close {
            let frame = CloseFrame { code: reason.code(), reason: reason.label().to_owned() };
            write_close(Some(&frame), &mut self.socket.control_frames);
        }
        let frames = std::mem::take(&mut self.socket.control_frames);
        self.peer_reads(&frames);
        if self.close.is_some() {
            self.replace_session(self.encoding);
            return SocketState::Closed;
        }
        SocketState::Writable
    }

    fn write(&mut self, _: SessionId, frames: &[u8], _: usize) -> SocketState {
        self.peer_reads(frames);
        SocketState::Writable
    }

    fn send_close(&mut self, _: SessionId, reason: CloseReason) {
        self.close = Some(reason);
    }

    fn finish(&mut self, id: SessionId, reason: CloseReason) {
        self.shard.finish(id, reason);
    }

    fn run_timers(&mut self) {
        if std::mem::take(&mut self.checks_ages) {
            turn::check_ages(self);
        }
    }
}

/// Returns a complete masked frame, as clients send it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let length = u16::try_from(payload.len()).expect("commands here are short").to_be_bytes();
    let mut frame = vec![first, 0x80 | 126, length[0], length[1]];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Returns a valid command, because random bytes seldom form one.
fn command(input: &mut Input<'_>) -> String {
    let action = ["subscribe", "subscribe", "subscribe", "unsubscribe", "list"];
    let delivery = [
        "",
        r#","delivery":"every""#,
        r#","delivery":"latest""#,
        r#","delivery":"latest","max_rate":20"#,
    ];
    let options = [
        "",
        "",
        r#","snapshot":true"#,
        r#","snapshot":false"#,
        r#","pos":true"#,
        r#","pos":true,"resume":{"epoch":"e","pos":3}"#,
        r#","resume":{"epoch":"e","after":{"trades":{"S1":2}}}"#,
        r#","resume":{"epoch":"old","pos":1}"#,
        r#","from":"-5m""#,
        r#","from":"-5m","speed":20"#,
    ];
    let on_lag = ["", r#","on_lag":"latest""#, r#","on_lag":"close""#];
    let mut choose = |of: &[&'static str]| of[usize::from(input.byte()) % of.len()];
    let chosen = [choose(&delivery), choose(&options), choose(&on_lag)].concat();
    let action = choose(&action);
    let first = input.byte() % 32;
    let count = input.byte() % 8;
    let mut names: Vec<_> = (first..first + count).map(|name| format!("\"S{name}\"")).collect();
    if input.byte().is_multiple_of(4) {
        names.push("\"*\"".to_owned());
    }
    format!(r#"{{"action":"{action}","trades":[{}]{chosen}}}"#, names.join(","))
}

fn trade(symbol: u8) -> Tick {
    let symbol = Symbol::new(&format!("S{}", symbol % 32)).expect("a valid symbol");
    let data = TickData::Trade(Trade::default());
    Tick { symbol, seq: Seq(0), time: UnixNanos(1), data }
}

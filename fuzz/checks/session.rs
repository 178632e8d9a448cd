//! A session: any bytes from its peer, in pieces cut anywhere, among ticks, time and a socket that takes
//! what it likes. Nothing panics, what is written can be read, and what is kept stays bounded.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use tickwire_hub::Reader;
use tickwire_hub::fanout::{
    CloseReason, FeedId, FrameBuf, Limits, Log, NextWrite, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{
    Command, CommandError, Encoding, Seq, Symbol, Tick, TickData, Trade, UnixNanos,
};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

use super::input::Input;
use super::peer::{Peer, elements};

const FEED: FeedId = FeedId(0);
const COMMAND_BYTES_MAX: usize = 1_024;
/// Answers pending above which commands wait.
const ANSWERS_BYTES_MAX: usize = 2_048;
/// The largest answer: to a subscription with as many names as there may be, snapshot included.
const ANSWER_BYTES_MAX: usize = 16 * 1_024;
const NAMES_MAX: usize = 24;
const BACKLOG_TICKS_MAX: usize = 200;
const BACKLOG_AGE_MS_MAX: u64 = 2_000;
const LOG_TICKS_MAX: usize = 500;
const NANOS_PER_MS: u64 = 1_000_000;

/// Takes the bytes as what happens to a session, one thing after the other.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut hub = Hub::new(u64::from(input.number()));
    while !input.is_empty() {
        hub.happens(&mut input);
        hub.turn();
        hub.is_bounded();
    }
    hub.begin(Encoding::Json);
    hub.shard.begin_turn(hub.now(), hub.log.start());
    let stats = hub.shard.stats();
    assert_eq!((stats.backlog_ticks, stats.control_bytes), (0, 0), "nothing is kept for the dead");
    assert_eq!((stats.subscriptions, hub.shard.sessions()), (0, 1));
}

/// A hub with one session.
struct Hub {
    shard: Shard,
    log: Log,
    sequencer: Sequencer,
    frame: FrameBuf,
    now_ms: u64,
    session: SessionId,
    reader: Reader,
    socket: Socket,
    peer: Peer,
    encoding: Encoding,
    seed: u64,
    /// Writes the socket takes before it blocks.
    room: u8,
}

/// Bytes on their way to the hub, and what its library answers by itself.
#[derive(Default)]
struct Socket {
    arrived: VecDeque<u8>,
    answers: Vec<u8>,
}

impl Hub {
    fn new(seed: u64) -> Self {
        let limits = Limits {
            feeds: 1,
            names_per_session: NAMES_MAX,
            names: NAMES_MAX,
            waiting_topics: NAMES_MAX,
            backlog_ticks: BACKLOG_TICKS_MAX,
            backlogs_ticks: BACKLOG_TICKS_MAX as u64,
            controls_bytes: 1 << 20,
            backlog_age_ns: BACKLOG_AGE_MS_MAX * NANOS_PER_MS,
            message_bytes: 4_100,
        };
        let encoding = Encoding::MsgpackArray;
        let mut shard = Shard::new(limits, Position::FIRST).in_epoch("e");
        let session = shard.open(FEED, encoding);
        Self {
            shard,
            log: Log::new(1 << 20, LOG_TICKS_MAX),
            sequencer: Sequencer::new(64, 1),
            frame: FrameBuf::default(),
            now_ms: 1_000,
            session,
            reader: Reader::new(COMMAND_BYTES_MAX, Vec::new()),
            socket: Socket::default(),
            peer: Peer::new(seed),
            encoding,
            seed,
            room: u8::MAX,
        }
    }

    const fn now(&self) -> UnixNanos {
        UnixNanos(self.now_ms * NANOS_PER_MS)
    }

    /// One thing that may happen outside.
    fn happens(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0 => {
                let count = usize::from(input.byte());
                self.socket.arrived.extend(input.take(count));
            }
            kind @ (1 | 2) => {
                let count = usize::from(input.byte());
                let payload = input.take(count);
                let first = if kind == 1 { 0x81 } else { 0x82 };
                self.socket.arrived.extend(masked(first, payload));
            }
            3 => {
                let command = command(input);
                self.socket.arrived.extend(masked(0x81, command.as_bytes()));
            }
            4 | 5 => self.publish(input),
            6 => {
                self.room = input.byte();
                self.shard.writable(self.session);
            }
            _ => {
                self.now_ms += u64::from(input.byte()) * 10;
                self.shard.begin_turn(self.now(), self.log.start());
                self.shard.check_ages();
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

    /// A turn, in the order of a shard's.
    fn turn(&mut self) {
        self.shard.begin_turn(self.now(), self.log.start());
        self.read();
        let mut batches = Vec::new();
        if let Err(fell_out) = self.log.read(self.shard.head(), usize::MAX, &mut batches) {
            self.shard.fell_out(fell_out.start);
        }
        batches.into_iter().for_each(|batch| self.shard.apply(batch));
        self.shard.shed_load();
        for id in self.shard.take_lagged() {
            self.shard.finish(id, CloseReason::SlowClient);
        }
        for id in self.shard.take_ready() {
            self.serve(id);
        }
        if let Some(id) = self.shard.next_catching_up() {
            self.serve(id); // once a turn: it goes on in the next
        }
    }

    fn serve(&mut self, id: SessionId) {
        if self.shard.is_ready(id) {
            self.write(id); // it has not closed since
        }
    }

    /// Reads until there is nothing more, or the answers must be fetched first.
    fn read(&mut self) {
        while self.shard.control_bytes(self.session) <= ANSWERS_BYTES_MAX {
            match self.reader.read(&mut self.socket) {
                Ok(Message::Text(text)) => self.command(Command::from_json(text.as_bytes())),
                Ok(Message::Binary(bytes)) => self.command(Command::from_msgpack(&bytes)),
                Ok(_) => self.shard.wake(self.session), // perhaps there is a pong to be written
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.begin(self.encoding),
            }
        }
    }

    fn command(&mut self, command: Result<Command, CommandError>) {
        match command {
            Ok(command) => self.shard.command(self.session, &command),
            Err(error) => self.shard.reject(self.session, error.id, &error.problem),
        }
    }

    fn write(&mut self, id: SessionId) {
        let mut written = std::mem::take(&mut self.socket.answers);
        loop {
            if self.room == 0 {
                self.shard.blocked(id);
                break;
            }
            self.room = self.room.saturating_sub(1);
            match self.shard.next_write(id, &mut self.frame) {
                NextWrite::Frames { .. } => written.extend_from_slice(self.frame.frame()),
                NextWrite::Idle => break,
                NextWrite::Later => {
                    self.shard.requeue(id);
                    break;
                }
                NextWrite::Lagged => self.shard.finish(id, CloseReason::SlowClient),
                NextWrite::Ended(reason) => {
                    self.close(reason, written);
                    return self.begin(self.encoding);
                }
            }
        }
        self.peer_reads(&written);
    }

    fn close(&mut self, reason: CloseReason, mut written: Vec<u8>) {
        let code = CloseCode::from(reason.code());
        self.reader.close(&mut self.socket, CloseFrame { code, reason: reason.label().into() });
        written.append(&mut self.socket.answers);
        self.peer_reads(&written);
    }

    fn peer_reads(&mut self, written: &[u8]) {
        for message in self.peer.read(written) {
            if message.is_text() || message.is_binary() {
                assert!(!elements(&message, self.encoding).is_empty(), "an empty message");
            }
        }
    }

    /// The session ends, and another begins.
    fn begin(&mut self, encoding: Encoding) {
        self.shard.close(self.session);
        self.seed += 1;
        self.encoding = match encoding {
            Encoding::Json => Encoding::MsgpackArray,
            _ => Encoding::Json,
        };
        self.session = self.shard.open(FEED, self.encoding);
        self.reader = Reader::new(COMMAND_BYTES_MAX, Vec::new());
        self.socket = Socket::default();
        self.peer = Peer::new(self.seed);
        self.room = u8::MAX;
    }

    fn is_bounded(&self) {
        let stats = self.shard.stats();
        // Who catches up is owed what is in the log, and no more.
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

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.arrived.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A whole frame as clients send it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let length = u16::try_from(payload.len()).expect("commands here are short").to_be_bytes();
    let mut frame = vec![first, 0x80 | 126, length[0], length[1]];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A command that can be understood, since chance alone seldom spells one.
fn command(input: &mut Input<'_>) -> String {
    let action = ["subscribe", "subscribe", "subscribe", "unsubscribe", "list"];
    let delivery = [
        "",
        r#","delivery":"every""#,
        r#","delivery":"latest""#,
        r#","delivery":"latest","max_rate":20"#,
    ];
    let further = [
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
    let options = [choose(&delivery), choose(&further), choose(&on_lag)].concat();
    let action = choose(&action);
    let (first, count) = (input.byte() % 32, input.byte() % 8);
    let mut names: Vec<_> = (first..first + count).map(|name| format!("\"S{name}\"")).collect();
    if input.byte().is_multiple_of(4) {
        names.push("\"*\"".to_owned());
    }
    format!(r#"{{"action":"{action}","trades":[{}]{options}}}"#, names.join(","))
}

fn trade(symbol: u8) -> Tick {
    let symbol = Symbol::new(&format!("S{}", symbol % 32)).expect("it is a symbol");
    let data = TickData::Trade(Trade::default());
    Tick { symbol, seq: Seq(0), time: UnixNanos(1), data }
}

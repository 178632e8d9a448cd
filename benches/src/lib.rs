//! Drives the fan-out core with fixed input, without sockets and without a clock, for the
//! benchmarks. [`hub_address`], [`processes`] and [`quantile`] are shared by the programs that
//! measure a whole hub.
#![expect(clippy::unwrap_used, reason = "a benchmark's own values")]

pub mod hub_address;
pub mod processes;
pub mod quantile;

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use tickwire_hub::fanout::turn::{self, LogBreak, Received, ShardIo, SocketState};
use tickwire_hub::fanout::{
    Batch, CloseReason, FeedId, Limits, Log, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{
    Channel, Command, Delivery, Encoding, MaxRate, SubscribeRequest, Symbol, Tick, UnixNanos,
};

/// The feed of all ticks here.
pub const FEED: FeedId = FeedId(0);
/// Time of the first turn.
const START_TIME: UnixNanos = UnixNanos(1_767_364_200_000_000_000);
/// Time between two turns of a shard, in nanoseconds.
const TURN_NS: u64 = 10_000_000;

/// Ticks that the log keeps. Sessions with a maximum rate read ticks that are up to 0.1 s old.
const LOG_TICKS: usize = 10_000;
/// Turns before the measurement, after which each session with a maximum rate has been sent to.
const WARMUP_TURNS: usize = 10;

/// A workload: which symbols tick, and how many sessions subscribe to them.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Number of sessions.
    pub sessions: usize,
    /// What each session subscribes to.
    pub subscribed: Subscribed,
    /// Delivery mode of all sessions.
    pub delivery: Delivery,
    /// Number of symbols, which all tick equally often.
    pub symbols: usize,
    /// Ticks in a batch. Each turn has one batch.
    pub ticks_per_turn: usize,
}

/// What a session subscribes to.
#[derive(Debug, Clone, Copy)]
pub enum Subscribed {
    /// This number of symbols, by name.
    Symbols(usize),
    /// `"*"`.
    Everything,
}

impl Workload {
    /// 1,000 sessions subscribe to the only symbol that ticks.
    pub const HOT_1000: Self = Self {
        sessions: 1_000,
        subscribed: Subscribed::Symbols(1),
        delivery: Delivery::Every,
        symbols: 1,
        ticks_per_turn: 64,
    };
    /// Like [`Self::HOT_1000`], but with 10,000 sessions.
    pub const HOT_10000: Self = Self { sessions: 10_000, ..Self::HOT_1000 };
    /// Each session subscribes to 50 of 500 symbols.
    pub const BOARD: Self = Self {
        sessions: 1_000,
        subscribed: Subscribed::Symbols(50),
        delivery: Delivery::Every,
        symbols: 500,
        ticks_per_turn: 100,
    };

    /// This number of symbols tick, without any session.
    #[must_use]
    pub const fn unwanted(symbols: usize) -> Self {
        Self { sessions: 0, symbols, ..Self::BOARD }
    }

    /// This number of symbols tick, and one session subscribes to `"*"`.
    #[must_use]
    pub const fn wildcard(symbols: usize) -> Self {
        Self { sessions: 1, subscribed: Subscribed::Everything, symbols, ..Self::BOARD }
    }

    /// Changes the delivery to the newest tick of each symbol: at most `per_second` times a second,
    /// or in every turn.
    #[must_use]
    pub fn latest(self, per_second: Option<f64>) -> Self {
        let max_rate = per_second.map(|rate| MaxRate::per_second(rate).unwrap());
        Self { delivery: Delivery::Latest { max_rate }, ..self }
    }

    /// Returns the trades of one turn, round robin over the symbols. `first` is the number of
    /// earlier ticks. Consecutive ticks are 7 symbols apart, so that symbols of one session do not
    /// tick in succession.
    #[must_use]
    pub fn ticks(&self, first: usize) -> Vec<Tick> {
        const TRADE: &[u8] = br#"{"T":"t","S":"A","t":"2026-01-02T14:30:00.123456789Z","i":96921,"x":"D","p":126.55,"s":100,"c":["@","I"],"z":"C"}"#;
        let trade = Tick::from_json(TRADE).unwrap();
        let tick = |n: usize| Tick { symbol: symbol(n * 7 % self.symbols), ..trade.clone() };
        (first..first + self.ticks_per_turn).map(tick).collect()
    }

    /// Returns the number of ticks after which every symbol has ticked and the log is full.
    fn warmup_ticks(&self) -> usize {
        self.symbols.max(LOG_TICKS + self.ticks_per_turn)
    }

    /// Returns the subscribe request of session number `number`.
    fn subscription(&self, number: usize) -> SubscribeRequest {
        let delivery = self.delivery;
        let mut asked =
            SubscribeRequest { snapshot: Some(false), delivery, ..SubscribeRequest::default() };
        let selection = &mut asked.names[Channel::Trades];
        match self.subscribed {
            Subscribed::Symbols(count) => {
                let names = number * count..(number + 1) * count;
                selection.symbols = names.map(|n| symbol(n % self.symbols)).collect();
            }
            Subscribed::Everything => selection.all = true,
        }
        asked
    }
}

fn symbol(number: usize) -> Symbol {
    Symbol::new(&format!("S{number}")).unwrap()
}

/// A router with a full log.
#[derive(Debug)]
pub struct RouterHarness {
    workload: Workload,
    sequencer: Sequencer,
    log: Log,
    ticked: usize,
}

impl RouterHarness {
    /// Creates a router after every symbol of the workload has ticked, whose log is full: it drops
    /// as many ticks as it appends.
    #[must_use]
    pub fn new(workload: Workload) -> Self {
        let sequencer = Sequencer::new(workload.symbols, 1);
        let mut harness =
            Self { workload, sequencer, log: Log::new(usize::MAX, LOG_TICKS), ticked: 0 };
        while harness.ticked < workload.warmup_ticks() {
            let ticks = harness.ticks();
            harness.turn(ticks);
        }
        harness
    }

    /// Returns the ticks that publishers send for the next turn.
    pub fn ticks(&mut self) -> Vec<Tick> {
        let ticks = self.workload.ticks(self.ticked);
        self.ticked += ticks.len();
        ticks
    }

    /// Numbers the ticks and appends their batch to the log.
    pub fn turn(&mut self, ticks: Vec<Tick>) {
        self.sequencer.take(FEED, ticks);
        let batch = self.sequencer.batch(START_TIME).unwrap();
        self.log.append(Arc::new(batch));
    }
}

/// A shard with its sessions, driven without sockets.
#[derive(Debug)]
pub struct ShardHarness {
    workload: Workload,
    shard: Shard,
    sequencer: Sequencer,
    /// The batch that the log holds and the shard has not read.
    unseen: Option<Arc<Batch>>,
    /// Whether a turn writes to sessions.
    writes: bool,
    ticked: usize,
    now: UnixNanos,
}

impl ShardHarness {
    /// Creates a shard after every symbol of the workload has ticked and every session has been
    /// sent to. Its log is full.
    #[must_use]
    pub fn new(workload: Workload, encoding: Encoding) -> Self {
        let limits = Limits {
            feeds: 1,
            subscriptions_per_session: 1_000,
            subscriptions: 1_000_000,
            waiting_topics: 10_000,
            backlog_ticks: 500_000,
            total_backlog_ticks: u64::MAX,
            total_control_bytes: usize::MAX,
            backlog_age_ns: 10_000_000_000,
            message_bytes: 65_535,
            topics_per_piece: usize::MAX,
        };
        let mut harness = Self {
            workload,
            shard: Shard::new(limits, Position::FIRST),
            sequencer: Sequencer::new(workload.symbols, 1),
            unseen: None,
            writes: true,
            ticked: 0,
            now: START_TIME,
        };
        while harness.ticked < workload.warmup_ticks() {
            harness.next_turn();
        }
        for number in 0..workload.sessions {
            let id = harness.shard.open(FEED, encoding);
            harness.shard.command(id, &Command::Subscribe(workload.subscription(number)));
        }
        for _ in 0..WARMUP_TURNS {
            harness.next_turn();
        }
        harness
    }

    fn next_turn(&mut self) {
        let batch = self.batch();
        self.turn(batch);
    }

    /// Numbers the ticks of the next turn and returns their batch.
    pub fn batch(&mut self) -> Arc<Batch> {
        self.sequencer.take(FEED, self.workload.ticks(self.ticked));
        self.ticked += self.workload.ticks_per_turn;
        self.now.0 += TURN_NS;
        Arc::new(self.sequencer.batch(self.now).unwrap())
    }

    /// Runs a whole turn: takes in a batch and writes to every session with pending ticks.
    pub fn turn(&mut self, batch: Arc<Batch>) {
        self.unseen = Some(batch);
        turn::run(self);
    }

    /// Runs a turn without writing: takes in a batch, which updates last values and backlogs.
    pub fn apply(&mut self, batch: Arc<Batch>) {
        self.writes = false;
        self.turn(batch);
        self.writes = true;
    }

    /// Runs turns that write to sessions, until no session has pending ticks.
    pub fn write(&mut self) {
        while self.shard.has_ready() {
            turn::run(self);
        }
    }

    /// Returns the number of ticks put into frames so far, counted once for each session.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.shard.stats().ticks_delivered
    }
}

impl ShardIo for ShardHarness {
    type Message = Infallible;

    fn shard(&mut self) -> &mut Shard {
        &mut self.shard
    }

    fn begin_turn(&mut self) -> UnixNanos {
        self.now
    }

    fn log_start(&self) -> Position {
        Position(self.shard.head().0.saturating_sub(LOG_TICKS as u64))
    }

    fn log_head(&self) -> Position {
        self.unseen.as_ref().map_or_else(|| self.shard.head(), |batch| batch.end())
    }

    fn read_log(
        &mut self,
        _: Position,
        _: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak> {
        into.extend(self.unseen.take());
        Ok(())
    }

    fn receive(&mut self, _: SessionId) -> Received<Infallible> {
        Received::Nothing
    }

    fn handle(&mut self, _: SessionId, message: Infallible) {
        match message {}
    }

    fn begin_writing(&mut self) -> bool {
        self.writes
    }

    fn flush(&mut self, _: SessionId) -> SocketState {
        SocketState::Writable
    }

    fn write(&mut self, _: SessionId, frames: &[u8], _: usize) -> SocketState {
        black_box(frames);
        SocketState::Writable
    }

    fn send_close(&mut self, _: SessionId, _: CloseReason) {}

    fn finish(&mut self, id: SessionId, reason: CloseReason) {
        self.shard.finish(id, reason);
    }
}

//! The fan-out core as benchmarks drive it: scenes of fixed input, without sockets and without a clock.
//! Beside them what programs share that drive a whole hub.
#![expect(clippy::unwrap_used, reason = "a benchmark's own values")]

pub mod frames;
pub mod processes;

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

/// The feed of everything here.
pub const FEED: FeedId = FeedId(0);
/// When everything begins.
const BEGINNING: UnixNanos = UnixNanos(1_767_364_200_000_000_000);
/// Turns of a shard are so far apart, in nanoseconds.
const TURN_NS: u64 = 10_000_000;

/// Ticks the log keeps: some of those that paced sessions are sent are a tenth of a second old.
const LOG_TICKS: usize = 10_000;
/// Turns in which a shard's sessions come to their stride: each has had its slot if it is paced.
const SETTLING_TURNS: usize = 10;

/// What ticks, and who wants it.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Subscribers there are.
    pub sessions: usize,
    /// What each of them wants.
    pub wanted: Wanted,
    /// Whether they want every tick of it.
    pub delivery: Delivery,
    /// Symbols that tick, all equally often.
    pub symbols: usize,
    /// Ticks in a batch, and batches are one a turn.
    pub ticks_per_turn: usize,
}

/// What a session subscribes to.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// So many symbols by name.
    SubscriptionSet(usize),
    /// `"*"`.
    Everything,
}

impl Scene {
    /// All sessions want the one symbol that ticks.
    pub const HOT: Self = Self {
        sessions: 1_000,
        wanted: Wanted::SubscriptionSet(1),
        delivery: Delivery::Every,
        symbols: 1,
        ticks_per_turn: 64,
    };
    /// Ten times as many.
    pub const CROWD: Self = Self { sessions: 10_000, ..Self::HOT };
    /// Each session wants some of many symbols.
    pub const BOARD: Self = Self {
        sessions: 1_000,
        wanted: Wanted::SubscriptionSet(50),
        delivery: Delivery::Every,
        symbols: 500,
        ticks_per_turn: 100,
    };

    /// So many symbols tick and nobody is there to want them.
    #[must_use]
    pub const fn unwanted(symbols: usize) -> Self {
        Self { sessions: 0, symbols, ..Self::BOARD }
    }

    /// So many symbols tick, and one session wants all of them.
    #[must_use]
    pub const fn wildcard(symbols: usize) -> Self {
        Self { sessions: 1, wanted: Wanted::Everything, symbols, ..Self::BOARD }
    }

    /// The same, but each session is sent only the newest of each symbol: in so many slots a second, or
    /// in every turn.
    #[must_use]
    pub fn latest(self, per_second: Option<f64>) -> Self {
        let max_rate = per_second.map(|rate| MaxRate::per_second(rate).unwrap());
        Self { delivery: Delivery::Latest { max_rate }, ..self }
    }

    /// One turn's trades, of each symbol in turn; `first` counts ticks from the beginning. Symbols lie
    /// 7 apart so that those of a session do not tick side by side.
    #[must_use]
    pub fn ticks(&self, first: usize) -> Vec<Tick> {
        const TRADE: &[u8] = br#"{"T":"t","S":"A","t":"2026-01-02T14:30:00.123456789Z","i":96921,"x":"D","p":126.55,"s":100,"c":["@","I"],"z":"C"}"#;
        let trade = Tick::from_json(TRADE).unwrap();
        let tick = |n: usize| Tick { symbol: symbol(n * 7 % self.symbols), ..trade.clone() };
        (first..first + self.ticks_per_turn).map(tick).collect()
    }

    /// Ticks after which every symbol has ticked and the log is full.
    fn ticks_to_know_all(&self) -> usize {
        self.symbols.max(LOG_TICKS + self.ticks_per_turn)
    }

    /// What session number `number` asks for.
    fn subscription(&self, number: usize) -> SubscribeRequest {
        let delivery = self.delivery;
        let mut asked =
            SubscribeRequest { snapshot: Some(false), delivery, ..SubscribeRequest::default() };
        let selection = &mut asked.names[Channel::Trades];
        match self.wanted {
            Wanted::SubscriptionSet(count) => {
                let names = number * count..(number + 1) * count;
                selection.symbols = names.map(|n| symbol(n % self.symbols)).collect();
            }
            Wanted::Everything => selection.all = true,
        }
        asked
    }
}

fn symbol(number: usize) -> Symbol {
    Symbol::new(&format!("S{number}")).unwrap()
}

/// The router's part of a turn, with a log that is full.
#[derive(Debug)]
pub struct RouterRig {
    scene: Scene,
    sequencer: Sequencer,
    log: Log,
    ticked: usize,
}

impl RouterRig {
    /// A router that has met every symbol of the scene and whose log drops as much as it takes.
    #[must_use]
    pub fn new(scene: Scene) -> Self {
        let sequencer = Sequencer::new(scene.symbols, 1);
        let mut rig = Self { scene, sequencer, log: Log::new(usize::MAX, LOG_TICKS), ticked: 0 };
        while rig.ticked < scene.ticks_to_know_all() {
            let ticks = rig.ticks();
            rig.turn(ticks);
        }
        rig
    }

    /// What publishers send for the next turn.
    pub fn ticks(&mut self) -> Vec<Tick> {
        let ticks = self.scene.ticks(self.ticked);
        self.ticked += ticks.len();
        ticks
    }

    /// Numbers the ticks and appends their batch to the log.
    pub fn turn(&mut self, ticks: Vec<Tick>) {
        self.sequencer.take(FEED, ticks);
        let batch = self.sequencer.batch(BEGINNING).unwrap();
        self.log.append(Arc::new(batch));
    }
}

/// A shard with its sessions.
#[derive(Debug)]
pub struct ShardRig {
    scene: Scene,
    shard: Shard,
    sequencer: Sequencer,
    /// What the log holds that the shard has not seen.
    unseen: Option<Arc<Batch>>,
    /// Whether sessions are written.
    writes: bool,
    ticked: usize,
    now: UnixNanos,
}

impl ShardRig {
    /// A shard that has met every symbol of the scene and whose sessions have been written to, in front
    /// of a log that drops as much as it takes.
    #[must_use]
    pub fn new(scene: Scene, encoding: Encoding) -> Self {
        let limits = Limits {
            feeds: 1,
            names_per_session: 1_000,
            names: 1_000_000,
            waiting_topics: 10_000,
            backlog_ticks: 500_000,
            backlogs_ticks: u64::MAX,
            controls_bytes: usize::MAX,
            backlog_age_ns: 10_000_000_000,
            message_bytes: 65_535,
        };
        let mut rig = Self {
            scene,
            shard: Shard::new(limits, Position::FIRST),
            sequencer: Sequencer::new(scene.symbols, 1),
            unseen: None,
            writes: true,
            ticked: 0,
            now: BEGINNING,
        };
        while rig.ticked < scene.ticks_to_know_all() {
            rig.next_turn();
        }
        for number in 0..scene.sessions {
            let id = rig.shard.open(FEED, encoding);
            rig.shard.command(id, &Command::Subscribe(scene.subscription(number)));
        }
        for _ in 0..SETTLING_TURNS {
            rig.next_turn();
        }
        rig
    }

    fn next_turn(&mut self) {
        let batch = self.batch();
        self.turn(batch);
    }

    /// The router's part of the next turn.
    pub fn batch(&mut self) -> Arc<Batch> {
        self.sequencer.take(FEED, self.scene.ticks(self.ticked));
        self.ticked += self.scene.ticks_per_turn;
        self.now.0 += TURN_NS;
        Arc::new(self.sequencer.batch(self.now).unwrap())
    }

    /// A whole turn: takes a batch in and writes to every session that has something pending.
    pub fn turn(&mut self, batch: Arc<Batch>) {
        self.unseen = Some(batch);
        turn::run(self);
    }

    /// Takes a batch in without writing: last values, and what sessions have pending.
    pub fn apply(&mut self, batch: Arc<Batch>) {
        self.writes = false;
        self.turn(batch);
        self.writes = true;
    }

    /// Writes to sessions until nothing is pending.
    pub fn write(&mut self) {
        while self.shard.has_ready() {
            turn::run(self);
        }
    }

    /// Ticks put into frames since the beginning, each counted for every session that got it.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.shard.stats().ticks_delivered
    }
}

impl ShardIo for ShardRig {
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

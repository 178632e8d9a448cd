//! Sessions that are cut and resume: each must receive every tick once and in order, or an exact
//! gap, and only evicted ticks may be missing. Random, from a seed.

mod listener;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tickwire_hub::fanout::turn::{
    self, LogBreak, Phase, Received, ShardIo, SocketState, TurnLimits,
};
use tickwire_hub::fanout::{
    Batch, CloseReason, FeedId, Limits, Log, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{Channel, Seq, Symbol, Tick, TickData, Trade, UnixNanos};
use tickwire_testkit::seeds;

use crate::wire;
use listener::Listener;

const EPOCH: &str = "life";
const SYMBOLS: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];
const MS: u64 = 1_000_000;

/// Every tick so far with its position and receive time, by topic.
#[derive(Debug, Default)]
struct Truth(BTreeMap<Symbol, Vec<Told>>);

#[derive(Debug, Clone, PartialEq)]
struct Told {
    position: u64,
    received_ns: u64,
    tick: Tick,
}

impl Truth {
    fn of(&self, symbol: Symbol) -> &[Told] {
        self.0.get(&symbol).map_or(&[], Vec::as_slice)
    }

    /// Returns the number of the first tick at or after a position, or of the next tick if there is
    /// none.
    fn first_from(&self, symbol: Symbol, position: u64) -> u64 {
        1 + self.of(symbol).partition_point(|told| told.position < position) as u64
    }

    fn first_received_from(&self, symbol: Symbol, time_ns: u64) -> u64 {
        1 + self.of(symbol).partition_point(|told| told.received_ns < time_ns) as u64
    }
}

/// The state of the shard under test.
#[derive(Debug, Clone, Copy)]
struct Stand {
    log_start: u64,
    head: u64,
    now_ns: u64,
}

struct World {
    random: StdRng,
    sequencer: Sequencer,
    log: Log,
    shard: Shard,
    truth: Truth,
    log_ticks: usize,
    listeners: Vec<Listener>,
    stand: Stand,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let limits = Limits {
            feeds: 1,
            subscriptions_per_session: 100,
            subscriptions: 10_000,
            waiting_topics: 100,
            backlog_ticks: 100_000,
            total_backlog_ticks: 1_000_000,
            total_control_bytes: 1 << 30,
            backlog_age_ns: u64::MAX,
            message_bytes: [200, 1_000, 65_535][random.random_range(0..3)],
        };
        let log_ticks = [50, 500, 5_000][random.random_range(0..3)];
        Self {
            sequencer: Sequencer::new(100, 1),
            log: Log::new(usize::MAX, log_ticks),
            shard: Shard::new(limits, Position::FIRST).in_epoch(EPOCH),
            truth: Truth::default(),
            log_ticks,
            listeners: (0..6).map(|_| Listener::default()).collect(),
            stand: Stand { log_start: 1, head: 1, now_ns: MS },
            random,
        }
    }

    /// Appends a batch, sometimes a large one.
    fn publish(&mut self) {
        let count = [3, 30, 1_500][self.random.random_range(0..20_usize) / 9];
        let unseen = usize::try_from(self.log.head().0 - self.stand.head).unwrap();
        if unseen + count > self.log_ticks {
            let follow = Turn { batches: 100, writes: false, ..Turn::default() };
            self.turn(follow); // it must not fall out of the log
        }
        let ticks = (0..count).map(|_| {
            let symbol = Symbol::new(SYMBOLS[self.random.random_range(0..SYMBOLS.len())]).unwrap();
            let data = TickData::Trade(Trade { id: self.random.random(), ..Trade::default() });
            Tick { symbol, seq: Seq(0), time: UnixNanos(1), data }
        });
        let ticks = ticks.collect();
        self.sequencer.take(FeedId(0), ticks);
        let batch = self.sequencer.batch(UnixNanos(self.stand.now_ns)).unwrap();
        for (numbered, position) in batch.ticks().iter().zip(batch.first().0..) {
            let tick = numbered.tick.clone();
            let received_ns = batch.received().0;
            let told = Told { position, received_ns, tick };
            self.truth.0.entry(numbered.tick.symbol).or_default().push(told);
        }
        self.log.append(Arc::new(batch));
    }

    fn turn(&mut self, turn: Turn) {
        self.stand.now_ns += self.random.random_range(0..3 * MS);
        let mut io = HistoryTurn { world: self, turn, ended: Vec::new() };
        turn::run(&mut io);
        for id in std::mem::take(&mut io.ended) {
            io.cut(id);
        }
    }

    /// Breaks a connection. Unread data is lost.
    fn cut(&mut self, place: usize) {
        if let Some(id) = self.listeners[place].id.take() {
            self.shard.close(id);
            self.listeners[place].was_cut();
        }
    }

    fn act(&mut self) {
        let place = self.random.random_range(0..self.listeners.len());
        match self.random.random_range(0..100) {
            0..30 => self.publish(),
            30..60 => {
                let batches = self.random.random_range(1..5);
                let catching_up = self.random.random_range(1..8);
                let share = self.random.random_range(1..4);
                self.turn(Turn { batches, writes: true, catching_up, share });
            }
            60..66 => self.cut(place),
            66..80 => self.ask(place),
            80..85 => self.listeners[place].stalled = true,
            85..97 => self.wake(place),
            _ => {
                if let Some(id) = self.listeners[place].id {
                    self.shard.finish(id, CloseReason::Shutdown);
                    self.listeners[place].ends = true;
                }
            }
        }
    }

    fn wake(&mut self, place: usize) {
        let listener = &mut self.listeners[place];
        listener.stalled = false;
        listener.id.into_iter().for_each(|id| self.shard.writable(id));
    }

    /// Resumes a cut session, or changes the subscriptions of an open one.
    fn ask(&mut self, place: usize) {
        let listener = &mut self.listeners[place];
        if listener.ends {
            return;
        }
        let command = match listener.id {
            None => {
                listener.encoding = wire::ENCODINGS[self.random.random_range(0..3)];
                let id = self.shard.open(FeedId(0), listener.encoding);
                listener.id = Some(id);
                listener.come_back(&mut self.random, &self.truth, self.stand)
            }
            Some(_) => listener.change(&mut self.random, &self.truth, self.stand),
        };
        let id = listener.id.unwrap();
        self.shard.command(id, &command);
    }

    /// Resumes all sessions and asserts that each has received everything.
    fn end(&mut self) {
        for place in 0..self.listeners.len() {
            if self.listeners[place].ends {
                self.cut(place);
            }
            self.wake(place);
        }
        for _ in 0..10_000 {
            for place in 0..self.listeners.len() {
                if self.listeners[place].id.is_none() {
                    self.ask(place); // it may have lagged just now
                }
            }
            self.turn(Turn { batches: 100, writes: true, catching_up: 100, share: 4 });
            let idle = !self.shard.has_ready() && self.shard.head() == self.log.head();
            if idle && self.listeners.iter().all(|listener| listener.id.is_some()) {
                break;
            }
        }
        assert_eq!(self.shard.stats().catching_up, 0, "all are live in the end");
        for listener in &self.listeners {
            listener.check_complete(&self.truth);
        }
        (0..self.listeners.len()).for_each(|place| self.cut(place));
        self.turn(Turn::default());
        let held = self.shard.stats();
        assert_eq!((held.backlog_ticks, held.control_bytes, held.subscriptions), (0, 0, 0));
    }
}

/// The work that one turn does.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    batches: usize,
    /// Whether live sessions are written.
    writes: bool,
    /// Number of writes to sessions that catch up.
    catching_up: usize,
    /// Most writes to one session.
    share: usize,
}

struct HistoryTurn<'a> {
    world: &'a mut World,
    turn: Turn,
    /// Breaks the connections of sessions that the shard has ended.
    ended: Vec<SessionId>,
}

impl HistoryTurn<'_> {
    fn cut(&mut self, id: SessionId) {
        let place = self.world.listeners.iter().position(|listener| listener.id == Some(id));
        if let Some(place) = place {
            self.world.cut(place);
        }
    }
}

impl ShardIo for HistoryTurn<'_> {
    type Message = Infallible;

    fn shard(&mut self) -> &mut Shard {
        &mut self.world.shard
    }

    fn limits(&self) -> TurnLimits {
        let Turn { batches, share, .. } = self.turn;
        TurnLimits { batches, writes_per_session: share, ..TurnLimits::DEFAULT }
    }

    fn begin_turn(&mut self) -> UnixNanos {
        UnixNanos(self.world.stand.now_ns)
    }

    fn log_start(&self) -> Position {
        self.world.log.start()
    }

    fn log_head(&self) -> Position {
        self.world.log.head()
    }

    fn read_log(
        &mut self,
        from: Position,
        batches_max: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak> {
        Ok(self.world.log.read(from, batches_max, into)?)
    }

    fn has_time(&mut self, phase: Phase) -> bool {
        if phase != Phase::WriteCatchingUp {
            return true;
        }
        self.turn.catching_up -= 1;
        self.turn.catching_up > 0
    }

    fn receive(&mut self, _: SessionId) -> Received<Infallible> {
        Received::Nothing
    }

    fn handle(&mut self, _: SessionId, message: Infallible) {
        match message {}
    }

    fn begin_writing(&mut self) -> bool {
        let World { shard, log, stand, .. } = &mut *self.world;
        assert_eq!(shard.stats().log_overruns, 0, "the log holds what the shard has not seen");
        stand.head = shard.head().0;
        stand.log_start = log.start().0.min(stand.head);
        self.turn.writes
    }

    fn flush(&mut self, id: SessionId) -> SocketState {
        if self.ended.contains(&id) {
            self.cut(id);
            return SocketState::Closed;
        }
        SocketState::Writable
    }

    fn write(&mut self, id: SessionId, frames: &[u8], _: usize) -> SocketState {
        let World { listeners, truth, stand, .. } = &mut *self.world;
        let listener = listeners.iter_mut().find(|listener| listener.id == Some(id)).unwrap();
        for message in wire::messages(frames, listener.encoding) {
            listener.hear(message.elements, truth, *stand);
        }
        if listener.stalled { SocketState::Blocked } else { SocketState::Writable }
    }

    fn send_close(&mut self, id: SessionId, _: CloseReason) {
        self.ended.push(id);
    }

    fn finish(&mut self, id: SessionId, _: CloseReason) {
        self.ended.push(id);
    }
}

#[test]
fn resumed_sessions_receive_every_tick_once_or_an_exact_gap() {
    let mut checked = 0;
    for seed in seeds!().each(12) {
        let mut world = World::new(seed.number());
        (0..400).for_each(|_| world.act());
        world.end();
        checked += world.listeners.iter().map(|listener| listener.heard).sum::<u64>();
    }
    assert!(checked > 0, "no tick was checked");
}

fn channel_names(
    symbols: impl IntoIterator<Item = Symbol>,
    all: bool,
) -> tickwire_protocol::SubscriptionSet {
    let mut names = tickwire_protocol::SubscriptionSet::default();
    names[Channel::Trades].symbols.extend(symbols);
    names[Channel::Trades].all = all;
    names
}

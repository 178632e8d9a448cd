//! Sessions that are cut and resume: each must receive every tick once and in order, or an exact
//! gap, and only evicted ticks may be missing. Random, from a seed.

mod subscriber;

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
use subscriber::Subscriber;

const EPOCH: &str = "epoch-1";
const SYMBOLS: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];
const MS: u64 = 1_000_000;

/// Every tick so far with its position and receive time, by topic.
#[derive(Debug, Default)]
struct Oracle(BTreeMap<Symbol, Vec<IssuedTick>>);

#[derive(Debug, Clone, PartialEq)]
struct IssuedTick {
    position: u64,
    received_ns: u64,
    tick: Tick,
}

impl Oracle {
    fn of(&self, symbol: Symbol) -> &[IssuedTick] {
        self.0.get(&symbol).map_or(&[], Vec::as_slice)
    }

    /// Returns the number of the first tick at or after a position, or of the next tick if there is
    /// none.
    fn first_from(&self, symbol: Symbol, position: u64) -> u64 {
        1 + self.of(symbol).partition_point(|issued| issued.position < position) as u64
    }

    fn first_received_from(&self, symbol: Symbol, time_ns: u64) -> u64 {
        1 + self.of(symbol).partition_point(|issued| issued.received_ns < time_ns) as u64
    }
}

/// The state of the shard under test.
#[derive(Debug, Clone, Copy)]
struct ShardState {
    log_start: u64,
    head: u64,
    now_ns: u64,
}

struct World {
    random: StdRng,
    sequencer: Sequencer,
    log: Log,
    shard: Shard,
    oracle: Oracle,
    log_ticks: usize,
    subscribers: Vec<Subscriber>,
    state: ShardState,
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
            topics_per_piece: usize::MAX,
        };
        let log_ticks = [50, 500, 5_000][random.random_range(0..3)];
        Self {
            sequencer: Sequencer::new(100, 1),
            log: Log::new(usize::MAX, log_ticks),
            shard: Shard::new(limits, Position::FIRST).in_epoch(EPOCH),
            oracle: Oracle::default(),
            log_ticks,
            subscribers: (0..6).map(|_| Subscriber::default()).collect(),
            state: ShardState { log_start: 1, head: 1, now_ns: MS },
            random,
        }
    }

    /// Appends a batch, sometimes a large one.
    fn publish(&mut self) {
        let count = [3, 30, 1_500][self.random.random_range(0..20_usize) / 9];
        let unseen = usize::try_from(self.log.head().0 - self.state.head).unwrap();
        if unseen + count > self.log_ticks {
            let turn = Turn { batches: 100, writes: false, ..Turn::default() };
            self.turn(turn); // so that the log does not overrun the shard
        }
        let ticks = (0..count).map(|_| {
            let symbol = Symbol::new(SYMBOLS[self.random.random_range(0..SYMBOLS.len())]).unwrap();
            let data = TickData::Trade(Trade { id: self.random.random(), ..Trade::default() });
            Tick { symbol, seq: Seq(0), time: UnixNanos(1), data }
        });
        let ticks = ticks.collect();
        self.sequencer.take(FeedId(0), ticks);
        let batch = self.sequencer.batch(UnixNanos(self.state.now_ns)).unwrap();
        for (numbered, position) in batch.ticks().iter().zip(batch.first().0..) {
            let tick = numbered.tick.clone();
            let received_ns = batch.received().0;
            let issued = IssuedTick { position, received_ns, tick };
            self.oracle.0.entry(numbered.tick.symbol).or_default().push(issued);
        }
        self.log.append(Arc::new(batch));
    }

    fn turn(&mut self, turn: Turn) {
        self.state.now_ns += self.random.random_range(0..3 * MS);
        let mut io = HistoryTurn { world: self, turn, ended: Vec::new() };
        turn::run(&mut io);
        for id in std::mem::take(&mut io.ended) {
            io.cut(id);
        }
    }

    /// Breaks a connection. Unread data is lost.
    fn cut(&mut self, index: usize) {
        if let Some(id) = self.subscribers[index].id.take() {
            self.shard.close(id);
            self.subscribers[index].on_cut();
        }
    }

    fn act(&mut self) {
        let index = self.random.random_range(0..self.subscribers.len());
        match self.random.random_range(0..100) {
            0..30 => self.publish(),
            30..60 => {
                let batches = self.random.random_range(1..5);
                let catching_up = self.random.random_range(1..8);
                let share = self.random.random_range(1..4);
                self.turn(Turn { batches, writes: true, catching_up, share });
            }
            60..66 => self.cut(index),
            66..80 => self.send_command(index),
            80..85 => self.subscribers[index].stalled = true,
            85..97 => self.wake(index),
            _ => {
                if let Some(id) = self.subscribers[index].id {
                    self.shard.finish(id, CloseReason::Shutdown);
                    self.subscribers[index].is_closing = true;
                }
            }
        }
    }

    fn wake(&mut self, index: usize) {
        let subscriber = &mut self.subscribers[index];
        subscriber.stalled = false;
        subscriber.id.into_iter().for_each(|id| self.shard.writable(id));
    }

    /// Resumes a cut session, or changes the subscriptions of an open one.
    fn send_command(&mut self, index: usize) {
        let subscriber = &mut self.subscribers[index];
        if subscriber.is_closing {
            return;
        }
        let command = match subscriber.id {
            None => {
                subscriber.encoding = wire::ENCODINGS[self.random.random_range(0..3)];
                let id = self.shard.open(FeedId(0), subscriber.encoding);
                subscriber.id = Some(id);
                subscriber.resume(&mut self.random, &self.oracle, self.state)
            }
            Some(_) => subscriber.change(&mut self.random, &self.oracle, self.state),
        };
        let id = subscriber.id.unwrap();
        self.shard.command(id, &command);
    }

    /// Resumes all sessions and asserts that each has received everything.
    fn end(&mut self) {
        for index in 0..self.subscribers.len() {
            if self.subscribers[index].is_closing {
                self.cut(index);
            }
            self.wake(index);
        }
        for _ in 0..10_000 {
            for index in 0..self.subscribers.len() {
                if self.subscribers[index].id.is_none() {
                    self.send_command(index); // it may have lagged in this round
                }
            }
            self.turn(Turn { batches: 100, writes: true, catching_up: 100, share: 4 });
            let idle = !self.shard.has_ready() && self.shard.head() == self.log.head();
            if idle && self.subscribers.iter().all(|subscriber| subscriber.id.is_some()) {
                break;
            }
        }
        assert_eq!(self.shard.stats().catching_up, 0, "all sessions are live in the end");
        for subscriber in &self.subscribers {
            subscriber.check_complete(&self.oracle);
        }
        (0..self.subscribers.len()).for_each(|index| self.cut(index));
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
    /// Sessions that the shard has ended. Their connections are cut after the turn.
    ended: Vec<SessionId>,
}

impl HistoryTurn<'_> {
    fn cut(&mut self, id: SessionId) {
        let index = self.world.subscribers.iter().position(|subscriber| subscriber.id == Some(id));
        if let Some(index) = index {
            self.world.cut(index);
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
        UnixNanos(self.world.state.now_ns)
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
        let World { shard, log, state, .. } = &mut *self.world;
        assert_eq!(
            shard.stats().log_overruns,
            0,
            "the log holds every tick that the shard has not seen"
        );
        state.head = shard.head().0;
        state.log_start = log.start().0.min(state.head);
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
        let World { subscribers, oracle, state, .. } = &mut *self.world;
        let subscriber =
            subscribers.iter_mut().find(|subscriber| subscriber.id == Some(id)).unwrap();
        for message in wire::messages(frames, subscriber.encoding) {
            subscriber.receive(message.elements, oracle, *state);
        }
        if subscriber.stalled { SocketState::Blocked } else { SocketState::Writable }
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
        checked += world.subscribers.iter().map(|subscriber| subscriber.checked_ticks).sum::<u64>();
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

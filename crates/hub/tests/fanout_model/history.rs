//! Sessions that are cut and come back: what each hears must be every tick once and in order, or named
//! as missing, and only what the log has forgotten may be missing. Random, from a seed.

mod listener;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tickwire_hub::fanout::{
    CloseReason, FeedId, FrameBuf, Limits, Log, NextWrite, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{Channel, Seq, Symbol, Tick, TickData, Trade, UnixNanos};
use tickwire_testkit::seeds;

use crate::wire;
use listener::Listener;

const EPOCH: &str = "life";
const SYMBOLS: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];
const MS: u64 = 1_000_000;

/// All there has been: every tick with its position and receive time, by topic.
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

    /// Number of the first tick at a position or behind it; that of the next one if there is none.
    fn first_from(&self, symbol: Symbol, position: u64) -> u64 {
        1 + self.of(symbol).partition_point(|told| told.position < position) as u64
    }

    fn first_received_from(&self, symbol: Symbol, time_ns: u64) -> u64 {
        1 + self.of(symbol).partition_point(|told| told.received_ns < time_ns) as u64
    }
}

/// Where the one shard stands.
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
    frame: FrameBuf,
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
            names_per_session: 100,
            names: 10_000,
            waiting_topics: 100,
            backlog_ticks: 100_000,
            backlogs_ticks: 1_000_000,
            controls_bytes: 1 << 30,
            backlog_age_ns: u64::MAX,
            message_bytes: [200, 1_000, 65_535][random.random_range(0..3)],
        };
        let log_ticks = [50, 500, 5_000][random.random_range(0..3)];
        Self {
            sequencer: Sequencer::new(100, 1),
            log: Log::new(usize::MAX, log_ticks),
            shard: Shard::new(limits, Position::FIRST).in_epoch(EPOCH),
            frame: FrameBuf::default(),
            truth: Truth::default(),
            log_ticks,
            listeners: (0..6).map(|_| Listener::default()).collect(),
            stand: Stand { log_start: 1, head: 1, now_ns: MS },
            random,
        }
    }

    /// One batch, large ones now and then.
    fn publish(&mut self) {
        let count = [3, 30, 1_500][self.random.random_range(0..20_usize) / 9];
        let unseen = usize::try_from(self.log.head().0 - self.stand.head).unwrap();
        if unseen + count > self.log_ticks {
            self.begin_turn(100); // it must not fall out of the log
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

    /// The shard takes what is new, as far as it gets.
    fn begin_turn(&mut self, batches: usize) {
        self.stand.now_ns += self.random.random_range(0..3 * MS);
        self.shard.begin_turn(UnixNanos(self.stand.now_ns), self.log.start());
        let mut read = Vec::new();
        self.log.read(self.shard.head(), batches, &mut read).unwrap();
        read.into_iter().for_each(|batch| self.shard.apply(batch));
        self.stand.head = self.shard.head().0;
        self.stand.log_start = self.log.start().0.min(self.stand.head);
    }

    /// The live ones first, then some of those that catch up.
    fn write(&mut self, catching_up: usize, share: usize) {
        for id in self.shard.take_ready() {
            self.serve(id, share);
        }
        for _ in 0..catching_up {
            let Some(id) = self.shard.next_catching_up() else { return };
            self.serve(id, share);
        }
    }

    fn serve(&mut self, id: SessionId, share: usize) {
        if !self.shard.is_ready(id) {
            return;
        }
        let place = self.listeners.iter().position(|listener| listener.id == Some(id)).unwrap();
        for _ in 0..share {
            match self.shard.next_write(id, &mut self.frame) {
                NextWrite::Frames { .. } => {
                    let listener = &mut self.listeners[place];
                    for message in wire::messages(&self.frame, listener.encoding) {
                        listener.hear(message.elements, &self.truth, self.stand);
                    }
                    if listener.stalled {
                        return self.shard.blocked(id);
                    }
                }
                NextWrite::Idle => return,
                NextWrite::Later => break,
                NextWrite::Lagged | NextWrite::Ended(_) => return self.cut(place),
            }
        }
        self.shard.requeue(id);
    }

    /// The connection breaks; what was not heard is lost.
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
                let (batches, catching_up) =
                    (self.random.random_range(1..5), self.random.random_range(0..8));
                self.begin_turn(batches);
                let share = self.random.random_range(1..4);
                self.write(catching_up, share);
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

    /// Comes back if it was cut, or changes what it wants.
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

    /// Everybody comes back, reads, and has heard all there was.
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
            self.begin_turn(100);
            self.write(100, 4);
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
        self.begin_turn(1);
        let held = self.shard.stats();
        assert_eq!((held.backlog_ticks, held.control_bytes, held.subscriptions), (0, 0, 0));
    }
}

#[test]
fn sessions_that_come_back_hear_every_tick_once_or_that_it_is_gone() {
    let mut checked = 0;
    for seed in seeds!().each(12) {
        let mut world = World::new(seed.number());
        (0..400).for_each(|_| world.act());
        world.end();
        checked += world.listeners.iter().map(|listener| listener.heard).sum::<u64>();
    }
    assert!(checked > 0, "nobody has heard anything");
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

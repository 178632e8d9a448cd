//! Runs each operation on the core and on the model, and compares the results.

mod pair;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;

use tickwire_hub::fanout::{self, FeedId, Limits, Log, Sequencer, SessionId};
use tickwire_protocol::{
    Channel, Correction, Delivery, Quote, Seq, Symbol, Tick, TickData, Trade, UnixNanos,
};

use crate::model::{self, AGE_NS, NAMES, NAMES_PER_SESSION};
use crate::ops::{CHANNELS, FEEDS, Op, Pick, RATES, SYMBOLS, Setting, SubscribeArgs, Turn, rate};
use pair::Pair;
use turn::ModelTurn;

const TOPICS_MAX: usize = 30;
const NANOS_PER_US: u64 = 1_000;
/// The most turns until everything is sent after all sessions read. The slowest send time is at
/// most two seconds away, and the timer wheel may fire a lap too early.
const TURNS_MAX: usize = 1_000;

pub(crate) struct Driver {
    sequencer: Sequencer,
    log: Log,
    /// Last sequence numbers by topic.
    seqs: BTreeMap<model::Key, u64>,
    pairs: [Pair; 2],
    now_ns: u64,
    commands: u64,
}

impl Driver {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self {
            sequencer: Sequencer::new(TOPICS_MAX, 1),
            log: Log::new(usize::MAX, setting.log_ticks),
            seqs: BTreeMap::new(),
            pairs: [Pair::new(setting), Pair::new(setting)],
            now_ns: 1,
            commands: 0,
        }
    }

    pub(crate) fn run(&mut self, op: &Op) {
        match op {
            Op::Open { shard, feed, encoding } => {
                let pair = &mut self.pairs[*shard];
                let SessionId(slot) = pair.core.open(FeedId(*feed), *encoding);
                pair.model.open(slot, *feed, *encoding);
            }
            Op::Publish(feed, names) => self.publish(*feed, names),
            Op::Wait { us } => self.now_ns += us * NANOS_PER_US,
            Op::CheckAges { shard } => {
                let expected = self.pairs[*shard].model.check_ages();
                let turn = Turn { shard: *shard, ..Turn::default() };
                assert_eq!(fanout::turn::check_ages(&mut ModelTurn::new(self, &turn)), expected);
                self.pairs[*shard].check_lagged();
            }
            Op::Turn(turn) => self.turn(turn),
            Op::SubscribeInManyRates(pick) => self.subscribe_in_many_rates(*pick),
            Op::Close(pick)
            | Op::Subscribe(pick, ..)
            | Op::Unsubscribe(pick, ..)
            | Op::List(pick)
            | Op::Reject(pick)
            | Op::Stall(pick)
            | Op::Resume(pick)
            | Op::Finish(pick, _)
            | Op::Detach(pick) => {
                if let Some((shard, slot)) = self.session(*pick) {
                    self.commands += 1;
                    self.pairs[shard].run(op, slot, self.commands);
                }
            }
        }
        for pair in &mut self.pairs {
            pair.compare();
        }
    }

    fn subscribe_in_many_rates(&mut self, pick: Pick) {
        let names = CHANNELS.iter().flat_map(|channel| SYMBOLS.map(|symbol| (*channel, symbol)));
        for ((channel, symbol), number) in names.zip(0..RATES.len()) {
            let delivery = Delivery::Latest { max_rate: Some(rate(number)) };
            let names = vec![(channel, Some(symbol))];
            self.run(&Op::Subscribe(
                pick,
                SubscribeArgs { names, delivery, ..SubscribeArgs::default() },
            ));
        }
    }

    /// Lets all sessions read and close, and asserts that no state remains.
    pub(crate) fn end(&mut self) {
        for shard in 0..self.pairs.len() {
            let slots: Vec<u32> = self.pairs[shard].model.sessions.keys().copied().collect();
            for slot in &slots {
                self.pairs[shard].run(&Op::Resume(0), *slot, 0);
            }
            self.drain(shard);
            let pair = &mut self.pairs[shard];
            for slot in slots {
                let session = pair.model.session(slot);
                assert!(session.pending.is_empty(), "lost: {:?}", session.pending);
                assert_eq!(session.next_send_ns(), None, "a newest tick is pending");
                assert_eq!(session.close_written, session.close_queued, "session {slot}");
                pair.run(&Op::Close(0), slot, 0);
            }
            pair.compare();
            assert_eq!(pair.core.sessions(), 0);
            let held = pair.core.stats();
            assert_eq!((held.backlog_ticks, held.control_bytes, held.subscriptions), (0, 0, 0));
        }
    }

    /// Runs turns until nothing is pending, and advances the time between them as far as the core
    /// permits.
    fn drain(&mut self, shard: usize) {
        for _ in 0..TURNS_MAX {
            let pair = &self.pairs[shard];
            if !pair.core.has_ready() && pair.model.head == self.log.head().0 {
                if pair.model.sessions.values().all(|session| session.next_send_ns().is_none()) {
                    return;
                }
                let next = pair.core.next_timer().expect("a session waits for its send time");
                self.now_ns = self.now_ns.max(next.0);
            }
            self.turn(&Turn { shard, us: 0, batches: 9, share: 4, between: Vec::new() });
        }
        panic!("the core does not become idle");
    }

    fn session(&self, pick: Pick) -> Option<(usize, u32)> {
        let of =
            |shard: usize| self.pairs[shard].model.sessions.keys().map(move |slot| (shard, *slot));
        let all: Vec<(usize, u32)> = of(0).chain(of(1)).collect();
        all.get(usize::from(pick) % all.len().max(1)).copied()
    }

    fn publish(&mut self, feed: u8, names: &[(Channel, &'static str)]) {
        let ticks: Vec<Tick> =
            names.iter().map(|(channel, symbol)| tick(*channel, symbol, self.now_ns)).collect();
        let mut expected = Vec::new();
        for tick in &ticks {
            let key = (feed, tick.channel(), tick.symbol);
            if self.seqs.len() < TOPICS_MAX || self.seqs.contains_key(&key) {
                let seq = self.seqs.entry(key).or_insert(0);
                *seq += 1;
                expected.push(Tick { seq: Seq(*seq), ..tick.clone() });
            }
        }
        let refused = ticks.len() - expected.len();
        assert_eq!(self.sequencer.take(FeedId(feed), ticks), refused);
        assert_eq!(self.sequencer.topics(), self.seqs.len());
        let batch = self.sequencer.batch(UnixNanos(self.now_ns));
        let Some(batch) = batch else { return assert!(expected.is_empty()) };
        let numbered: Vec<Tick> = batch.ticks().iter().map(|n| n.tick.clone()).collect();
        assert_eq!(numbered, expected);
        assert_eq!(batch.first(), self.log.head());
        self.log.append(Arc::new(batch));
    }

    fn turn(&mut self, turn: &Turn) {
        self.now_ns += turn.us * NANOS_PER_US;
        fanout::turn::run(&mut ModelTurn::new(self, turn));
        self.pairs[turn.shard].compare();
    }
}

fn limits(setting: &Setting) -> Limits {
    Limits {
        feeds: usize::from(FEEDS),
        subscriptions_per_session: NAMES_PER_SESSION,
        subscriptions: NAMES,
        waiting_topics: setting.waiting_topics,
        backlog_ticks: setting.backlog_ticks,
        total_backlog_ticks: setting.total_backlog_ticks,
        total_control_bytes: setting.total_control_bytes,
        backlog_age_ns: AGE_NS,
        message_bytes: setting.message_bytes,
        topics_per_piece: usize::MAX,
    }
}

fn shift(setting: &Setting) -> usize {
    usize::try_from(setting.shift).unwrap()
}

fn tick(channel: Channel, symbol: &str, time: u64) -> Tick {
    let data = match channel {
        Channel::Trades => TickData::Trade(Trade { id: time, ..Trade::default() }),
        Channel::Quotes => TickData::Quote(Quote { bid_size: time, ..Quote::default() }),
        _ => TickData::Correction(Box::new(Correction {
            original_id: time,
            ..Correction::default()
        })),
    };
    let symbol = Symbol::new(symbol).unwrap();
    Tick { symbol, seq: Seq(0), time: UnixNanos(time), data }
}

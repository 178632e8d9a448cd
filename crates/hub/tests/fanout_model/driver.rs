//! Runs an operation on the core and on the model, and compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tickwire_hub::fanout::{
    Batch, CloseReason, FeedId, FrameBuf, Limits, Log, NextWrite, Position, Sequencer, SessionId,
    Shard,
};
use tickwire_protocol::{
    Channel, Command, Names, Quote, Seq, Subscription, Symbol, Tick, TickData, Trade, UnixNanos,
};

use crate::model::{self, AGE_MS, Flow, Item, NAMES, NAMES_PER_SESSION, Taken};
use crate::ops::{Ask, FEEDS, Op, Pick, Setting, Turn};
use crate::wire;

const TOPICS_MAX: usize = 20;
const NANOS_PER_MS: u64 = 1_000_000;

/// One shard, in truth and in the model.
struct Pair {
    core: Shard,
    model: model::Shard,
    frames: FrameBuf,
    /// Sessions written in this round.
    written: BTreeSet<u32>,
}

pub(crate) struct Driver {
    sequencer: Sequencer,
    log: Log,
    /// Last numbers by topic.
    seqs: BTreeMap<model::Key, u64>,
    pairs: [Pair; 2],
    setting: Setting,
    now_ms: u64,
    commands: u64,
}

impl Driver {
    pub(crate) fn new(setting: &Setting) -> Self {
        let pair = || Pair {
            core: Shard::new(limits(setting), Position::FIRST.plus(shift(setting))),
            model: model::Shard::new(setting),
            frames: FrameBuf::default(),
            written: BTreeSet::new(),
        };
        Self {
            sequencer: Sequencer::new(TOPICS_MAX, 1),
            log: Log::new(usize::MAX, setting.log_ticks),
            seqs: BTreeMap::new(),
            pairs: [pair(), pair()],
            setting: setting.clone(),
            now_ms: 1,
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
            Op::Wait { ms } => self.now_ms += ms,
            Op::CheckAges { shard } => {
                let pair = &mut self.pairs[*shard];
                assert_eq!(pair.core.check_ages(), pair.model.check_ages());
                pair.finish_lagged();
            }
            Op::Turn(turn) => self.turn(turn),
            Op::Close(pick)
            | Op::Subscribe(pick, ..)
            | Op::Unsubscribe(pick, ..)
            | Op::List(pick)
            | Op::Reject(pick)
            | Op::Stall(pick)
            | Op::Resume(pick)
            | Op::Finish(pick, _)
            | Op::Hush(pick) => {
                if let Some((shard, slot)) = self.session(*pick) {
                    self.commands += 1;
                    self.pairs[shard].run(op, slot, self.commands);
                }
            }
        }
        for pair in &self.pairs {
            pair.compare();
        }
    }

    /// Everybody reads, all is delivered, all close; nothing may be left.
    pub(crate) fn end(&mut self) {
        for shard in 0..self.pairs.len() {
            let slots: Vec<u32> = self.pairs[shard].model.sessions.keys().copied().collect();
            for slot in &slots {
                self.pairs[shard].run(&Op::Resume(0), *slot, 0);
            }
            while self.pairs[shard].core.has_ready()
                || self.pairs[shard].model.head < self.log.head().0
            {
                self.turn(&Turn { shard, batches: 9, share: 4, between: Vec::new() });
            }
            let pair = &mut self.pairs[shard];
            for slot in slots {
                let session = pair.model.session(slot);
                assert!(session.pending.is_empty(), "lost: {:?}", session.pending);
                assert_eq!(session.close_written, session.close_queued, "session {slot}");
                pair.run(&Op::Close(0), slot, 0);
            }
            pair.compare();
            assert_eq!(pair.core.sessions(), 0);
        }
    }

    fn session(&self, pick: Pick) -> Option<(usize, u32)> {
        let of =
            |shard: usize| self.pairs[shard].model.sessions.keys().map(move |slot| (shard, *slot));
        let all: Vec<(usize, u32)> = of(0).chain(of(1)).collect();
        all.get(usize::from(pick) % all.len().max(1)).copied()
    }

    fn publish(&mut self, feed: u8, names: &[(Channel, &'static str)]) {
        let ticks: Vec<Tick> =
            names.iter().map(|(channel, symbol)| tick(*channel, symbol, self.now_ms)).collect();
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
        let batch = self.sequencer.batch(nanos(self.now_ms));
        let Some(batch) = batch else { return assert!(expected.is_empty()) };
        let numbered: Vec<Tick> = batch.ticks().iter().map(|n| n.tick.clone()).collect();
        assert_eq!(numbered, expected);
        assert_eq!(batch.first(), self.log.head());
        self.log.append(Arc::new(batch));
    }

    fn turn(&mut self, turn: &Turn) {
        self.now_ms += 1;
        let start = self.log.start();
        let pair = &mut self.pairs[turn.shard];
        pair.core.begin_turn(nanos(self.now_ms), start.plus(shift(&self.setting)));
        pair.model.now_ms = self.now_ms;
        pair.model.gone = pair.model.gone.max(start.0);
        pair.follow(&self.log, turn.batches, shift(&self.setting));
        let mut between = turn.between.iter();
        if let Some(op) = between.next() {
            self.run(op);
        }
        let pair = &mut self.pairs[turn.shard];
        pair.finish_lagged();
        let ready = pair.core.take_ready();
        let mut of_model: Vec<u32> =
            ready.iter().filter(|id| pair.core.is_ready(**id)).map(|id| id.0).collect();
        of_model.sort_unstable();
        assert_eq!(of_model, pair.model.ready(), "each session that is ready stands there once");
        pair.written.clear();
        for id in ready {
            if let Some(op) = between.next() {
                self.run(op);
            }
            let message_bytes = self.setting.message_bytes;
            self.pairs[turn.shard].write(id, turn.share, message_bytes);
        }
        self.pairs[turn.shard].compare();
    }
}

impl Pair {
    fn run(&mut self, op: &Op, slot: u32, command: u64) {
        let (core, model, id) = (&mut self.core, &mut self.model, SessionId(slot));
        let number = Some(command);
        let ending = model.session(slot).ending.is_some() || model.session(slot).close_queued;
        match op {
            Op::Close(_) => {
                core.close(id);
                model.close(slot);
            }
            Op::Subscribe(_, ask, snapshot) => {
                let asked = Subscription {
                    names: names(ask),
                    snapshot: *snapshot,
                    id: number,
                    ..Subscription::default()
                };
                core.command(id, &Command::Subscribe(asked));
                model.subscribe(slot, ask, *snapshot, number);
            }
            Op::Unsubscribe(_, ask) => {
                let asked =
                    Subscription { names: names(ask), id: number, ..Subscription::default() };
                core.command(id, &Command::Unsubscribe(asked));
                model.unsubscribe(slot, ask, number);
            }
            Op::List(_) => {
                core.command(id, &Command::List { id: number });
                model.list(slot, number);
            }
            Op::Reject(_) => {
                let error = Command::from_json(b"{}").unwrap_err();
                core.reject(id, number, &error.problem);
                model.reject(slot, number);
            }
            Op::Stall(_) => model.session(slot).stalled = true,
            Op::Resume(_) => {
                core.writable(id);
                let session = model.session(slot);
                session.stalled = false;
                if session.flow == Flow::Blocked {
                    session.flow = Flow::Ready;
                }
            }
            Op::Finish(_, reason) if !ending => {
                core.finish(id, *reason);
                model.finish(slot, *reason);
            }
            Op::Hush(_) if !ending => {
                core.hush(id);
                model.hush(slot);
            }
            _ => {}
        }
    }

    fn follow(&mut self, log: &Log, batches: usize, shift: usize) {
        let mut read = Vec::new();
        if let Err(fell_out) = log.read(Position(self.model.head), batches, &mut read) {
            self.core.fell_out(fell_out.start.plus(shift));
            self.model.fell_out(fell_out.start.0);
            log.read(fell_out.start, batches, &mut read).unwrap();
        }
        for batch in read {
            let ticks: Vec<(u8, Tick)> =
                batch.ticks().iter().map(|n| (n.feed.0, n.tick.clone())).collect();
            let received_ms = batch.received().0 / NANOS_PER_MS;
            self.model.apply(&Taken { end: batch.end().0, received_ms, ticks: &ticks });
            let first = batch.first().plus(shift);
            let shifted = Batch::new(first, batch.received(), batch.ticks().to_vec());
            self.core.apply(Arc::new(shifted));
        }
        assert_eq!(self.core.head(), Position(self.model.head).plus(shift));
    }

    fn finish_lagged(&mut self) {
        let mut lagged: Vec<u32> = self.core.take_lagged().iter().map(|id| id.0).collect();
        lagged.sort_unstable();
        let expected: Vec<u32> = std::mem::take(&mut self.model.lagged).into_iter().collect();
        assert_eq!(lagged, expected, "exactly those have lagged");
        for slot in lagged {
            self.finish(slot);
        }
    }

    fn finish(&mut self, slot: u32) {
        self.core.finish(SessionId(slot), CloseReason::SlowClient);
        self.model.finish(slot, CloseReason::SlowClient);
    }

    /// Writes a session its share, as the loop around the core does.
    fn write(&mut self, id: SessionId, share: usize, message_bytes: usize) {
        let SessionId(slot) = id;
        let Some(session) = self.model.sessions.get_mut(&slot) else {
            return assert!(!self.core.is_ready(id), "it has closed");
        };
        assert_eq!(self.core.is_ready(id), session.flow == Flow::Ready);
        if session.flow != Flow::Ready {
            return;
        }
        assert!(self.written.insert(slot), "session {slot} is written twice in a round");
        for _ in 0..share {
            let session = self.model.session(slot);
            if session.close_queued {
                if session.stalled {
                    return self.block(slot);
                }
                session.close_written = true;
                session.flow = Flow::Idle;
                return self.core.idle(id);
            }
            match self.core.next_write(id, &mut self.frames) {
                NextWrite::Frames { ticks } => self.receive(slot, ticks, message_bytes),
                NextWrite::Idle => {
                    assert!(session.pending.is_empty() && session.ending.is_none());
                    session.flow = Flow::Idle;
                    return;
                }
                NextWrite::Lagged => {
                    let gone = self.model.gone;
                    let front = self.model.session(slot).pending.front();
                    assert!(
                        matches!(front, Some(Item::Tick { batch_end, .. }) if *batch_end <= gone)
                    );
                    self.finish(slot);
                }
                NextWrite::Ended(reason) => {
                    assert!(session.pending.is_empty());
                    assert_eq!(session.ending, Some(reason));
                    session.flow = Flow::Idle;
                    session.close_queued = true;
                }
            }
            if self.model.session(slot).stalled {
                return self.block(slot);
            }
        }
        self.core.requeue(id);
        self.model.session(slot).flow = Flow::Ready;
    }

    fn block(&mut self, slot: u32) {
        self.core.blocked(SessionId(slot));
        let blocked_ms = self.model.now_ms;
        let session = self.model.session(slot);
        (session.flow, session.blocked_ms) = (Flow::Blocked, blocked_ms);
    }

    fn receive(&mut self, slot: u32, ticks: usize, message_bytes: usize) {
        let (gone, session) = (self.model.gone, self.model.sessions.get_mut(&slot).unwrap());
        let messages = wire::messages(&self.frames, session.encoding);
        assert!(ticks == 0 || messages.len() == 1, "ticks come one message at a time");
        let mut live = 0;
        let mut payload = 0;
        for message in messages {
            let one = message.elements.len() == 1;
            assert!(one || message.payload <= message_bytes, "{} bytes", message.payload);
            payload = message.payload;
            for element in message.elements {
                if let (Some(Item::Tick { batch_end, .. }), true) =
                    (session.pending.front(), ticks > 0)
                {
                    assert!(*batch_end > gone, "the tick has left the log");
                }
                live += usize::from(session.receive(element));
            }
        }
        assert_eq!(live, ticks);
        if let (Some(Item::Tick { tick, .. }), true) = (session.pending.front(), ticks > 0) {
            let mut next = Vec::new();
            session.encoding.write_tick(tick, &mut next);
            assert!(payload + next.len() + 3 > message_bytes, "there was room for another tick");
        }
        self.model.delivered += ticks as u64;
    }

    fn compare(&self) {
        let mut control_bytes = 0;
        for (slot, session) in &self.model.sessions {
            let bytes = self.core.control_bytes(SessionId(*slot));
            assert_eq!(bytes > 0, session.has_control(), "session {slot}");
            control_bytes += bytes;
        }
        assert_eq!(self.core.stats(), self.model.stats(control_bytes));
        assert_eq!(self.core.sessions(), self.model.sessions.len());
    }
}

fn limits(setting: &Setting) -> Limits {
    Limits {
        feeds: usize::from(FEEDS),
        names_per_session: NAMES_PER_SESSION,
        names: NAMES,
        waiting_topics: setting.waiting_topics,
        backlog_ticks: setting.backlog_ticks,
        backlogs_ticks: u64::MAX,
        controls_bytes: usize::MAX,
        backlog_age_ns: AGE_MS * NANOS_PER_MS,
        message_bytes: setting.message_bytes,
    }
}

fn shift(setting: &Setting) -> usize {
    usize::try_from(setting.shift).unwrap()
}

fn nanos(ms: u64) -> UnixNanos {
    UnixNanos(ms * NANOS_PER_MS)
}

fn names(ask: &Ask) -> Names {
    let mut names = Names::default();
    for (channel, symbol) in ask {
        names[*channel].add(symbol.unwrap_or("*")).unwrap();
    }
    names
}

fn tick(channel: Channel, symbol: &str, time_ms: u64) -> Tick {
    let data = match channel {
        Channel::Trades => TickData::Trade(Trade { id: time_ms, ..Trade::default() }),
        _ => TickData::Quote(Quote { bid_size: time_ms, ..Quote::default() }),
    };
    Tick { symbol: Symbol::new(symbol).unwrap(), seq: Seq(0), time: nanos(time_ms), data }
}

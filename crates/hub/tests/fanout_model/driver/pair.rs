//! One shard, in truth and in the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tickwire_hub::fanout::{
    Batch, CloseReason, FrameBuf, InterestChange, Log, NextWrite, Position, SessionId, Shard,
    TopicInterest,
};
use tickwire_protocol::{
    Command, Control, Element, SubscribeRequest, SubscriptionSet, Tick, UnixNanos,
};

use super::{limits, shift};
use crate::model::{self, Flow, STEP_NS, Taken};
use crate::ops::{self, Op, Setting};
use crate::wire;

pub(super) struct Pair {
    pub(super) core: Shard,
    pub(super) model: model::Shard,
    frames: FrameBuf,
    /// Sessions written in this round.
    written: BTreeSet<u32>,
    /// Added to the positions of the log.
    shift: usize,
    message_bytes: usize,
    /// Subscribers by the changes that the shard has reported.
    subscribers: BTreeMap<TopicInterest, i64>,
}

impl Pair {
    pub(super) fn new(setting: &Setting) -> Self {
        Self {
            core: Shard::new(limits(setting), Position::FIRST.plus(shift(setting))),
            model: model::Shard::new(setting),
            frames: FrameBuf::default(),
            written: BTreeSet::new(),
            shift: shift(setting),
            message_bytes: setting.message_bytes,
            subscribers: BTreeMap::new(),
        }
    }

    pub(super) fn begin_turn(&mut self, now_ns: u64, log_start: Position) {
        self.core.begin_turn(UnixNanos(now_ns), log_start.plus(self.shift));
        self.model.begin_turn(now_ns, log_start.0);
        self.written.clear();
    }

    pub(super) fn run(&mut self, op: &Op, slot: u32, command: u64) {
        let (core, model, id) = (&mut self.core, &mut self.model, SessionId(slot));
        let number = Some(command);
        let ending = model.session(slot).ending.is_some() || model.session(slot).close_queued;
        match op {
            Op::Close(_) => {
                core.close(id);
                model.close(slot);
            }
            Op::Subscribe(_, ask) => {
                let asked = SubscribeRequest {
                    names: names(&ask.names),
                    snapshot: ask.snapshot,
                    delivery: ask.delivery,
                    on_lag: ask.on_lag,
                    id: number,
                    ..SubscribeRequest::default()
                };
                core.command(id, &Command::Subscribe(asked));
                model.subscribe(slot, ask, number);
            }
            Op::Unsubscribe(_, asked) => {
                let names = names(asked);
                let asked_of_core =
                    SubscribeRequest { names, id: number, ..SubscribeRequest::default() };
                core.command(id, &Command::Unsubscribe(asked_of_core));
                model.unsubscribe(slot, asked, number);
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
                let held_bytes = core.stats().control_bytes;
                core.finish(id, *reason);
                model.finish(slot, *reason, held_bytes);
            }
            Op::Hush(_) if !ending => {
                core.detach(id);
                model.detach(slot);
            }
            _ => {}
        }
    }

    pub(super) fn follow(&mut self, log: &Log, batches: usize) {
        let mut read = Vec::new();
        if let Err(fell_out) = log.read(Position(self.model.head), batches, &mut read) {
            self.core.fell_out(fell_out.start.plus(self.shift));
            self.model.fell_out(fell_out.start.0);
            log.read(fell_out.start, batches, &mut read).unwrap();
        }
        for batch in read {
            let ticks: Vec<(u8, Tick)> =
                batch.ticks().iter().map(|n| (n.feed.0, n.tick.clone())).collect();
            let received_ns = batch.received().0;
            self.model.apply(&Taken { end: batch.end().0, received_ns, ticks: &ticks });
            let first = batch.first().plus(self.shift);
            let shifted = Batch::new(first, batch.received(), batch.ticks().to_vec());
            self.core.apply(Arc::new(shifted));
        }
        assert_eq!(self.core.head(), Position(self.model.head).plus(self.shift));
    }

    pub(super) fn shed_load(&mut self) {
        self.core.shed_load();
        let core = &self.core;
        self.model.shed_load(|slot| core.control_bytes(SessionId(slot)));
    }

    /// Those that asked for it go on, the others end.
    pub(super) fn deal_with_lagged(&mut self) {
        let lagged = std::mem::take(&mut self.model.lagged);
        let mut ending: Vec<u32> = self.core.take_lagged().iter().map(|id| id.0).collect();
        ending.sort_unstable();
        let expected: Vec<u32> =
            lagged.into_iter().filter(|slot| !self.model.degrade(*slot)).collect();
        assert_eq!(ending, expected, "exactly those have lagged");
        for slot in ending {
            self.finish(slot);
        }
    }

    fn finish(&mut self, slot: u32) {
        self.core.finish(SessionId(slot), CloseReason::SlowClient);
        self.model.finish(slot, CloseReason::SlowClient, 0);
    }

    /// Sessions to be written: all that must be, each once. An alarm may be early or outdated.
    pub(super) fn take_ready(&mut self) -> Vec<SessionId> {
        let ready = self.core.take_ready();
        let slots = ready.iter().filter(|id| self.core.is_ready(**id)).map(|id| id.0);
        let mut once = BTreeSet::new();
        for slot in slots {
            assert!(once.insert(slot), "session {slot} stands there twice");
            let session = self.model.session(slot);
            assert!(session.flow == Flow::Ready || session.was_paced, "session {slot} has nothing");
            session.wake();
        }
        assert_eq!(once, self.model.ready(), "who is ready stands there");
        ready
    }

    /// Writes a session its share, as the loop around the core does.
    pub(super) fn write(&mut self, id: SessionId, share: usize) {
        let SessionId(slot) = id;
        let Some(session) = self.model.sessions.get(&slot) else {
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
            match self.next_write(slot) {
                NextWrite::Frames { ticks } => self.receive(slot, ticks),
                NextWrite::Idle => return self.rest(slot),
                NextWrite::Later => panic!("nobody catches up"),
                NextWrite::Lagged => {
                    assert!(self.model.sessions[&slot].has_lost(self.model.gone));
                    assert!(!self.model.degrade(slot), "it asked for the newest instead");
                    self.finish(slot);
                }
                NextWrite::Ended(reason) => {
                    let session = self.model.session(slot);
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

    /// Asks for the next write; the core may find that ticks have left the log.
    fn next_write(&mut self, slot: u32) -> NextWrite {
        let before = self.core.stats().degraded;
        let next = self.core.next_write(SessionId(slot), &mut self.frames);
        if self.core.stats().degraded > before {
            assert!(self.model.sessions[&slot].has_lost(self.model.gone));
            assert!(self.model.degrade(slot), "it did not ask for that");
        }
        next
    }

    fn rest(&mut self, slot: u32) {
        let now_ns = self.model.now_ns;
        let session = self.model.session(slot);
        assert!(session.pending.is_empty() && session.ending.is_none(), "{:?}", session.pending);
        assert!(!session.has_due(now_ns), "owed at {now_ns}: {session:?}");
        assert!(!self.core.is_ready(SessionId(slot)), "it would be asked again at once");
        session.flow = Flow::Idle;
    }

    fn block(&mut self, slot: u32) {
        self.core.blocked(SessionId(slot));
        let blocked_ns = self.model.now_ns;
        let session = self.model.session(slot);
        (session.flow, session.blocked_ns) = (Flow::Blocked, blocked_ns);
    }

    fn receive(&mut self, slot: u32, ticks: usize) {
        let (gone, encoding) = (self.model.gone, self.model.sessions[&slot].encoding);
        let messages = wire::messages(&self.frames, encoding);
        assert!(ticks == 0 || messages.len() == 1, "ticks come one message at a time");
        let (mut live, mut newest, mut payload) = (0, 0, 0);
        let mut in_snapshot = false;
        for message in messages {
            let one = message.elements.len() == 1;
            let fits = message.payload <= self.message_bytes;
            assert!(one || fits, "{} bytes", message.payload);
            payload = message.payload;
            for element in message.elements {
                in_snapshot = match &element {
                    Element::Control(control) => {
                        assert!(one, "control elements stand alone");
                        matches!(control, Control::Snapshot { .. })
                    }
                    Element::Tick(_) => in_snapshot,
                };
                let session = self.model.session(slot);
                session.hear(&element, in_snapshot);
                match element {
                    Element::Tick(tick) if ticks > 0 && !session.expects(&tick) => {
                        assert_eq!(live, newest, "the newest come first");
                        newest += 1;
                        live += 1;
                        self.model.sent_newest(slot, &tick);
                    }
                    element => {
                        assert!(ticks == 0 || !session.has_lost(gone), "it has left the log");
                        live += usize::from(ticks > 0);
                        session.receive(element);
                    }
                }
            }
        }
        assert_eq!(live, ticks);
        if ticks > 0 {
            self.check_fill(slot, payload);
        }
        self.model.delivered += ticks as u64;
    }

    /// A message of ticks holds as many as there are or as fit.
    fn check_fill(&self, slot: u32, payload: usize) {
        let session = &self.model.sessions[&slot];
        let room = self.message_bytes.saturating_sub(payload + 3);
        if let Some(model::Item::Tick { tick, .. }) = session.pending.front() {
            let mut next = Vec::new();
            session.encoding.write_tick(tick, &mut next);
            let lost = session.has_lost(self.model.gone);
            assert!(lost || next.len() > room, "there was room for another tick");
        } else if session.pending.is_empty() {
            let longest = self.model.longest_newest(slot);
            let full = payload + longest + 4 > self.message_bytes / 2; // pending ticks get a half
            assert!(longest == 0 || full, "there was room for another newest");
        }
    }

    pub(super) fn compare(&mut self) {
        let mut control_bytes = 0;
        for (slot, session) in &self.model.sessions {
            let id = SessionId(*slot);
            let bytes = self.core.control_bytes(id);
            assert_eq!(bytes > 0, session.has_control(), "session {slot}");
            control_bytes += bytes;
            if session.flow == Flow::Idle
                && !self.core.is_ready(id)
                && let Some(opens) = session.opens_ns()
            {
                let next = self.core.next_slot();
                let in_time = next.is_some_and(|next| next.0 <= opens + STEP_NS);
                assert!(in_time, "the slot of session {slot} at {opens} is slept over: {next:?}");
            }
        }
        assert_eq!(self.core.stats(), self.model.stats(control_bytes));
        assert_eq!(self.core.sessions(), self.model.sessions.len());
        assert_eq!(self.core.is_eager(), self.model.is_eager());
        self.compare_interest();
    }

    /// The sums of all reported changes are the numbers of subscribers.
    fn compare_interest(&mut self) {
        for InterestChange { interest, delta } in self.core.take_interest_changes() {
            assert_ne!(delta, 0, "{interest:?}");
            let count = self.subscribers.entry(interest).or_default();
            *count += delta;
            if *count == 0 {
                self.subscribers.remove(&interest);
            }
        }
        assert_eq!(self.subscribers, self.model.interest());
    }
}

fn names(asked: &ops::SubscriptionSet) -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    for (channel, symbol) in asked {
        names[*channel].add(symbol.unwrap_or("*")).unwrap();
    }
    names
}

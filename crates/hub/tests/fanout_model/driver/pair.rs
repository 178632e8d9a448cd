//! One shard and its model, compared step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tickwire_hub::fanout::turn::{LogBreak, SocketState};
use tickwire_hub::fanout::{
    Batch, CloseReason, InterestChange, Log, LogOverrun, NextWrite, Position, SessionId, Shard,
    TopicInterest,
};
use tickwire_protocol::{
    Command, Control, Element, ErrorCode, SubscribeRequest, SubscriptionSet, Tick, UnixNanos,
};

use super::{limits, shift};
use crate::model::{self, AppliedBatch, Flow, STEP_NS};
use crate::ops::{self, Op, Setting};
use crate::wire;

pub(super) struct Pair {
    pub(super) core: Shard,
    pub(super) model: model::Shard,
    /// Lagging sessions that the core has ended.
    ended: Vec<u32>,
    /// Sessions to be written in this round.
    to_write: BTreeSet<u32>,
    /// Sessions written in this round.
    written: BTreeSet<u32>,
    /// Whether sessions are being written.
    is_writing: bool,
    /// Offset of the log's positions.
    shift: usize,
    message_bytes: usize,
    /// Numbers of subscribers, by the changes that the shard has reported.
    subscribers: BTreeMap<TopicInterest, i64>,
}

impl Pair {
    pub(super) fn new(setting: &Setting) -> Self {
        Self {
            core: Shard::new(limits(setting), Position::FIRST.plus(shift(setting))),
            model: model::Shard::new(setting),
            ended: Vec::new(),
            to_write: BTreeSet::new(),
            written: BTreeSet::new(),
            is_writing: false,
            shift: shift(setting),
            message_bytes: setting.message_bytes,
            subscribers: BTreeMap::new(),
        }
    }

    /// Converts a position to one of the log.
    pub(super) const fn shifted(&self, position: Position) -> Position {
        position.plus(self.shift)
    }

    pub(super) fn begin_turn(&mut self, now_ns: u64, log_start: Position) -> UnixNanos {
        self.model.begin_turn(now_ns, log_start.0);
        UnixNanos(now_ns)
    }

    pub(super) fn run(&mut self, op: &Op, slot: u32, command: u64) {
        let core = &mut self.core;
        let model = &mut self.model;
        let id = SessionId(slot);
        let number = Some(command);
        let ending = model.session(slot).ending.is_some() || model.session(slot).close_queued;
        match op {
            Op::Close(_) => {
                core.close(id);
                model.close(slot);
            }
            Op::Subscribe(_, args) => {
                let asked = SubscribeRequest {
                    names: names(&args.names),
                    snapshot: args.snapshot,
                    delivery: args.delivery,
                    on_lag: args.on_lag,
                    id: number,
                    ..SubscribeRequest::default()
                };
                core.command(id, &Command::Subscribe(asked));
                model.subscribe(slot, args, number);
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
                let detail = error.problem.to_string();
                core.refuse(id, number, ErrorCode::InvalidSyntax, detail);
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
            Op::Detach(_) if !ending => {
                core.detach(id);
                model.detach(slot);
            }
            _ => {}
        }
    }

    /// Applies the log to both.
    pub(super) fn read_log(
        &mut self,
        log: &Log,
        from: Position,
        batches_max: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak> {
        assert_eq!(from, self.shifted(Position(self.model.head)));
        let mut read = Vec::new();
        if let Err(overrun) = log.read(Position(self.model.head), batches_max, &mut read) {
            self.model.log_overruns(overrun.start.0);
            return Err(LogOverrun { start: self.shifted(overrun.start) }.into());
        }
        for batch in read {
            let ticks: Vec<(u8, Tick)> =
                batch.ticks().iter().map(|n| (n.feed.0, n.tick.clone())).collect();
            let received_ns = batch.received().0;
            self.model.apply(&AppliedBatch { end: batch.end().0, received_ns, ticks: &ticks });
            let first = self.shifted(batch.first());
            into.push(Arc::new(Batch::new(first, batch.received(), batch.ticks().to_vec())));
        }
        Ok(())
    }

    pub(super) fn shed_load(&mut self) {
        let core = &self.core;
        self.model.shed_load(|slot| core.control_bytes(SessionId(slot)));
    }

    /// Handles a lagging session that the core ends.
    pub(super) fn finish(&mut self, id: SessionId, reason: CloseReason) {
        assert_eq!(reason, CloseReason::SlowClient);
        self.core.finish(id, reason);
        self.model.finish(id.0, reason, 0);
        if !self.is_writing {
            self.ended.push(id.0);
        }
    }

    /// Asserts that lagging sessions ended, except those with `on_lag` `latest`.
    pub(super) fn check_lagged(&mut self) {
        let lagged = std::mem::take(&mut self.model.lagged);
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable();
        let expected: Vec<u32> =
            lagged.into_iter().filter(|slot| !self.model.downgrade(*slot)).collect();
        assert_eq!(ended, expected, "sessions that lag");
    }

    /// Asserts that the core is about to write every session that must be written. A timer may fire
    /// early or be outdated, so more sessions are allowed.
    pub(super) fn begin_writing(&mut self) {
        self.check_lagged();
        self.is_writing = true;
        self.written.clear();
        self.to_write.clear();
        for (slot, session) in &mut self.model.sessions {
            if self.core.is_ready(SessionId(*slot)) {
                assert!(
                    session.flow == Flow::Ready || session.was_paced,
                    "session {slot} has nothing"
                );
                session.wake();
                self.to_write.insert(*slot);
            }
        }
        assert_eq!(self.to_write, self.model.ready(), "sessions that are ready are written");
    }

    pub(super) fn end_writing(&mut self) {
        self.is_writing = false;
        for slot in &self.to_write {
            let is_written = self.written.contains(slot) || !self.model.sessions.contains_key(slot);
            assert!(is_written, "session {slot} is ready and was not written");
        }
    }

    /// Writes a session in this round.
    pub(super) fn begin_share(&mut self, slot: u32) {
        assert_eq!(self.model.session(slot).flow, Flow::Ready);
        assert!(self.written.insert(slot), "session {slot} is written twice in a round");
    }

    pub(super) fn flush(&mut self, slot: u32) -> SocketState {
        let session = self.model.session(slot);
        if !session.close_queued {
            return SocketState::Writable;
        }
        if session.stalled {
            return self.block(slot);
        }
        session.close_written = true;
        session.flow = Flow::Idle;
        SocketState::Closing
    }

    /// Compares the next write of the core. The core may have found that ticks have left the log.
    pub(super) fn check_next(&mut self, slot: u32, next: NextWrite, has_downgraded: bool) {
        if has_downgraded {
            assert!(self.model.sessions[&slot].next_is_evicted(self.model.evicted_end));
            assert!(self.model.downgrade(slot), "a session without on_lag latest");
        }
        match next {
            NextWrite::Frames { .. } => {}
            NextWrite::Idle => self.check_idle(slot),
            NextWrite::Yield => panic!("no session catches up"),
            NextWrite::Lagged => {
                assert!(self.model.sessions[&slot].next_is_evicted(self.model.evicted_end));
                assert!(!self.model.downgrade(slot), "a session with on_lag latest");
            }
            NextWrite::Ended(reason) => {
                let session = self.model.session(slot);
                assert!(session.pending.is_empty());
                assert_eq!(session.ending, Some(reason));
                session.close_queued = true;
            }
        }
    }

    /// Asserts that nothing is pending for a session that the core considers idle.
    fn check_idle(&mut self, slot: u32) {
        let now_ns = self.model.now_ns;
        let session = self.model.session(slot);
        assert!(session.pending.is_empty() && session.ending.is_none(), "{:?}", session.pending);
        assert!(!session.has_due(now_ns), "due at {now_ns}: {session:?}");
        assert!(!self.core.is_ready(SessionId(slot)), "an idle session is not ready");
        session.flow = Flow::Idle;
    }

    fn block(&mut self, slot: u32) -> SocketState {
        let blocked_ns = self.model.now_ns;
        let session = self.model.session(slot);
        session.flow = Flow::Blocked;
        session.blocked_ns = blocked_ns;
        SocketState::Blocked
    }

    pub(super) fn write(&mut self, slot: u32, frames: &[u8], ticks: usize) -> SocketState {
        self.receive(slot, frames, ticks);
        if self.model.session(slot).stalled { self.block(slot) } else { SocketState::Writable }
    }

    fn receive(&mut self, slot: u32, frames: &[u8], ticks: usize) {
        let evicted_end = self.model.evicted_end;
        let messages = wire::messages(frames, self.model.sessions[&slot].encoding);
        assert!(ticks == 0 || messages.len() == 1, "ticks come one message at a time");
        let mut live = 0;
        let mut newest = 0;
        let mut payload = 0;
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
                session.check_order(&element, in_snapshot);
                match element {
                    Element::Tick(tick) if ticks > 0 && !session.expects(&tick) => {
                        assert_eq!(live, newest, "the newest come first");
                        newest += 1;
                        live += 1;
                        self.model.sent_newest(slot, &tick);
                    }
                    element => {
                        assert!(
                            ticks == 0 || !session.next_is_evicted(evicted_end),
                            "the tick has left the log"
                        );
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

    /// Asserts that a data message holds all pending ticks, or as many as fit.
    fn check_fill(&self, slot: u32, payload: usize) {
        let session = &self.model.sessions[&slot];
        let room = self.message_bytes.saturating_sub(payload + 3);
        if let Some(model::Item::Tick { tick, .. }) = session.pending.front() {
            let mut next = Vec::new();
            session.encoding.write_tick(tick, &mut next);
            let lost = session.next_is_evicted(self.model.evicted_end);
            assert!(lost || next.len() > room, "there was room for another tick");
        } else if session.pending.is_empty() {
            let longest = self.model.longest_newest(slot);
            let full = payload + longest + 4 > self.message_bytes / 2; // the backlog gets one half
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
                && let Some(send_at) = session.next_send_ns()
            {
                let next = self.core.next_timer();
                let in_time = next.is_some_and(|next| next.0 <= send_at + STEP_NS);
                assert!(in_time, "session {slot} is due at {send_at}, next timer: {next:?}");
            }
        }
        assert_eq!(self.core.stats(), self.model.stats(control_bytes));
        assert_eq!(self.core.sessions(), self.model.sessions.len());
        assert_eq!(self.core.is_eager(), self.model.is_eager());
        self.compare_interest();
    }

    pub(super) fn note_interest(&mut self, changes: &[InterestChange]) {
        for InterestChange { interest, delta } in changes {
            assert_ne!(*delta, 0, "{interest:?}");
            let count = self.subscribers.entry(*interest).or_default();
            *count += delta;
            if *count == 0 {
                self.subscribers.remove(interest);
            }
        }
    }

    /// Asserts that the reported changes add up to the numbers of subscribers.
    fn compare_interest(&mut self) {
        let changes = self.core.take_interest_changes();
        self.note_interest(&changes);
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

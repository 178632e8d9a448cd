//! The loop around a shard: its turns, and the connections it writes to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tickwire_hub::fanout::{
    CloseReason, FeedId, FrameBuf, Limits, Log, NextWrite, Position, SessionId, Shard,
};
use tickwire_protocol::{Command, Control, Tick, UnixNanos};

use crate::connection::{Connection, Expected, Stage};
use crate::random::Random;
use crate::truth::{Name, Topic};

/// Writes to one session before the others get their turn.
const WRITES_PER_SHARE: usize = 4;
/// What a slow session may take to fetch its error.
const GRACE_NS: u64 = 1_000_000_000;
/// Answers pending in a session, in bytes, above which its commands wait.
const SESSION_CONTROL_BYTES: usize = 4_096;

/// Ticks put on the backlog of a session that catches up, at the most.
const CAUGHT_UP_AT_ONCE: usize = 1_024;

pub(crate) struct Seat {
    core: Shard,
    limits: Limits,
    pub(crate) connections: BTreeMap<u32, Connection>,
    /// Connections that have ended since somebody looked.
    pub(crate) ended: Vec<Connection>,
    frame: FrameBuf,
    /// Numbers of the last values the shard knows to be the last.
    seen: BTreeMap<Topic, u64>,
    /// Topics of which it has seen a tick.
    ticked: BTreeSet<Topic>,
    /// Positions that it has not seen, since it fell out of the log.
    pub(crate) unseen: Vec<Range<u64>>,
    /// Position of the first tick that it can still look up.
    start: Position,
    now_ns: u64,
}

impl Seat {
    /// A seat in an epoch. It knows the last ticks before the log, and takes up what the log holds before
    /// anybody is served.
    pub(crate) fn new(
        limits: Limits,
        epoch: &str,
        log: &Log,
        last_before: &[(FeedId, Tick, Position)],
        now_ns: u64,
    ) -> Self {
        let mut seat = Self::empty(limits, epoch, log.start());
        for (feed, tick, at) in last_before {
            seat.core.restore(*feed, tick.clone(), *at);
            seat.note(*feed, tick);
        }
        while seat.is_behind(log) {
            seat.core.begin_turn(UnixNanos(now_ns), log.start());
            seat.follow(log, 7);
        }
        seat
    }

    fn empty(limits: Limits, epoch: &str, from: Position) -> Self {
        Self {
            core: Shard::new(limits.clone(), from).in_epoch(epoch),
            limits,
            connections: BTreeMap::new(),
            ended: Vec::new(),
            frame: FrameBuf::default(),
            seen: BTreeMap::new(),
            ticked: BTreeSet::new(),
            unseen: Vec::new(),
            start: from,
            now_ns: 0,
        }
    }

    /// A session begins, between turns or amid one.
    pub(crate) fn accept(&mut self, connection: Connection, epoch: &str) -> u32 {
        let id = self.core.open(FeedId(connection.feed), connection.encoding);
        self.core.control(id, &Control::Connected { epoch: Some(epoch.to_owned()) });
        self.connections.insert(id.0, connection);
        id.0
    }

    pub(crate) fn turn(&mut self, random: &mut Random, now_ns: u64, log: &Log) {
        self.now_ns = self.now_ns.max(now_ns);
        self.start = self.start.max(log.start());
        self.core.begin_turn(UnixNanos(now_ns), self.start);
        if !self.core.is_eager() {
            self.follow(log, 1_024);
        }
        self.listen(random);
        let batches = random.weighted(&[(2, 1), (2, 3), (1, 1_024)]);
        self.follow(log, batches);
        self.core.shed_load();
        self.end_lagged();
        self.write_ready(random);
        if random.chance(30) {
            self.sweep();
        }
        self.check_bounds();
    }

    /// Notices who has left and who reads again, and takes commands.
    fn listen(&mut self, random: &mut Random) {
        let slots: Vec<u32> = self.connections.keys().copied().collect();
        for slot in slots {
            let id = SessionId(slot);
            let connection = self.connections.get_mut(&slot).unwrap();
            if connection.gone && random.chance(30) {
                self.remove(slot);
                continue;
            }
            if connection.blocked && connection.wire.len() < connection.room {
                connection.blocked = false;
                self.core.writable(id);
            }
            for _ in 0..random.below(4) {
                if self.core.control_bytes(id) <= SESSION_CONTROL_BYTES {
                    self.take_command(slot);
                }
            }
        }
    }

    fn take_command(&mut self, slot: u32) {
        let connection = self.connections.get_mut(&slot).unwrap();
        let Some(bytes) = connection.commands.pop_front() else { return };
        let command = match bytes[0] {
            b'{' => Command::from_json(&bytes),
            _ => Command::from_msgpack(&bytes),
        };
        let command = command.unwrap();
        if connection.stage == Stage::Open {
            let feed = connection.feed;
            let of_feed = |topic: &Topic| (topic.0 == feed).then_some((topic.1, topic.2));
            let values = self.seen.iter().filter_map(|(topic, seq)| Some((of_feed(topic)?, *seq)));
            let values: BTreeMap<Name, u64> = values.collect();
            let ticked = self.ticked.iter().filter_map(of_feed).collect();
            connection.due.push_back(Expected {
                command: command.clone(),
                head: self.core.head().0,
                start: self.start.0,
                now_ns: self.now_ns,
                values,
                ticked,
            });
        }
        self.core.command(SessionId(slot), &command);
    }

    fn follow(&mut self, log: &Log, batches: usize) {
        let mut read = Vec::new();
        if let Err(fell_out) = log.read(self.core.head(), batches, &mut read) {
            self.unseen.push(self.core.head().0..fell_out.start.0);
            self.connections.values_mut().for_each(|connection| connection.fell_out = true);
            self.start = fell_out.start;
            self.seen.clear();
            self.core.fell_out(fell_out.start);
            log.read(fell_out.start, batches, &mut read).unwrap();
        }
        for batch in read {
            for numbered in batch.ticks() {
                self.note(numbered.feed, &numbered.tick);
            }
            self.core.apply(batch);
        }
    }

    fn note(&mut self, feed: FeedId, tick: &Tick) {
        let topic = (feed.0, tick.channel(), tick.symbol);
        self.seen.insert(topic, tick.seq.0);
        self.ticked.insert(topic);
    }

    fn end_lagged(&mut self) {
        for id in self.core.take_lagged() {
            self.finish(id.0, CloseReason::SlowClient);
        }
    }

    /// Ends a session in order.
    pub(crate) fn finish(&mut self, slot: u32, reason: CloseReason) {
        self.core.finish(SessionId(slot), reason);
        let connection = self.connections.get_mut(&slot).unwrap();
        connection.stage = Stage::Finishing { deadline_ns: self.now_ns + GRACE_NS };
        connection.finished_at = Some(self.core.head().0);
    }

    fn write_ready(&mut self, random: &mut Random) {
        let mut ready = self.core.take_ready();
        let start = random.index(ready.len().max(1));
        ready.rotate_left(start);
        for id in ready {
            if random.chance(10) {
                self.listen(random);
            }
            self.serve(id);
        }
        for _ in 0..random.below(4) {
            let Some(id) = self.core.next_catching_up() else { break };
            self.serve(id);
        }
    }

    fn serve(&mut self, id: SessionId) {
        if self.core.is_ready(id) && !self.write(id) {
            self.core.requeue(id);
        }
    }

    /// Writes a session its share; `false` if that was not enough.
    fn write(&mut self, id: SessionId) -> bool {
        for _ in 0..WRITES_PER_SHARE {
            let connection = self.connections.get_mut(&id.0).unwrap();
            if !connection.write_rest() {
                self.block(id);
                return true;
            }
            if matches!(connection.stage, Stage::CloseSent { .. }) {
                self.core.idle(id);
                return true;
            }
            match self.core.next_write(id, &mut self.frame) {
                NextWrite::Frames { .. } => {
                    if !connection.write(self.frame.frame()) {
                        self.block(id);
                        return true;
                    }
                }
                NextWrite::Idle => return true,
                NextWrite::Later => return false,
                NextWrite::Lagged => self.finish(id.0, CloseReason::SlowClient),
                NextWrite::Ended(reason) => {
                    connection.queue_close(reason, self.now_ns + GRACE_NS);
                }
            }
        }
        false
    }

    fn block(&mut self, id: SessionId) {
        self.core.blocked(id);
        self.connections.get_mut(&id.0).unwrap().blocked = true;
    }

    fn sweep(&mut self) {
        let now_ns = self.now_ns;
        let is_overdue = |connection: &Connection| {
            connection.stage.deadline_ns().is_some_and(|deadline| deadline <= now_ns)
        };
        let slots: Vec<u32> = self.connections.keys().copied().collect();
        for slot in slots {
            let connection = &self.connections[&slot];
            if is_overdue(connection) {
                self.remove(slot);
            } else if connection.stage == Stage::Open && connection.rest.is_empty() {
                let pos = self.core.position(SessionId(slot)).map(|position| position.0);
                let time = UnixNanos(now_ns);
                self.core.control(SessionId(slot), &Control::Heartbeat { time, pos });
            }
        }
        self.core.check_ages();
        self.end_lagged();
    }

    fn remove(&mut self, slot: u32) {
        self.core.close(SessionId(slot));
        self.ended.extend(self.connections.remove(&slot));
    }

    fn check_bounds(&self) {
        let held = self.core.stats();
        let (sessions, limits) = (self.connections.len() as u64, &self.limits);
        let most = sessions * (limits.backlog_ticks.max(CAUGHT_UP_AT_ONCE) as u64 + 1);
        assert!(held.backlog_ticks <= most, "{} > {most} ticks pending", held.backlog_ticks);
        assert_eq!(self.core.sessions() as u64, sessions);
    }

    /// When somebody is to be served whose slot is not open yet.
    pub(crate) fn next_slot(&self) -> Option<u64> {
        self.core.next_slot().map(|slot| slot.0)
    }

    pub(crate) fn is_behind(&self, log: &Log) -> bool {
        self.core.head() != log.head()
    }

    /// Whether nothing is left to be done before time goes on or clients act.
    pub(crate) fn is_idle(&self, log: &Log) -> bool {
        let quiet = |connection: &Connection| {
            !connection.gone
                && !connection.blocked
                && connection.commands.is_empty()
                && connection.rest.is_empty()
                && connection.wire.is_empty()
        };
        self.core.head() == log.head()
            && !self.core.has_ready()
            && self.connections.values().all(quiet)
    }
}

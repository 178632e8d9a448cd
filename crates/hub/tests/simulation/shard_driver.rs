//! Drives one shard with its connections: the turn is the server's, but sockets, clock and log are
//! simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use tickwire_hub::fanout::turn::{
    self, LogBreak, Phase, Received, SESSION_CONTROL_BYTES, ShardIo, SocketState, TurnLimits,
};
use tickwire_hub::fanout::{
    Batch, CloseReason, FeedId, LastTick, Limits, Log, LogOverrun, Position, SessionId, Shard,
};
use tickwire_protocol::{Command, Control, Tick, UnixNanos};

use crate::connection::{Connection, Expected, Stage};
use crate::oracle::{Name, Topic};
use crate::random::Random;

/// Time in which a slow session can read its error.
const GRACE_NS: u64 = 1_000_000_000;
/// The most ticks that a catch-up adds to a backlog.
const CATCH_UP_TICKS_MAX: usize = 1_024;

pub(crate) struct ShardDriver {
    core: Shard,
    limits: Limits,
    pub(crate) connections: BTreeMap<u32, Connection>,
    /// Connections that have ended since the last turn of the world.
    pub(crate) ended: Vec<Connection>,
    /// Numbers of the last values, of topics whose last tick the shard has seen.
    seen: BTreeMap<Topic, u64>,
    /// Topics of which the shard has seen a tick.
    ticked: BTreeSet<Topic>,
    /// Positions that the shard has not seen because the log overran it.
    pub(crate) unseen: Vec<Range<u64>>,
    /// Position of the first tick that the shard can still look up.
    start: Position,
    now_ns: u64,
}

impl ShardDriver {
    /// Creates a shard that knows the last ticks from before the log and has applied the log.
    pub(crate) fn new(
        limits: Limits,
        epoch: &str,
        log: &Log,
        last_before: &[LastTick],
        now_ns: u64,
    ) -> Self {
        let mut driver = Self::empty(limits, epoch, log.start());
        for last in last_before {
            driver.core.restore(last.clone());
            driver.record(last.feed, &last.tick);
        }
        driver.now_ns = now_ns;
        let random = &mut Random::new(now_ns);
        let limits = TurnLimits { batches: 7, ..TurnLimits::DEFAULT };
        turn::take_up_log(&mut Turn { driver: &mut driver, random, log, limits });
        driver
    }

    fn empty(limits: Limits, epoch: &str, from: Position) -> Self {
        Self {
            core: Shard::new(limits.clone(), from).in_epoch(epoch),
            limits,
            connections: BTreeMap::new(),
            ended: Vec::new(),
            seen: BTreeMap::new(),
            ticked: BTreeSet::new(),
            unseen: Vec::new(),
            start: from,
            now_ns: 0,
        }
    }

    /// Opens a session, between turns or within one.
    pub(crate) fn accept(&mut self, connection: Connection, epoch: &str) -> u32 {
        let id = self.core.open(FeedId(connection.feed), connection.encoding);
        self.core.control(id, &Control::Connected { epoch: Some(epoch.to_owned()) });
        self.connections.insert(id.0, connection);
        id.0
    }

    pub(crate) fn turn(&mut self, random: &mut Random, now_ns: u64, log: &Log) {
        self.now_ns = self.now_ns.max(now_ns);
        let limits = TurnLimits {
            batches: random.weighted(&[(2, 1), (2, 3), (1, 1_024)]),
            batches_per_look: random.pick(&[1, 64]),
            messages_per_session: random.pick(&[1, 2, 64]),
            sessions_per_poll: random.pick(&[1, 2, 256]),
            session_control_bytes: random.pick(&[1_000, SESSION_CONTROL_BYTES]),
            ..TurnLimits::DEFAULT
        };
        turn::run(&mut Turn { driver: self, random, log, limits });
        self.check_bounds();
    }

    fn take_command(&mut self, slot: u32, bytes: &[u8]) {
        let connection = self.connections.get_mut(&slot).unwrap();
        let command = match bytes[0] {
            b'{' => Command::from_json(bytes),
            _ => Command::from_msgpack(bytes),
        };
        let command = command.unwrap();
        let was_live = self.core.is_live(SessionId(slot));
        let mut due = None;
        if connection.stage == Stage::Open {
            let feed = connection.feed;
            let of_feed = |topic: &Topic| (topic.0 == feed).then_some((topic.1, topic.2));
            let values = self.seen.iter().filter_map(|(topic, seq)| Some((of_feed(topic)?, *seq)));
            let values: BTreeMap<Name, u64> = values.collect();
            let ticked = self.ticked.iter().filter_map(of_feed).collect();
            due = Some(Expected {
                command: command.clone(),
                head: self.core.head().0,
                start: self.start.0,
                now_ns: self.now_ns,
                values,
                ticked,
                was_live,
                is_live: true,
            });
        }
        self.core.command(SessionId(slot), &command);
        let is_live = self.core.is_live(SessionId(slot));
        let due = due.map(|expected| Expected { is_live, ..expected });
        self.connections.get_mut(&slot).unwrap().due.extend(due);
    }

    fn record(&mut self, feed: FeedId, tick: &Tick) {
        let topic = (feed.0, tick.channel(), tick.symbol);
        self.seen.insert(topic, tick.seq.0);
        self.ticked.insert(topic);
    }

    /// Ends a session cleanly.
    pub(crate) fn finish(&mut self, slot: u32, reason: CloseReason) {
        let was_live = self.core.is_live(SessionId(slot));
        self.core.finish(SessionId(slot), reason);
        let connection = self.connections.get_mut(&slot).unwrap();
        connection.stage = Stage::Finishing { deadline_ns: self.now_ns + GRACE_NS };
        connection.finished_at = was_live.then(|| self.core.head().0);
    }

    fn remove(&mut self, slot: u32) {
        self.core.close(SessionId(slot));
        self.ended.extend(self.connections.remove(&slot));
    }

    fn check_bounds(&self) {
        let held = self.core.stats();
        let sessions = self.connections.len() as u64;
        let limits = &self.limits;
        let most = sessions * (limits.backlog_ticks.max(CATCH_UP_TICKS_MAX) as u64 + 1);
        assert!(held.backlog_ticks <= most, "{} > {most} ticks pending", held.backlog_ticks);
        assert_eq!(self.core.sessions() as u64, sessions);
    }

    /// Returns the next send time of a session, if any waits for one.
    pub(crate) fn next_send_time(&self) -> Option<u64> {
        self.core.next_timer().map(|time| time.0)
    }

    pub(crate) fn is_behind(&self, log: &Log) -> bool {
        self.core.head() != log.head()
    }

    /// Returns whether the shard has no work until time passes or a client acts.
    pub(crate) fn is_idle(&self, log: &Log) -> bool {
        let quiet = |connection: &Connection| {
            !connection.is_broken
                && !connection.blocked
                && connection.commands.is_empty()
                && connection.rest.is_empty()
                && connection.wire.is_empty()
        };
        self.core.head() == log.head()
            && !self.core.has_ready()
            && !self.core.has_pieces()
            && self.connections.values().all(quiet)
    }
}

/// A turn of a shard in which connections act, and time runs out, at random.
struct Turn<'a> {
    driver: &'a mut ShardDriver,
    random: &'a mut Random,
    log: &'a Log,
    limits: TurnLimits,
}

impl Turn<'_> {
    /// Handles broken connections and writable sockets, and reads commands.
    fn poll(&mut self) {
        let slots: Vec<u32> = self.driver.connections.keys().copied().collect();
        for slot in slots {
            let id = SessionId(slot);
            let connection = self.driver.connections.get_mut(&slot).unwrap();
            if connection.is_broken && self.random.chance(30) {
                self.driver.remove(slot);
                continue;
            }
            if connection.blocked && connection.wire.len() < connection.room {
                connection.blocked = false;
                self.driver.core.writable(id);
            }
            if self.random.chance(75) {
                turn::read_session(self, id);
            }
        }
    }

    /// Ends connections whose deadline has passed, and sends heartbeats.
    fn sweep(&mut self) {
        let now_ns = self.driver.now_ns;
        let is_overdue = |connection: &Connection| {
            connection.stage.deadline_ns().is_some_and(|deadline| deadline <= now_ns)
        };
        let slots: Vec<u32> = self.driver.connections.keys().copied().collect();
        for slot in slots {
            let connection = &self.driver.connections[&slot];
            if is_overdue(connection) {
                self.driver.remove(slot);
            } else if connection.stage == Stage::Open && connection.rest.is_empty() {
                let core = &mut self.driver.core;
                let pos = core.position(SessionId(slot)).map(|position| position.0);
                let time = UnixNanos(now_ns);
                core.control(SessionId(slot), &Control::Heartbeat { time, pos });
            }
        }
        turn::check_ages(self);
    }

    fn block(&mut self, id: SessionId) -> SocketState {
        self.driver.connections.get_mut(&id.0).unwrap().blocked = true;
        SocketState::Blocked
    }
}

impl ShardIo for Turn<'_> {
    type Message = Vec<u8>;

    fn shard(&mut self) -> &mut Shard {
        &mut self.driver.core
    }

    fn limits(&self) -> TurnLimits {
        self.limits
    }

    fn begin_turn(&mut self) -> UnixNanos {
        self.driver.start = self.driver.start.max(self.log.start());
        UnixNanos(self.driver.now_ns)
    }

    fn log_start(&self) -> Position {
        self.driver.start
    }

    fn log_head(&self) -> Position {
        self.log.head()
    }

    fn read_log(
        &mut self,
        from: Position,
        batches_max: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak> {
        let driver = &mut *self.driver;
        if let Err(LogOverrun { start }) = self.log.read(from, batches_max, into) {
            driver.unseen.push(from.0..start.0);
            driver.connections.values_mut().for_each(|connection| connection.log_overruns = true);
            driver.start = start;
            driver.seen.clear();
            return Err(LogOverrun { start }.into());
        }
        for numbered in into.iter().flat_map(|batch| batch.ticks()) {
            driver.record(numbered.feed, &numbered.tick);
        }
        Ok(())
    }

    fn has_time(&mut self, phase: Phase) -> bool {
        match phase {
            Phase::Apply | Phase::WriteLive => true,
            Phase::Read => self.random.chance(95),
            Phase::WriteCatchingUp => self.random.chance(70),
        }
    }

    fn take_input(&mut self) {
        self.poll();
    }

    fn receive(&mut self, id: SessionId) -> Received<Vec<u8>> {
        let connection = self.driver.connections.get_mut(&id.0);
        match connection.and_then(|connection| connection.commands.pop_front()) {
            Some(command) => Received::Message(command),
            None => Received::Nothing,
        }
    }

    fn handle(&mut self, id: SessionId, command: Vec<u8>) {
        self.driver.take_command(id.0, &command);
    }

    fn transport_bytes(&self, id: SessionId) -> usize {
        self.driver.connections.get(&id.0).map_or(0, |connection| connection.rest.len())
    }

    fn poll_between(&mut self) {
        if self.random.chance(10) {
            self.poll();
        }
    }

    fn flush(&mut self, id: SessionId) -> SocketState {
        let Some(connection) = self.driver.connections.get_mut(&id.0) else {
            return SocketState::Closed;
        };
        if !connection.write_rest() {
            return self.block(id);
        }
        match connection.stage {
            Stage::CloseSent { .. } => SocketState::Closing,
            Stage::Open | Stage::Finishing { .. } => SocketState::Writable,
        }
    }

    fn write(&mut self, id: SessionId, frames: &[u8], _: usize) -> SocketState {
        let connection = self.driver.connections.get_mut(&id.0).unwrap();
        if connection.write(frames) { SocketState::Writable } else { self.block(id) }
    }

    fn send_close(&mut self, id: SessionId, reason: CloseReason) {
        let deadline_ns = self.driver.now_ns + GRACE_NS;
        let connection = self.driver.connections.get_mut(&id.0).unwrap();
        connection.queue_close(reason, deadline_ns);
    }

    fn finish(&mut self, id: SessionId, reason: CloseReason) {
        self.driver.finish(id.0, reason);
    }

    fn run_timers(&mut self) {
        if self.random.chance(30) {
            self.sweep();
        }
    }
}

//! A turn of a simulated shard.

use std::sync::Arc;

use tickwire_hub::fanout::turn::{
    self, LogBreak, Phase, Received, ShardIo, SocketState, TurnLimits,
};
use tickwire_hub::fanout::{
    Batch, CloseReason, FrameBuf, Log, LogOverrun, NextWrite, Position, SessionId, Shard,
};
use tickwire_protocol::{Control, UnixNanos};

use crate::connection::{Connection, Stage};
use crate::random::Random;
use crate::shard_driver::{GRACE_NS, ShardDriver};

/// A turn of a shard in which connections act, and time runs out, at random.
pub(crate) struct Turn<'a> {
    pub(crate) driver: &'a mut ShardDriver,
    pub(crate) random: &'a mut Random,
    pub(crate) log: &'a Log,
    pub(crate) limits: TurnLimits,
    /// Number of messages and pieces of commands before there is no more time for them.
    pub(crate) reads: usize,
    /// Whether messages have been read, and pieces of commands follow.
    pub(crate) has_read: bool,
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
                let connection = self.driver.connections.get_mut(&slot).unwrap();
                connection.fairness.is_announced = !connection.commands.is_empty();
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
        let connection = self.driver.connections.get_mut(&id.0).unwrap();
        connection.blocked = true;
        connection.fairness.waive();
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
            Phase::Read => {
                self.reads = self.reads.saturating_sub(usize::from(self.has_read));
                self.reads > 0
            }
            Phase::WriteCatchingUp => self.random.chance(70),
        }
    }

    fn take_input(&mut self) {
        self.poll();
        self.has_read = true;
    }

    fn receive(&mut self, id: SessionId) -> Received<Vec<u8>> {
        let Some(connection) = self.driver.connections.get_mut(&id.0) else {
            return Received::Nothing;
        };
        connection.fairness.note_received();
        match connection.commands.pop_front() {
            Some(command) => {
                self.reads = self.reads.saturating_sub(1);
                Received::Message(command)
            }
            None => Received::Nothing,
        }
    }

    fn handle(&mut self, id: SessionId, command: Vec<u8>) {
        self.driver.connections.get_mut(&id.0).unwrap().fairness.waive();
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

    fn begin_writing(&mut self) -> bool {
        let ShardDriver { core, connections, .. } = &mut *self.driver;
        let head = core.head().0;
        for (slot, connection) in connections.iter_mut().filter(|(_, of)| of.is_honest()) {
            let id = SessionId(*slot);
            let is_due = connection.stage == Stage::Open && !connection.blocked && core.is_live(id);
            connection.fairness.begin_writing(is_due.then_some(head));
            if !core.is_ready(id) {
                connection.fairness.note_drained(connection.accepted);
            }
        }
        true
    }

    fn next_write(&mut self, id: SessionId, frame: &mut FrameBuf) -> NextWrite {
        let next = self.driver.core.next_write(id, frame);
        let connection = self.driver.connections.get_mut(&id.0);
        if let Some(connection) = connection.filter(|_| matches!(next, NextWrite::Idle)) {
            connection.fairness.note_drained(connection.accepted);
        }
        next
    }

    fn end_writing(&mut self) {
        let writes_max = self.limits.writes_per_session;
        let ShardDriver { core, connections, .. } = &mut *self.driver;
        for (slot, connection) in connections {
            if connection.stage != Stage::Open || !core.is_live(SessionId(*slot)) {
                connection.fairness.waive();
            }
            connection.fairness.end_writing(writes_max);
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
        connection.fairness.note_write();
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

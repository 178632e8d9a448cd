//! Drives a turn of one shard together with its model.

use std::convert::Infallible;
use std::slice;
use std::sync::Arc;

use tickwire_hub::fanout::turn::{LogBreak, Received, ShardIo, SocketState, TurnLimits};
use tickwire_hub::fanout::{
    Batch, CloseReason, FrameBuf, InterestChange, NextWrite, Position, SessionId, Shard,
};
use tickwire_protocol::UnixNanos;

use super::Driver;
use super::pair::Pair;
use crate::ops::{Op, Turn};

pub(super) struct ModelTurn<'a> {
    driver: &'a mut Driver,
    turn: &'a Turn,
    /// Operations still to run within the turn.
    between: slice::Iter<'a, Op>,
    /// The session being written, and the number of writes left for it.
    share: Option<(SessionId, usize)>,
}

impl<'a> ModelTurn<'a> {
    pub(super) fn new(driver: &'a mut Driver, turn: &'a Turn) -> Self {
        Self { driver, turn, between: turn.between.iter(), share: None }
    }

    fn pair(&mut self) -> &mut Pair {
        &mut self.driver.pairs[self.turn.shard]
    }

    fn run_next(&mut self) {
        if let Some(op) = self.between.next() {
            self.driver.run(op);
        }
    }
}

impl ShardIo for ModelTurn<'_> {
    type Message = Infallible;

    fn shard(&mut self) -> &mut Shard {
        &mut self.pair().core
    }

    fn limits(&self) -> TurnLimits {
        TurnLimits {
            batches: self.turn.batches,
            batches_per_look: 2,
            writes_per_session: self.turn.share,
            sessions_per_poll: 1,
            ..TurnLimits::DEFAULT
        }
    }

    fn begin_turn(&mut self) -> UnixNanos {
        let log_start = self.driver.log.start();
        let now_ns = self.driver.now_ns;
        self.pair().begin_turn(now_ns, log_start)
    }

    fn log_start(&self) -> Position {
        self.driver.pairs[self.turn.shard].shifted(self.driver.log.start())
    }

    fn log_head(&self) -> Position {
        self.driver.pairs[self.turn.shard].shifted(self.driver.log.head())
    }

    fn read_log(
        &mut self,
        from: Position,
        batches_max: usize,
        into: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogBreak> {
        let Driver { log, pairs, .. } = &mut *self.driver;
        pairs[self.turn.shard].read_log(log, from, batches_max, into)
    }

    fn take_input(&mut self) {
        self.run_next();
    }

    fn receive(&mut self, _: SessionId) -> Received<Infallible> {
        Received::Nothing
    }

    fn handle(&mut self, _: SessionId, message: Infallible) {
        match message {}
    }

    fn answer_queries(&mut self) {
        self.pair().shed_load(); // the model's; the core sheds load next
    }

    fn begin_writing(&mut self) -> bool {
        self.pair().begin_writing();
        true
    }

    fn poll_between(&mut self) {
        self.run_next();
    }

    fn flush(&mut self, id: SessionId) -> SocketState {
        self.share = match self.share {
            Some((writing, left)) if writing == id && left > 0 => Some((id, left - 1)),
            _ => {
                self.pair().begin_share(id.0);
                Some((id, self.turn.share - 1))
            }
        };
        self.pair().flush(id.0)
    }

    fn next_write(&mut self, id: SessionId, frame: &mut FrameBuf) -> NextWrite {
        let core = &mut self.pair().core;
        let before = core.stats().downgraded;
        let next = core.next_write(id, frame);
        let has_downgraded = core.stats().downgraded > before;
        self.pair().check_next(id.0, next, has_downgraded);
        next
    }

    fn write(&mut self, id: SessionId, frames: &[u8], ticks: usize) -> SocketState {
        self.pair().write(id.0, frames, ticks)
    }

    fn send_close(&mut self, _: SessionId, _: CloseReason) {
        // The model follows the core's choice of the session.
    }

    fn finish(&mut self, id: SessionId, reason: CloseReason) {
        self.pair().finish(id, reason);
    }

    fn end_writing(&mut self) {
        self.pair().end_writing();
    }

    fn report_interest(&mut self, changes: &[InterestChange]) {
        self.pair().note_interest(changes);
    }
}

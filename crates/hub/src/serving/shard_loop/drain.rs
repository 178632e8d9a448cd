//! Closes the sessions of a shard one after the other when the hub shuts down.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::seq::SliceRandom;

use super::ShardTask;
use super::connection::Stage;
use crate::fanout::{CloseReason, Position, SessionId};

/// A drain in progress.
pub(super) struct Drain {
    /// When the last session is to be closed.
    pub(super) until: Instant,
    /// Head of the log when the drain began. No session is closed before the shard has applied the
    /// log up to this position: publishers may have ended by then.
    initial_head: Position,
    /// Sessions that remain to be closed, in reverse order. A session may have ended meanwhile, and
    /// a new session may use its slot. The new session was closed when it opened.
    order: Vec<SessionId>,
    /// When the next session is to be closed.
    next_close: Instant,
    /// Time between the closes of two sessions.
    interval: Duration,
}

impl ShardTask {
    /// Returns when the drain closes its next session.
    pub(super) fn next_drain_close(&self) -> Option<Instant> {
        let drain = self.drain.as_ref()?;
        (!drain.order.is_empty()).then_some(drain.next_close)
    }

    /// Begins the drain of the shard once the hub drains, and closes the sessions that are due.
    pub(super) fn run_drain(&mut self) {
        if self.drain.is_none() && self.context.lifecycle.is_draining() {
            self.begin_drain();
        }
        while let Some(id) = self.take_due() {
            self.finish_session(id, CloseReason::Shutdown);
        }
    }

    fn begin_drain(&mut self) {
        let time = self.context.config.drain_duration;
        let mut order: Vec<_> = self.ids().filter(|id| self.is_open(*id)).collect();
        let mut random = rand::rng();
        order.shuffle(&mut random);
        let interval = time / u32::try_from(order.len().max(1)).unwrap_or(u32::MAX);
        self.drain = Some(Drain {
            until: self.now + time,
            initial_head: self.timeline.log.head(),
            next_close: self.now + interval.mul_f64(random.random()),
            order,
            interval,
        });
    }

    /// Returns the next session that is due to be closed.
    fn take_due(&mut self) -> Option<SessionId> {
        let now = self.now;
        let head = self.core.head();
        loop {
            let drain = self.drain.as_mut()?;
            if now < drain.next_close || head < drain.initial_head {
                return None;
            }
            let id = drain.order.pop()?;
            drain.next_close += drain.interval;
            if self.is_open(id) {
                return Some(id);
            }
        }
    }

    fn is_open(&self, id: SessionId) -> bool {
        self.get(id).is_some_and(|connection| connection.stage == Stage::Open)
    }
}

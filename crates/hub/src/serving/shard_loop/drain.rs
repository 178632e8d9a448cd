//! The end of the hub, for the sessions of a shard: they are closed one after the other.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::seq::SliceRandom;

use super::ShardTask;
use super::connection::Stage;
use crate::fanout::{CloseReason, Position, SessionId};

/// A drain that has begun.
pub(super) struct Drain {
    /// When the last session is closed.
    pub(super) until: Instant,
    /// What was in the log when it began goes out first: publishers may have ended by then.
    applied: Position,
    /// Sessions still to be closed, the next one last. One may have ended since, and another may have
    /// its slot; that one was closed when it came.
    order: Vec<SessionId>,
    /// When the next one is due.
    next: Instant,
    /// From one to the next.
    interval: Duration,
}

impl ShardTask {
    /// Time at which the drain has to go on.
    pub(super) fn next_of_drain(&self) -> Option<Instant> {
        let drain = self.drain.as_ref()?;
        (!drain.order.is_empty()).then_some(drain.next)
    }

    /// Begins the drain once the hub does, and closes the sessions whose time has come.
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
            applied: self.timeline.log.head(),
            next: self.now + interval.mul_f64(random.random()),
            order,
            interval,
        });
    }

    /// The next session to be closed now.
    fn take_due(&mut self) -> Option<SessionId> {
        let (now, head) = (self.now, self.core.head());
        loop {
            let drain = self.drain.as_mut()?;
            if now < drain.next || head < drain.applied {
                return None;
            }
            let id = drain.order.pop()?;
            drain.next += drain.interval;
            if self.is_open(id) {
                return Some(id);
            }
        }
    }

    fn is_open(&self, id: SessionId) -> bool {
        self.get(id).is_some_and(|connection| connection.stage == Stage::Open)
    }
}

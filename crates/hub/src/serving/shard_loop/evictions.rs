//! Sessions of a shard whose message the budget has evicted.

use std::sync::{Arc, Mutex, PoisonError};

use super::ShardTask;
use crate::fanout::{CloseReason, SessionId};
use crate::state::shard_waker::ShardWaker;
use crate::websocket::OnEviction;

/// The evicted sessions of one shard. Any thread may add some.
#[derive(Debug)]
pub(super) struct Evictions {
    sessions: Mutex<Vec<SessionId>>,
    waker: Arc<ShardWaker>,
}

impl Evictions {
    pub(super) const fn new(waker: Arc<ShardWaker>) -> Self {
        Self { sessions: Mutex::new(Vec::new()), waker }
    }

    /// Returns whether no session waits to be closed.
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take(&self) -> Vec<SessionId> {
        std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OnEviction for Evictions {
    fn evicted(&self, token: u64) {
        let id = SessionId(u32::try_from(token).unwrap_or(u32::MAX));
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.waker.wake();
    }
}

impl ShardTask {
    /// Closes the sessions whose message was evicted. A session may have ended since, and another
    /// one may have its slot.
    pub(super) fn close_evicted_sessions(&mut self) {
        for id in self.evictions.take() {
            if self.get(id).is_some_and(|connection| connection.is_evicted()) {
                self.close_with_error(id, CloseReason::MessageMemory);
            }
        }
    }
}

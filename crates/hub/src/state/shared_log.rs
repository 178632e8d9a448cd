//! The log as the router and the shards share it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tickwire_protocol::UnixNanos;

use crate::fanout::{Batch, Log, LogOverrun, Position};
use crate::state::shard_waker::ShardWaker;

/// One log for all. The lock is held for an append or for the copy of a few pointers, once a turn;
/// positions can be read without it.
#[derive(Debug)]
pub(crate) struct SharedLog {
    log: Mutex<Log>,
    start: AtomicU64,
    head: AtomicU64,
    /// Where it went on behind the last hole; 0 if it has none.
    hole_end: AtomicU64,
    wakers: Vec<Arc<ShardWaker>>,
}

impl SharedLog {
    pub(crate) fn new(log: Log, wakers: Vec<Arc<ShardWaker>>) -> Self {
        let (start, head) = (AtomicU64::new(log.start().0), AtomicU64::new(log.head().0));
        let (log, hole_end) = (Mutex::new(log), AtomicU64::new(0));
        Self { log, start, head, hole_end, wakers }
    }

    /// Adds a batch and wakes the shards.
    pub(crate) fn append(&self, batch: Arc<Batch>) {
        self.add(|log| log.append(batch));
    }

    /// The same with a batch that may begin behind the head.
    pub(crate) fn append_later(&self, batch: Arc<Batch>) {
        if batch.first() > self.head() {
            self.hole_end.store(batch.first().0, Ordering::SeqCst);
        }
        self.add(|log| log.append_later(batch));
    }

    fn add(&self, add: impl FnOnce(&mut Log)) {
        let mut log = self.lock();
        add(&mut log);
        self.start.store(log.start().0, Ordering::SeqCst);
        self.head.store(log.head().0, Ordering::SeqCst);
        drop(log);
        for waker in &self.wakers {
            waker.wake_for_ticks();
        }
    }

    /// Whether all who follow the log look at it in their own time.
    pub(crate) fn can_wait(&self) -> bool {
        self.wakers.iter().all(|waker| waker.is_dozing())
    }

    pub(crate) fn start(&self) -> Position {
        Position(self.start.load(Ordering::SeqCst))
    }

    pub(crate) fn head(&self) -> Position {
        Position(self.head.load(Ordering::SeqCst))
    }

    /// Where it went on behind the last hole, if it has one.
    pub(crate) fn hole_end(&self) -> Position {
        Position(self.hole_end.load(Ordering::SeqCst))
    }

    /// Bytes and ticks in the log.
    pub(crate) fn size(&self) -> (usize, usize) {
        let log = self.lock();
        (log.bytes(), log.ticks())
    }

    /// When the oldest tick that is still there was received.
    pub(crate) fn oldest_received(&self) -> Option<UnixNanos> {
        self.lock().oldest_received()
    }

    pub(crate) fn read(
        &self,
        from: Position,
        batches_max: usize,
        out: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogOverrun> {
        if from == self.head() {
            return Ok(());
        }
        self.lock().read(from, batches_max, out)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // A panic while appending cannot leave the ring half changed in a way that matters here.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

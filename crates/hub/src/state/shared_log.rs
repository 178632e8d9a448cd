//! The in-memory log of a timeline, shared by its writer and its shards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tickwire_protocol::UnixNanos;

use crate::fanout::{Batch, Log, LogOverrun, Position};
use crate::state::shard_waker::ShardWaker;

/// A [`Log`] behind a mutex. The lock is held for an append, or while a shard copies a few
/// pointers, once a turn. Positions are read without the lock.
#[derive(Debug)]
pub(crate) struct SharedLog {
    log: Mutex<Log>,
    start: AtomicU64,
    head: AtomicU64,
    /// Position of the first tick after the latest hole, a range of ticks that never reached this
    /// log; 0 if there has been none.
    hole_end: AtomicU64,
    wakers: Vec<Arc<ShardWaker>>,
}

impl SharedLog {
    /// Shares a log with the shards of these wakers.
    pub(crate) fn new(log: Log, wakers: Vec<Arc<ShardWaker>>) -> Self {
        let start = AtomicU64::new(log.start().0);
        let head = AtomicU64::new(log.head().0);
        Self { log: Mutex::new(log), start, head, hole_end: AtomicU64::new(0), wakers }
    }

    /// Appends a batch that starts at the head, and wakes the shards.
    pub(crate) fn append(&self, batch: Arc<Batch>) {
        self.update(|log| log.append(batch));
    }

    /// Appends a batch that may start after the head, and wakes the shards. The ticks in between
    /// are missing in this log, since history no longer held them when they were due; such a range
    /// of ticks is called a hole.
    pub(crate) fn append_after_hole(&self, batch: Arc<Batch>) {
        if batch.first() > self.head() {
            self.hole_end.store(batch.first().0, Ordering::SeqCst);
        }
        self.update(|log| log.append_after_hole(batch));
    }

    fn update(&self, update: impl FnOnce(&mut Log)) {
        let mut log = self.lock();
        update(&mut log);
        self.start.store(log.start().0, Ordering::SeqCst);
        self.head.store(log.head().0, Ordering::SeqCst);
        drop(log);
        for waker in &self.wakers {
            waker.wake_for_ticks();
        }
    }

    /// Returns whether all shards doze: none of them reads the log before its short sleep has
    /// ended.
    pub(crate) fn all_shards_doze(&self) -> bool {
        self.wakers.iter().all(|waker| waker.is_dozing())
    }

    /// Returns the position of the oldest tick in the log.
    pub(crate) fn start(&self) -> Position {
        Position(self.start.load(Ordering::SeqCst))
    }

    /// Returns the position of the next tick.
    pub(crate) fn head(&self) -> Position {
        Position(self.head.load(Ordering::SeqCst))
    }

    /// Returns the position of the first tick after the latest hole; 0 if there has been none.
    pub(crate) fn hole_end(&self) -> Position {
        Position(self.hole_end.load(Ordering::SeqCst))
    }

    /// Returns the bytes and ticks in the log.
    pub(crate) fn size(&self) -> (usize, usize) {
        let log = self.lock();
        (log.bytes(), log.ticks())
    }

    /// Returns the receive time of the oldest tick in the log.
    pub(crate) fn oldest_received(&self) -> Option<UnixNanos> {
        self.lock().oldest_received()
    }

    /// Appends the batches from a position on to `out`: see [`Log::read`].
    ///
    /// # Errors
    /// Fails if the log no longer holds that position.
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
        // A panic during an append cannot leave the log in a state that readers could not handle.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

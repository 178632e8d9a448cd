//! The log as the router and the shards share it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tickwire_protocol::UnixNanos;

use crate::fanout::{Batch, Log, LogOverrun, Position};

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

/// A shard's way to be woken: nobody wakes it unless it sleeps.
#[derive(Debug)]
pub(crate) struct ShardWaker {
    waker: mio::Waker,
    sleep: AtomicU8,
}

const AWAKE: u8 = 0;
/// It will look at the log in time by itself.
const DOZING: u8 = 1;
const ASLEEP: u8 = 2;

impl ShardWaker {
    pub(crate) const fn new(waker: mio::Waker) -> Self {
        Self { waker, sleep: AtomicU8::new(AWAKE) }
    }

    /// The shard is about to sleep; it must look for work once more after this.
    pub(crate) fn falls_asleep(&self) {
        self.sleep.store(ASLEEP, Ordering::SeqCst);
    }

    /// The same, but ticks need not wake it.
    pub(crate) fn dozes(&self) {
        self.sleep.store(DOZING, Ordering::SeqCst);
    }

    pub(crate) fn is_awake(&self) {
        self.sleep.store(AWAKE, Ordering::SeqCst);
    }

    /// Wakes the shard if it sleeps.
    pub(crate) fn wake(&self) {
        if self.sleep.swap(AWAKE, Ordering::SeqCst) != AWAKE {
            self.ring();
        }
    }

    /// Wakes the shard if it sleeps and wants to know of ticks.
    fn wake_for_ticks(&self) {
        let woken = self.sleep.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
        if woken.is_ok() {
            self.ring();
        }
    }

    fn is_dozing(&self) -> bool {
        self.sleep.load(Ordering::SeqCst) == DOZING
    }

    fn ring(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a shard");
        }
    }
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

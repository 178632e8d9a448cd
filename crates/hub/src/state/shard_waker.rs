//! Wakes a shard's thread when there is work for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
    pub(super) fn wake_for_ticks(&self) {
        let woken = self.sleep.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
        if woken.is_ok() {
            self.ring();
        }
    }

    pub(super) fn is_dozing(&self) -> bool {
        self.sleep.load(Ordering::SeqCst) == DOZING
    }

    fn ring(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a shard");
        }
    }
}

/// The wakers of all shards.
#[derive(Debug, Clone)]
pub(crate) struct ShardWakers(Arc<[Arc<ShardWaker>]>);

impl ShardWakers {
    /// Wakes every shard that sleeps.
    pub(crate) fn wake_all(&self) {
        for shard in self.0.iter() {
            shard.wake();
        }
    }
}

impl FromIterator<Arc<ShardWaker>> for ShardWakers {
    fn from_iter<I: IntoIterator<Item = Arc<ShardWaker>>>(wakers: I) -> Self {
        Self(wakers.into_iter().collect())
    }
}

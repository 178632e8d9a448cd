//! Wakes the threads of shards when there is work for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Wakes the thread of one shard. A shard that is awake is not woken, since a wake costs a system
/// call.
#[derive(Debug)]
pub(crate) struct ShardWaker {
    waker: mio::Waker,
    /// How the shard sleeps: one of the constants below.
    sleep: AtomicU8,
}

const AWAKE: u8 = 0;
/// The shard sleeps for a short while, and then reads the log in any case.
const DOZING: u8 = 1;
const ASLEEP: u8 = 2;

impl ShardWaker {
    pub(crate) const fn new(waker: mio::Waker) -> Self {
        Self { waker, sleep: AtomicU8::new(AWAKE) }
    }

    /// Marks the shard as about to sleep until it is woken. The shard must check its queues and the
    /// log once more after this call, since messages and ticks that arrived before the call did not
    /// wake it.
    pub(crate) fn set_asleep(&self) {
        self.sleep.store(ASLEEP, Ordering::SeqCst);
    }

    /// Like [`set_asleep`](Self::set_asleep), but ticks do not wake the shard.
    pub(crate) fn set_dozing(&self) {
        self.sleep.store(DOZING, Ordering::SeqCst);
    }

    /// Marks the shard as awake.
    pub(crate) fn set_awake(&self) {
        self.sleep.store(AWAKE, Ordering::SeqCst);
    }

    /// Wakes the shard if it sleeps or dozes.
    pub(crate) fn wake(&self) {
        if self.sleep.swap(AWAKE, Ordering::SeqCst) != AWAKE {
            self.wake_poll();
        }
    }

    /// Wakes the shard for new ticks, unless it dozes.
    pub(super) fn wake_for_ticks(&self) {
        let woken = self.sleep.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
        if woken.is_ok() {
            self.wake_poll();
        }
    }

    /// Returns whether the shard sleeps for a short while during which ticks do not wake it.
    pub(super) fn is_dozing(&self) -> bool {
        self.sleep.load(Ordering::SeqCst) == DOZING
    }

    fn wake_poll(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a shard");
        }
    }
}

/// The wakers of all shards of the hub.
#[derive(Debug, Clone)]
pub(crate) struct ShardWakers(Arc<[Arc<ShardWaker>]>);

impl ShardWakers {
    /// Wakes every shard that sleeps or dozes.
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

//! The stages in which the hub shuts down.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::state::shard_waker::ShardWakers;

/// The stages of the hub's shutdown, which only ever advance: running, draining, closing, stopping.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    /// Cancelled when the hub stops admitting sessions and closes the open ones over
    /// `drain_duration`.
    draining: CancellationToken,
    /// Cancelled when publisher sessions, HTTP requests and background tasks have to end.
    closing: CancellationToken,
    /// Set when the shard and delayer threads have to end.
    stopping: AtomicBool,
    /// Tracks HTTP connections, publisher sessions and background tasks: everything that ends
    /// between closing and stopping.
    tasks: TaskTracker,
    shards: ShardWakers,
}

impl Lifecycle {
    pub(crate) fn new(shards: ShardWakers) -> Self {
        Self {
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            stopping: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            shards,
        }
    }

    /// Starts the drain. Later calls have no effect.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
        self.shards.wake_all();
    }

    /// Returns whether the drain has started.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Completes when the drain starts.
    pub(crate) async fn drain_started(&self) {
        self.draining.cancelled().await;
    }

    /// Ends publisher sessions, requests and background tasks, and waits until they have ended.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Returns the token that is cancelled when publisher sessions, requests and background tasks
    /// have to end.
    pub(crate) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Runs a task on the current runtime. It ends once [`closing`](Self::closing) is cancelled.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs a task like [`spawn`](Self::spawn), on a runtime.
    pub(crate) fn spawn_on(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
        runtime: &Handle,
    ) {
        self.tasks.spawn_on(task, runtime);
    }

    /// Requests the shard and delayer threads to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.shards.wake_all();
    }

    /// Returns whether the shard and delayer threads have to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

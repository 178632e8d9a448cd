//! The way into the router's queue, for publisher sessions, POSTs and the test feed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::config::Config;
use crate::durable::LogStatus;
use crate::ingest::message::Ingest;

/// Maximum number of messages that wait for the router.
const MESSAGES_MAX: usize = 1_024;

/// Hands ticks to the router, within the limits on what may wait for it.
#[derive(Debug, Clone)]
pub(crate) struct IngestHandle {
    queue: mpsc::Sender<Ingest>,
    /// A permit for each tick that may still be handed over before the router has numbered some.
    tick_budget: Arc<Semaphore>,
    /// State of the log on disk, if there is one.
    durable: Option<Arc<LogStatus>>,
}

/// The router has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouterEnded;

impl IngestHandle {
    /// Creates the router's queue, and returns its other end.
    pub(crate) fn new(
        config: &Config,
        durable: Option<Arc<LogStatus>>,
    ) -> (Self, mpsc::Receiver<Ingest>) {
        let (queue, messages) = mpsc::channel(MESSAGES_MAX);
        let tick_budget = Arc::new(Semaphore::new(config.ingest_ticks_max));
        (Self { queue, tick_budget, durable }, messages)
    }

    /// Waits until `ticks` more ticks may be handed to the router. The permit goes with them.
    ///
    /// # Errors
    /// Fails if the router has ended.
    pub(crate) async fn reserve(&self, ticks: usize) -> Result<OwnedSemaphorePermit, RouterEnded> {
        let permits = u32::try_from(ticks.max(1)).unwrap_or(u32::MAX);
        self.tick_budget.clone().acquire_many_owned(permits).await.map_err(|_| RouterEnded)
    }

    /// Puts a message into the router's queue, and waits while that is full.
    ///
    /// # Errors
    /// Fails if the router has ended.
    pub(crate) async fn send(&self, message: Ingest) -> Result<(), RouterEnded> {
        self.queue.send(message).await.map_err(|_| RouterEnded)
    }

    /// Returns whether acknowledged ticks are on disk, as far as the configuration requires it.
    /// `false` once the log on disk has failed.
    pub(crate) fn is_durable(&self) -> bool {
        self.durable.as_ref().is_none_or(|status| !status.has_failed())
    }
}

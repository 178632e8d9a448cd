//! A publisher that is told what is wanted of it.

use std::time::Duration;

use tickwire_protocol::{Control, Feed};
use tokio::time::Instant;

use crate::demand::{Listener, elements};

/// Time between two answers, at the least: what comes and goes meanwhile need not be told.
const INTERVAL: Duration = Duration::from_millis(250);

pub(super) struct Demanding {
    feed: Feed,
    listener: Listener,
    /// When it may be told again.
    next: Instant,
}

impl Demanding {
    pub(super) fn new(feed: Feed, listener: Listener, now: Instant) -> Self {
        Self { feed, listener, next: now }
    }

    /// Waits until there may be something to tell, and it may be told.
    pub(super) async fn due(&self) {
        tokio::time::sleep_until(self.next).await;
        self.listener.changed().await;
    }

    /// What is to be told first: all that is wanted, which may be nothing.
    pub(super) fn all(&mut self) -> Vec<Control> {
        self.next += INTERVAL;
        elements(&self.feed, &self.listener.take())
    }

    /// What has changed since.
    pub(super) fn changes(&mut self, now: Instant) -> Vec<Control> {
        let changes = self.listener.take();
        if changes.is_empty() {
            return Vec::new();
        }
        self.next = now + INTERVAL;
        elements(&self.feed, &changes)
    }
}

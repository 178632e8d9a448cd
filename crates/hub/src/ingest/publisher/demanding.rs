//! A publisher that is told what is wanted of it.

use std::time::Duration;

use tickwire_protocol::{Control, Feed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{End, Session};
use crate::clock;
use crate::state::topic_registry::{DemandSubscription, elements};

/// Time between two answers, at the least: what comes and goes meanwhile need not be told.
const INTERVAL: Duration = Duration::from_millis(250);

pub(super) struct Demanding {
    feed: Feed,
    subscription: DemandSubscription,
    /// When it may be told again.
    next: Instant,
}

impl Demanding {
    fn new(feed: Feed, subscription: DemandSubscription, now: Instant) -> Self {
        Self { feed, subscription, next: now }
    }

    /// Waits until there may be something to tell, and it may be told.
    async fn due(&self) {
        tokio::time::sleep_until(self.next).await;
        self.subscription.changed().await;
    }

    /// What is to be told first: all that is wanted, which may be nothing.
    fn all(&mut self) -> Vec<Control> {
        self.next += INTERVAL;
        elements(&self.feed, &self.subscription.take())
    }

    /// What has changed since.
    fn changes(&mut self, now: Instant) -> Vec<Control> {
        let changes = self.subscription.take();
        if changes.is_empty() {
            return Vec::new();
        }
        self.next = now + INTERVAL;
        elements(&self.feed, &changes)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Tells all that is wanted, and from now on what changes.
    pub(super) async fn tell_demand(&mut self) -> Result<(), End> {
        let feed = self.context.feeds.get(self.feed).name.clone();
        let subscription = self.context.topics.subscribe_demand(self.feed);
        let mut demanding = Demanding::new(feed, subscription, clock::monotonic().into());
        let all = demanding.all();
        self.demanding = Some(demanding);
        self.tell_each(&all).await
    }

    pub(super) async fn tell_changed_demand(&mut self) -> Result<(), End> {
        let Some(demanding) = &mut self.demanding else { return Ok(()) };
        let changes = demanding.changes(clock::monotonic().into());
        self.tell_each(&changes).await
    }

    async fn tell_each(&mut self, controls: &[Control]) -> Result<(), End> {
        for control in controls {
            self.tell(control).await?;
        }
        Ok(())
    }
}

/// Waits until a publisher that asked for it may have to be told of what is wanted.
pub(super) async fn due(demanding: Option<&Demanding>) {
    match demanding {
        Some(demanding) => demanding.due().await,
        None => std::future::pending().await,
    }
}

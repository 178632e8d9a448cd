//! Reports demand to a publisher: which symbols of its feed have subscribers.

use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{Control, Feed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Result, Session};
use crate::clock;
use crate::state::topic_registry::{DemandSubscription, elements};

/// Minimum time between two reports. Changes that cancel out meanwhile are not reported.
const INTERVAL: Duration = Duration::from_millis(250);

/// The reports to one publisher that has asked for demand.
pub(super) struct DemandReporter {
    feed: Feed,
    subscription: DemandSubscription,
    /// Earliest time of the next report.
    next: Instant,
}

impl DemandReporter {
    fn new(feed: Feed, subscription: DemandSubscription, now: Instant) -> Self {
        Self { feed, subscription, next: now }
    }

    /// Waits until there may be a change, and a report may be sent.
    async fn due(&self) {
        tokio::time::sleep_until(self.next).await;
        self.subscription.changed().await;
    }

    /// Returns the first report: all current demand, which may be none.
    fn initial(&mut self) -> Vec<Control> {
        self.next += INTERVAL;
        elements(&self.feed, &self.subscription.take())
    }

    /// Returns a report of the changes since the last one; empty without changes. While the source
    /// of the publisher is full, it includes what each client wants.
    fn changes(&mut self, now: Instant) -> Vec<Control> {
        let changes = self.subscription.take();
        let mut report = match changes.is_empty() {
            true => Vec::new(),
            false => elements(&self.feed, &changes),
        };
        let clients = self.subscription.take_clients();
        let by_client = |clients| Control::DemandByClient { feed: self.feed.clone(), clients };
        report.extend(clients.map(by_client));
        if !report.is_empty() {
            self.next = now + INTERVAL;
        }
        report
    }

    /// Sets whether the source of the publisher is full.
    pub(super) fn set_full(&mut self, is_full: bool) {
        self.subscription.set_full(is_full);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Sends the current demand. Changes are reported from now on.
    pub(super) async fn start_demand_reports(&mut self) -> Result<()> {
        let feed = self.context.feeds.get(self.feed).name.clone();
        let symbols = self.grant.symbols().map(Arc::from);
        let subscription = self.context.topics.subscribe_demand(self.feed, symbols);
        let mut reporter = DemandReporter::new(feed, subscription, clock::monotonic().into());
        let initial = reporter.initial();
        self.demand_reporter = Some(reporter);
        self.send_all(&initial).await
    }

    /// Sends the changes of demand since the last report.
    pub(super) async fn send_demand_changes(&mut self) -> Result<()> {
        let Some(reporter) = &mut self.demand_reporter else { return Ok(()) };
        let changes = reporter.changes(clock::monotonic().into());
        self.send_all(&changes).await
    }

    async fn send_all(&mut self, controls: &[Control]) -> Result<()> {
        for control in controls {
            self.send_control(control).await?;
        }
        Ok(())
    }
}

/// Waits until a report may be due. Never returns for a publisher that has not asked for demand.
pub(super) async fn due(reporter: Option<&DemandReporter>) {
    match reporter {
        Some(reporter) => reporter.due().await,
        None => std::future::pending().await,
    }
}

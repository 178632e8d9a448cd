//! Timelines: a log and the shards that follow it, live or delayed.

use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::UnixNanos;

use crate::fanout::Log;
use crate::metrics::Metric;
use crate::serving::shard_handle::{Inbox, ShardHandle};
use crate::state::shard_waker::ShardWaker;
use crate::state::shared_log::SharedLog;

/// A log and the shards that follow it. The log of the live timeline is the router's; that of a
/// delayed one is filled by its delayer.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) log: Arc<SharedLog>,
    /// Delay between the receive time of a tick and its entry into the log; zero for the live
    /// timeline.
    pub(crate) delay: Duration,
    pub(crate) shards: Vec<Arc<ShardHandle>>,
    /// Ticks that history no longer held when they were due.
    pub(crate) lost: Metric,
}

impl Timeline {
    /// Creates a timeline with one shard per waker, and the inboxes of these shards.
    pub(crate) fn new(
        log: Log,
        delay: Duration,
        wakers: Vec<Arc<ShardWaker>>,
    ) -> (Self, Vec<Inbox>) {
        let handles = wakers.iter().cloned().map(ShardHandle::new);
        let (shards, inboxes) = handles.map(|(handle, inbox)| (Arc::new(handle), inbox)).unzip();
        let log = Arc::new(SharedLog::new(log, wakers));
        (Self { log, delay, shards, lost: Metric::default() }, inboxes)
    }

    /// Chooses the shard for a new session, the one with the fewest sessions, and counts the
    /// session.
    pub(crate) fn assign_shard(&self) -> Option<&ShardHandle> {
        let shard = self.shards.iter().min_by_key(|shard| shard.metrics.assigned.get())?;
        shard.metrics.assigned.add(1);
        Some(shard)
    }

    /// Returns the latest receive time of the ticks that this timeline shows at the time `wall`.
    pub(crate) fn shows_until(&self, wall: UnixNanos) -> UnixNanos {
        let delay_ns = u64::try_from(self.delay.as_nanos()).unwrap_or(u64::MAX);
        UnixNanos(wall.0.saturating_sub(delay_ns))
    }

    /// Chooses a shard at random. Any shard can answer a query.
    pub(crate) fn any_shard(&self) -> &ShardHandle {
        &self.shards[rand::random_range(0..self.shards.len())]
    }
}

/// All timelines of the hub: the live one first, then one for each delay.
#[derive(Debug, Clone)]
pub(crate) struct Timelines(Arc<[Arc<Timeline>]>);

impl Timelines {
    /// Collects the timelines, the live one first.
    pub(crate) fn new(live: Arc<Timeline>, delayed: Vec<Arc<Timeline>>) -> Self {
        Self(std::iter::once(live).chain(delayed).collect())
    }

    /// Returns the timeline whose log the router writes.
    pub(crate) fn live(&self) -> &Timeline {
        &self.0[0]
    }

    /// Returns the timeline with this index: see [`View::timeline`](crate::state::views::View).
    pub(crate) fn get(&self, index: usize) -> &Arc<Timeline> {
        &self.0[index]
    }

    /// Returns all timelines, by index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Timeline>> {
        self.0.iter()
    }

    /// Returns the shards of all timelines.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &Arc<ShardHandle>> {
        self.0.iter().flat_map(|timeline| &timeline.shards)
    }
}

//! Background tasks that run until the hub closes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::ingest::handle::IngestHandle;
use crate::ingest::message::Ingest;
use crate::serving::timeline::Timeline;
use crate::serving::topic_listing::TopicLister;
use crate::state::feeds::Feeds;
use crate::state::shard_waker::ShardWakers;

/// Time between two [`Ingest::Clock`] messages while a minute bar is being made.
const CLOCK_INTERVAL: Duration = Duration::from_millis(250);
/// Time between two checks of the states of all feeds.
const FEED_INTERVAL: Duration = Duration::from_millis(100);

/// Sends the router the time, so that it closes minutes without further trades.
pub(super) async fn send_clock(
    ingest: IngestHandle,
    minutes_open: Arc<AtomicBool>,
    closing: CancellationToken,
) {
    let mut interval = tokio::time::interval(CLOCK_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while closing.run_until_cancelled(interval.tick()).await.is_some() {
        if minutes_open.load(Ordering::Relaxed) && ingest.send(Ingest::Clock).await.is_err() {
            return; // the router has ended
        }
    }
}

/// Measures the tick rates of a timeline's topics while clients request them.
pub(super) async fn sample_rates(
    lister: Arc<TopicLister>,
    id: usize,
    timeline: Arc<Timeline>,
    closing: CancellationToken,
) {
    let sampling = lister.sample_rates(id, &timeline);
    let _closing = closing.run_until_cancelled(sampling).await;
}

/// Updates the states of all feeds, and wakes the shards to report changes.
pub(super) async fn watch_feeds(
    feeds: Arc<Feeds>,
    shards: ShardWakers,
    closing: CancellationToken,
) {
    let mut interval = tokio::time::interval(FEED_INTERVAL);
    while closing.run_until_cancelled(interval.tick()).await.is_some() {
        if feeds.refresh(clock::wall()) {
            shards.wake_all();
        }
    }
}

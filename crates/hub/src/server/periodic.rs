//! Tasks that run at fixed intervals until the hub closes.

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

/// How often the router is told that time passes, while a minute is open.
const CLOCK_INTERVAL: Duration = Duration::from_millis(250);
/// How often the states of feeds are looked at.
const FEED_INTERVAL: Duration = Duration::from_millis(100);

/// Lets the router close minutes whose trades have ended.
pub(super) async fn tell_time(
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

/// Measures the rates of the topics of a timeline while they are requested.
pub(super) async fn sample_rates(
    lister: Arc<TopicLister>,
    id: usize,
    timeline: Arc<Timeline>,
    closing: CancellationToken,
) {
    let sampling = lister.sample_rates(id, &timeline);
    let _closing = closing.run_until_cancelled(sampling).await;
}

/// Notices when feeds come, fall silent and go.
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

//! Ticks per second of topics, over ten seconds.
//!
//! A rate is the difference of two counts that were read from the same shard ten seconds apart, so
//! the path of ticks pays nothing for it. Counts are read only while rates are requested: the first
//! request starts the sampling, and [`IDLE_MAX`] after the last request it ends. Until the first
//! ten seconds are complete there are no rates.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock;
use crate::fanout::TopicKey;
use crate::serving::shard_query::NoAnswer;
use crate::serving::timeline::Timeline;
use crate::serving::topic_counts::{TOPICS_PER_QUERY, topic_counts};
use crate::state::topic_registry::TopicRegistry;

/// Time between two samples, over which a rate is measured.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// Sampling ends this long after rates were last requested.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Rates of the topics of a timeline over its last complete window, in thousandths of a tick per
/// second. A topic that is not listed did not tick.
pub(crate) type RateTable = HashMap<TopicKey, u64>;

/// The rates of all timelines, as far as they are requested.
#[derive(Debug)]
pub(crate) struct TopicRates(Vec<TimelineRates>);

#[derive(Debug, Default)]
struct TimelineRates {
    state: Mutex<State>,
    /// Notified when rates are requested.
    requested: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Rates of the last complete window; `None` before the first.
    rates: Option<Arc<RateTable>>,
    last_request: Option<Instant>,
}

/// How often the topics of a timeline had ticked at about one time.
#[derive(Debug)]
struct Sample {
    started: Instant,
    counts: HashMap<TopicKey, Counted>,
}

/// How often a topic had ticked at a time.
#[derive(Debug, Clone, Copy)]
struct Counted {
    ticks: u64,
    at: Instant,
}

impl TopicRates {
    /// Creates a table for a number of timelines, without rates.
    pub(crate) fn new(timelines: usize) -> Self {
        Self((0..timelines).map(|_| TimelineRates::default()).collect())
    }

    /// Returns the rates of a timeline over its last complete window, and keeps the sampling
    /// running. `None` until the first window is complete.
    pub(crate) fn request(&self, timeline: usize, now: Instant) -> Option<Arc<RateTable>> {
        let rates = &self.0[timeline];
        let mut state = rates.lock();
        state.last_request = Some(now);
        rates.requested.notify_one();
        state.rates.clone()
    }

    /// Samples the counts of a timeline whenever its rates are requested. Never returns.
    pub(crate) async fn sample(&self, id: usize, timeline: &Timeline, registry: &TopicRegistry) {
        let rates = &self.0[id];
        loop {
            rates.requested.notified().await;
            let mut before: Option<Sample> = None;
            while rates.is_requested(clock::monotonic()) {
                let next = clock::monotonic() + WINDOW;
                let sample = Sample::take(timeline, registry).await.ok();
                let table = sample
                    .as_ref()
                    .zip(before.as_ref())
                    .map(|(now, before)| Arc::new(now.rates_since(before)));
                rates.lock().rates = table;
                before = sample;
                tokio::time::sleep_until(next.into()).await;
            }
            rates.lock().rates = None;
        }
    }
}

impl TimelineRates {
    fn is_requested(&self, now: Instant) -> bool {
        let last = self.lock().last_request;
        last.is_some_and(|last| now.saturating_duration_since(last) < IDLE_MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sample {
    /// Counts all topics that have ticked. All samples of a timeline ask the same shard, since
    /// shards may be some ticks apart.
    async fn take(timeline: &Timeline, registry: &TopicRegistry) -> Result<Self, NoAnswer> {
        let started = clock::monotonic();
        let topics = registry.ticked_by(timeline.shows_until(clock::wall()));
        let mut counts = HashMap::with_capacity(topics.len());
        for topics in topics.chunks(TOPICS_PER_QUERY) {
            let found = topic_counts(&timeline.shards[0], topics).await?;
            let at = clock::monotonic();
            let pairs = topics.iter().zip(found);
            let counted =
                pairs.filter_map(|(key, count)| Some((*key, Counted { ticks: count?.ticks, at })));
            counts.extend(counted);
        }
        Ok(Self { started, counts })
    }

    /// Returns the rates of all topics that have ticked since an earlier sample.
    fn rates_since(&self, before: &Self) -> RateTable {
        let rate = |(key, counted): (&TopicKey, &Counted)| {
            // A topic without an earlier count had not ticked.
            let none = Counted { ticks: 0, at: before.started };
            let earlier = before.counts.get(key).copied().unwrap_or(none);
            let ticks = counted.ticks.saturating_sub(earlier.ticks);
            let time = counted.at.duration_since(earlier.at);
            (ticks > 0).then(|| (*key, thousandths(ticks, time)))
        };
        self.counts.iter().filter_map(rate).collect()
    }
}

/// Returns the ticks per second in thousandths, rounded.
fn thousandths(ticks: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos().max(1);
    let rate = (u128::from(ticks) * 1_000_000_000_000 + nanos / 2) / nanos;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::FeedId;
    use tickwire_protocol::{Channel, Symbol};

    fn key(symbol: &str) -> TopicKey {
        let symbol = Symbol::new(symbol).unwrap();
        TopicKey { feed: FeedId(0), channel: Channel::Trades, symbol }
    }

    fn sample(started: Instant, counts: &[(&str, u64, u64)]) -> Sample {
        let counts = counts.iter().map(|(symbol, ticks, ms)| {
            let at = started + Duration::from_millis(*ms);
            (key(symbol), Counted { ticks: *ticks, at })
        });
        Sample { started, counts: counts.collect() }
    }

    #[test]
    fn rate_is_the_difference_of_counts_over_the_time_between_them() {
        let start = clock::monotonic();
        let first = sample(start, &[("A", 100, 0), ("B", 7, 500), ("SAME", 5, 500)]);
        let counts = [("A", 223, 0), ("B", 1_007, 250), ("SAME", 5, 500), ("NEW", 4, 1)];
        let second = sample(start + WINDOW, &counts);
        let rates = second.rates_since(&first);
        // B was counted 9.75 s apart; NEW had not ticked when the first sample was begun.
        let expected = [(key("A"), 12_300), (key("B"), 102_564), (key("NEW"), 400)];
        assert_eq!(rates, expected.into_iter().collect());
    }

    #[test]
    fn count_that_went_back_is_no_rate() {
        let start = clock::monotonic();
        let first = sample(start, &[("A", 100, 0)]);
        assert!(sample(start + WINDOW, &[("A", 90, 0)]).rates_since(&first).is_empty());
    }

    #[test]
    fn there_are_no_rates_before_a_window_is_complete() {
        let rates = TopicRates::new(2);
        let now = clock::monotonic();
        assert!(!rates.0[1].is_requested(now));
        assert!(rates.request(1, now).is_none());
        assert!(rates.0[1].is_requested(now + IDLE_MAX / 2));
        assert!(!rates.0[1].is_requested(now + IDLE_MAX));
        assert!(!rates.0[0].is_requested(now));
    }
}

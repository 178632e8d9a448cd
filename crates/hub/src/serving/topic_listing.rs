//! The list of topics of `GET /api/topics`: the busiest, or those with the most subscribers.
//!
//! [`ranking`] sorts the topics by what the registry and the rates say. The ticks of the topics on
//! the page are then read from a shard, some hundred topics at a time.

mod ranking;

use std::sync::Arc;
use std::time::Instant;

use tickwire_protocol::{Channel, Symbol, UnixNanos};
use tokio::sync::Semaphore;

use crate::serving::shard_query::{NoAnswer, TopicCount};
use crate::serving::timeline::{Timeline, Timelines};
use crate::serving::topic_counts::topic_counts;
use crate::serving::topic_rates::TopicRates;
use crate::state::topic_registry::TopicRegistry;
use crate::state::views::View;
pub(crate) use ranking::{Cursor, Sort};
use ranking::{ListedView, MayRead, Rank, Ranking};

/// Makes lists of topics.
#[derive(Debug)]
pub(crate) struct TopicLister {
    registry: Arc<TopicRegistry>,
    rates: TopicRates,
    /// Permits for lists that are made at the same time: each list visits all topics, and requests
    /// must not occupy every core.
    permits: Semaphore,
}

/// A request for a page of the list.
pub(crate) struct TopicQuery {
    /// The views whose topics are listed, at most one per feed, sorted by name.
    pub(crate) views: Vec<(String, View)>,
    /// Whether the requester may read a symbol of a channel; `None` stands for `"*"`.
    pub(crate) may_read: MayRead,
    pub(crate) sort: Sort,
    /// Maximum number of topics on the page.
    pub(crate) limit: usize,
    /// Where the previous page ended; `None` for the first page.
    pub(crate) cursor: Option<Cursor>,
}

/// A page of the list.
#[derive(Debug)]
pub(crate) struct TopicPage {
    /// Topics on all pages.
    pub(crate) total: usize,
    pub(crate) topics: Vec<ListedTopic>,
    pub(crate) wildcards: Vec<ListedWildcard>,
    /// Where the next page starts; `None` on the last page.
    pub(crate) next: Option<Cursor>,
}

/// A topic as a view shows it.
#[derive(Debug)]
pub(crate) struct ListedTopic {
    pub(crate) view: String,
    pub(crate) channel: Channel,
    pub(crate) symbol: Symbol,
    /// Sessions that subscribe to it by name.
    pub(crate) subscribers: u32,
    /// Count of its ticks; `None` if it has not ticked in this view.
    pub(crate) count: Option<TopicCount>,
    /// Thousandths of a tick per second; `None` while rates are not known yet.
    pub(crate) rate: Option<u64>,
}

/// Subscriptions to all symbols of a channel.
#[derive(Debug)]
pub(crate) struct ListedWildcard {
    pub(crate) view: String,
    pub(crate) channel: Channel,
    /// Sessions that subscribe to `"*"`.
    pub(crate) subscribers: u32,
}

impl TopicLister {
    /// Creates a lister of the topics of a registry.
    pub(crate) fn new(registry: Arc<TopicRegistry>, timelines: usize) -> Self {
        Self { registry, rates: TopicRates::new(timelines), permits: Semaphore::new(1) }
    }

    /// Measures the rates of a timeline's topics while they are requested. Never returns.
    pub(crate) async fn sample_rates(&self, id: usize, timeline: &Timeline) {
        self.rates.sample(id, timeline, &self.registry).await;
    }

    /// Makes a page of the list, as of the times `now` (monotonic) and `wall`.
    ///
    /// # Errors
    /// Fails if a shard is too busy to answer, or the hub is stopping.
    pub(crate) async fn list(
        &self,
        query: TopicQuery,
        timelines: &Timelines,
        now: Instant,
        wall: UnixNanos,
    ) -> Result<TopicPage, NoAnswer> {
        let TopicQuery { views, may_read, sort, limit, cursor } = query;
        let listed = |(name, view): (String, View)| ListedView {
            name,
            view,
            until: timelines.get(view.timeline).shows_until(wall),
            rates: self.rates.request(view.timeline, now),
        };
        let views: Vec<_> = views.into_iter().map(listed).collect();
        let ranking = Ranking { views, may_read, sort, cursor };
        let _permit = self.permits.acquire().await.map_err(|_| NoAnswer)?;
        let registry = self.registry.clone();
        let ranked = move || {
            let (total, ranks) = ranking.first(&registry, limit + 1);
            (ranking, total, ranks)
        };
        let ranked = tokio::task::spawn_blocking(ranked).await;
        let (ranking, total, mut ranks) = ranked.map_err(|_| NoAnswer)?;
        let has_more = ranks.len() > limit;
        ranks.truncate(limit);
        let next = ranks.last().filter(|_| has_more).map(|last| ranking.cursor_after(last));
        let topics = topics(&ranking, ranks, timelines).await?;
        Ok(TopicPage { total, topics, wildcards: ranking.wildcards(&self.registry), next })
    }
}

/// Reads the ticks of ranked topics. Leaves out those without subscribers that have not ticked in
/// their view so far.
async fn topics(
    ranking: &Ranking,
    ranks: Vec<Rank>,
    timelines: &Timelines,
) -> Result<Vec<ListedTopic>, NoAnswer> {
    let mut counts: Vec<Option<TopicCount>> = vec![None; ranks.len()];
    for (id, timeline) in timelines.iter().enumerate() {
        let (places, keys): (Vec<_>, Vec<_>) = (0..)
            .zip(&ranks)
            .filter(|(_, rank)| ranking.view(rank).view.timeline == id)
            .map(|(place, rank)| (place, ranking.key(rank)))
            .unzip();
        let found = topic_counts(timeline.any_shard(), &keys).await?;
        places.into_iter().zip(found).for_each(|(place, count): (usize, _)| counts[place] = count);
    }
    let topic = |(rank, count): (Rank, Option<TopicCount>)| {
        let view = ranking.view(&rank);
        let listed = ListedTopic {
            view: view.name.clone(),
            channel: rank.channel,
            symbol: rank.symbol,
            subscribers: rank.subscribers,
            count,
            rate: view.rate(&ranking.key(&rank)),
        };
        (count.is_some() || rank.subscribers > 0).then_some(listed)
    };
    Ok(ranks.into_iter().zip(counts).filter_map(topic).collect())
}

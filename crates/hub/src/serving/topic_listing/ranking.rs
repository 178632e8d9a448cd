//! The order of the listed topics.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tickwire_protocol::{Channel, Symbol, UnixNanos};

use super::ListedWildcard;
use crate::fanout::{TopicInterest, TopicKey};
use crate::serving::topic_rates::RateTable;
use crate::state::topic_registry::{TopicRegistry, TopicState};
use crate::state::views::View;

/// Whether the requester may read a symbol of a channel; `None` stands for `"*"`.
pub(crate) type MayRead = Box<dyn Fn(Channel, Option<Symbol>) -> bool + Send + Sync>;

/// The number by which topics are sorted, the highest first. Topics with equal numbers are sorted
/// by view, symbol and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Sessions that subscribe to the topic by name.
    Subscribers,
    /// Ticks per second.
    Rate,
}

/// A view whose topics are listed.
#[derive(Debug)]
pub(super) struct ListedView {
    pub(super) name: String,
    pub(super) view: View,
    /// The view shows ticks that were received up to this time.
    pub(super) until: UnixNanos,
    /// Rates of the view's topics; `None` while they are not known yet.
    pub(super) rates: Option<Arc<RateTable>>,
}

impl ListedView {
    /// Returns the rate of a topic in thousandths of a tick per second; `None` while rates are not
    /// known yet.
    pub(super) fn rate(&self, topic: &TopicKey) -> Option<u64> {
        self.rates.as_ref().map(|rates| rates.get(topic).copied().unwrap_or(0))
    }
}

/// A place in the sorted list: after the topic with these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    value: u64,
    view: String,
    symbol: Symbol,
    channel: Channel,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, view, symbol, channel } = self;
        write!(f, "{value}:{view}:{}:{symbol}", channel.name())
    }
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let mut parts = text.splitn(4, ':');
        let mut part = || parts.next().ok_or(NotACursor);
        let value = part()?.parse().map_err(|_| NotACursor)?;
        let view = part()?.to_owned();
        let channel = Channel::from_name(part()?).ok_or(NotACursor)?;
        let symbol = Symbol::new(part()?).map_err(|_| NotACursor)?;
        Ok(Self { value, view, symbol, channel })
    }
}

/// A topic's place in the list: the order of the fields is the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    value: Reverse<u64>,
    /// Index into the views of the ranking.
    view: usize,
    pub(super) symbol: Symbol,
    pub(super) channel: Channel,
    pub(super) subscribers: u32,
}

/// Which topics are listed, and in which order.
pub(super) struct Ranking {
    /// The listed views, at most one per feed, sorted by name.
    pub(super) views: Vec<ListedView>,
    pub(super) may_read: MayRead,
    pub(super) sort: Sort,
    /// Place of the last topic on the previous page; `None` for the first page.
    pub(super) cursor: Option<Cursor>,
}

impl Ranking {
    /// Returns the number of listed topics, and the first `limit` of them after the cursor.
    pub(super) fn first(&self, registry: &TopicRegistry, limit: usize) -> (usize, Vec<Rank>) {
        let mut total = 0;
        let ranks = registry.first_by(limit, |interest, state| {
            let rank = self.rank(interest, state)?;
            total += 1;
            self.is_after_cursor(&rank).then_some(rank)
        });
        (total, ranks)
    }

    /// Returns the rank of a topic; `None` if it is not listed.
    fn rank(&self, interest: &TopicInterest, state: &TopicState) -> Option<Rank> {
        let TopicInterest { feed, channel, symbol: Some(symbol) } = *interest else { return None };
        let index = self.views.iter().position(|listed| listed.view.feed == feed)?;
        let listed = &self.views[index];
        let subscribers = state.subscribers(listed.view.timeline);
        let is_shown = subscribers > 0 || state.has_ticked_by(listed.until);
        if !is_shown || !(self.may_read)(channel, Some(symbol)) {
            return None;
        }
        let value = match self.sort {
            Sort::Subscribers => u64::from(subscribers),
            Sort::Rate => listed.rate(&TopicKey { feed, channel, symbol }).unwrap_or(0),
        };
        Some(Rank { value: Reverse(value), view: index, symbol, channel, subscribers })
    }

    fn is_after_cursor(&self, rank: &Rank) -> bool {
        let Some(cursor) = &self.cursor else { return true };
        let of_rank = (rank.value, self.view(rank).name.as_str(), rank.symbol, rank.channel);
        let of_cursor = (Reverse(cursor.value), &*cursor.view, cursor.symbol, cursor.channel);
        of_rank > of_cursor
    }

    /// Returns the cursor of the page after a topic.
    pub(super) fn cursor_after(&self, rank: &Rank) -> Cursor {
        let Rank { value: Reverse(value), symbol, channel, .. } = *rank;
        Cursor { value, view: self.view(rank).name.clone(), symbol, channel }
    }

    /// Returns the view in which a topic is listed.
    pub(super) fn view(&self, rank: &Rank) -> &ListedView {
        &self.views[rank.view]
    }

    /// Returns the topic at a rank.
    pub(super) fn key(&self, rank: &Rank) -> TopicKey {
        let feed = self.view(rank).view.feed;
        TopicKey { feed, channel: rank.channel, symbol: rank.symbol }
    }

    /// Returns the subscriptions to `"*"` in the listed views.
    pub(super) fn wildcards(&self, registry: &TopicRegistry) -> Vec<ListedWildcard> {
        let channels =
            || Channel::ALL.into_iter().filter(|channel| (self.may_read)(*channel, None));
        let of_view = |listed: &ListedView| {
            let View { feed, timeline } = listed.view;
            let name = listed.name.clone();
            channels().map(move |channel| ListedWildcard {
                view: name.clone(),
                channel,
                subscribers: registry.wildcard_subscribers(feed, channel, timeline),
            })
        };
        let all = self.views.iter().flat_map(of_view);
        all.filter(|wildcard| wildcard.subscribers > 0).collect()
    }
}

#[cfg(test)]
mod tests;

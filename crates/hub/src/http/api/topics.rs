//! `GET /api/topics`: the busiest topics, or those with the most subscribers.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tickwire_protocol::Symbol;

use super::super::FrontState;
use super::super::gate::Need;
use super::super::peer::Peer;
use super::{check_limit, find_view};
use crate::access::keys::Grant;
use crate::clock;
use crate::serving::topic_listing::{
    Cursor, ListedTopic, ListedWildcard, Sort, TopicPage, TopicQuery,
};
use crate::state::views::View;

/// Default number of topics in an answer.
const LIMIT_DEFAULT: usize = 100;
/// Maximum number of topics in an answer.
const LIMIT_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(in super::super) struct TopicParameters {
    sort: Option<String>,
    limit: Option<usize>,
    feed: Option<String>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// Number of topics on all pages.
    total: usize,
    topics: Vec<TopicEntry>,
    /// Subscriptions to all symbols of a channel, which count for no single topic.
    wildcards: Vec<WildcardEntry>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct TopicEntry {
    /// Name of the view.
    feed: String,
    channel: &'static str,
    symbol: Symbol,
    /// Sessions that subscribe to the topic by name.
    subscribers: u32,
    /// Ticks since the epoch began.
    ticks: u64,
    /// Ticks per second over ten seconds; null until they are complete.
    rate: Option<f64>,
    /// Time of the last tick; null before the first.
    last: Option<String>,
}

#[derive(Debug, Serialize)]
struct WildcardEntry {
    /// Name of the view.
    feed: String,
    channel: &'static str,
    /// Sessions that subscribe to `"*"`.
    subscribers: u32,
}

/// `GET /api/topics?sort=rate&limit=50&feed=main&cursor=…`, where `feed` is a view.
pub(in super::super) async fn topics(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    Query(parameters): Query<TopicParameters>,
    headers: HeaderMap,
) -> Response {
    let grant = match front.gate.authorize(peer, &headers, Need::Read).await {
        Ok(grant) => grant,
        Err(refusal) => return *refusal,
    };
    let query = match query(&front, grant, parameters) {
        Ok(query) => query,
        Err(refusal) => return *refusal,
    };
    let _job = match front.background.admit(peer.address) {
        Ok(job) => job,
        Err(busy) => return busy.refuse(&front.gate),
    };
    let now = clock::monotonic();
    let wall = clock::wall();
    let timelines = &front.subscribers.timelines;
    match front.topics.list(query, timelines, now, wall).await {
        Ok(page) => Json(Answer::from(page)).into_response(),
        Err(_) => {
            let text = "the hub is too busy to answer; try again\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

fn query(
    front: &FrontState,
    grant: Grant,
    parameters: TopicParameters,
) -> Result<TopicQuery, Box<Response>> {
    let bad = |text: String| Box::new((StatusCode::BAD_REQUEST, text).into_response());
    let TopicParameters { sort, limit, feed, cursor } = parameters;
    let sort = match sort.as_deref() {
        None | Some("subscribers") => Sort::Subscribers,
        Some("rate") => Sort::Rate,
        Some(other) => {
            let shown: String = other.chars().take(32).collect();
            return Err(bad(format!("sort is {shown:?}: expected subscribers or rate\n")));
        }
    };
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    check_limit(limit, LIMIT_MAX).map_err(bad)?;
    let cursor = cursor.map(|text| text.parse::<Cursor>()).transpose();
    let cursor = cursor.map_err(|_| bad("cursor: expected `next` of the page before\n".into()))?;
    let views = match feed {
        Some(name) => {
            let view = find_view(front, &grant, &name)?;
            vec![(name, view)]
        }
        None => views_of_feeds(front, &grant),
    };
    let may_read = Box::new(move |channel, symbol| grant.may_read_topic(channel, symbol));
    Ok(TopicQuery { views, may_read, sort, limit, cursor })
}

/// Returns, for each feed, the view with the least delay that may be read: the feed itself, if that
/// may be read. Sorted by name.
fn views_of_feeds(front: &FrontState, grant: &Grant) -> Vec<(String, View)> {
    let readable = front.directory.readable_names(grant);
    let readable = readable.filter_map(|name| Some((name, front.directory.view(name)?)));
    let mut views: Vec<(&str, View)> = Vec::new();
    for (name, view) in readable {
        let preference = |name: &str, view: View| {
            let is_alias = front.directory.feeds.get(view.feed).name.as_str() != name;
            (front.subscribers.timelines.get(view.timeline).delay, is_alias)
        };
        match views.iter_mut().find(|(_, chosen)| chosen.feed == view.feed) {
            Some(chosen) if preference(name, view) < preference(chosen.0, chosen.1) => {
                *chosen = (name, view);
            }
            Some(_) => {}
            None => views.push((name, view)),
        }
    }
    views.sort_unstable_by_key(|(name, _)| *name);
    views.into_iter().map(|(name, view)| (name.to_owned(), view)).collect()
}

impl From<TopicPage> for Answer {
    fn from(page: TopicPage) -> Self {
        let TopicPage { total, topics, wildcards, next } = page;
        Self {
            total,
            topics: topics.into_iter().map(TopicEntry::from).collect(),
            wildcards: wildcards.into_iter().map(WildcardEntry::from).collect(),
            next: next.map(|cursor| cursor.to_string()),
        }
    }
}

impl From<ListedTopic> for TopicEntry {
    fn from(topic: ListedTopic) -> Self {
        Self {
            feed: topic.view,
            channel: topic.channel.name(),
            symbol: topic.symbol,
            subscribers: topic.subscribers,
            ticks: topic.count.map_or(0, |count| count.ticks),
            rate: topic.rate.map(ticks_per_second),
            last: topic.count.map(|count| count.last.to_string()),
        }
    }
}

impl From<ListedWildcard> for WildcardEntry {
    fn from(wildcard: ListedWildcard) -> Self {
        let ListedWildcard { view, channel, subscribers } = wildcard;
        Self { feed: view, channel: channel.name(), subscribers }
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^53 thousandths")]
fn ticks_per_second(thousandths: u64) -> f64 {
    thousandths as f64 / 1_000.0
}

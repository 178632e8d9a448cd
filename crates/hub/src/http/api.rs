//! The small read-only API for the page and for curl.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tickwire_protocol::FeedState;

use super::metrics_text;
use crate::clock;
use crate::market::ShardHandle;
use crate::metrics::Cell;
use crate::server::Shared;

/// Symbols in an answer, at the most.
const SYMBOLS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct SymbolQuery {
    feed: Option<String>,
    #[serde(default)]
    q: String,
    limit: Option<usize>,
}

/// `GET /api/symbols?feed=main&q=AA&limit=50`
pub(super) async fn symbols(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<SymbolQuery>,
) -> Response {
    let limit = query.limit.unwrap_or(100);
    if limit == 0 || limit > SYMBOLS_MAX {
        let text = format!("limit is {limit}: expected 1 to {SYMBOLS_MAX}\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let Some(feed) = shared.feeds.find(query.feed.as_deref()) else {
        return (StatusCode::NOT_FOUND, "no such feed\n").into_response();
    };
    let name = shared.feeds.get(feed).name.as_str();
    Json(shared.catalog.search(feed, name, &query.q, limit)).into_response()
}

#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    epoch: String,
    uptime_s: u64,
    feeds: Vec<FeedEntry>,
    sessions: u64,
    subscriptions: u64,
    ticks_in: u64,
    ticks_delivered: u64,
    /// Whether it takes no new sessions and closes those there are.
    draining: bool,
    log: LogEntry,
}

#[derive(Debug, Serialize)]
struct FeedEntry {
    feed: String,
    state: FeedState,
    since: String,
    publishers: usize,
}

#[derive(Debug, Serialize)]
struct LogEntry {
    /// Position of the oldest tick in the log.
    first: u64,
    /// Position of the next tick.
    head: u64,
    ticks: usize,
    bytes: usize,
    /// The log on disk, if there is to be one.
    disk: Option<DiskEntry>,
}

#[derive(Debug, Serialize)]
struct DiskEntry {
    segments: u64,
    /// Bytes of the segments.
    bytes: u64,
    /// Whether nothing is logged any more.
    failed: bool,
}

/// `GET /api/status`
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let sum = |of: fn(&ShardHandle) -> &Cell| shared.shards().map(|shard| of(shard).get()).sum();
    let log = &shared.live().log;
    let (bytes, ticks) = log.size();
    let feeds = shared.feeds.all().iter().map(|feed| {
        let (state, since) = feed.state();
        FeedEntry {
            feed: feed.name.to_string(),
            state,
            since: since.to_string(),
            publishers: feed.sources.len(),
        }
    });
    let disk = shared.durable.as_ref().map(|durable| {
        let (segments, bytes) = durable.size();
        DiskEntry { segments, bytes, failed: durable.has_failed() }
    });
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        epoch: shared.epoch.clone(),
        uptime_s: (clock::monotonic() - shared.started).as_secs(),
        feeds: feeds.collect(),
        sessions: sum(|shard| &shard.metrics.sessions),
        subscriptions: sum(|shard| &shard.metrics.subscriptions),
        ticks_in: shared.metrics.ticks_in.get(),
        ticks_delivered: sum(|shard| &shard.metrics.ticks_delivered),
        draining: shared.is_draining(),
        log: LogEntry { first: log.start().0, head: log.head().0, ticks, bytes, disk },
    })
    .into_response()
}

/// `GET /readyz`
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response()
    } else {
        "ready".into_response()
    }
}

/// `GET /metrics`
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    metrics_text(&shared)
}

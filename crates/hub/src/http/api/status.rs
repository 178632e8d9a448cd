//! `GET /api/status`: the state of the hub, its feeds and its log.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use tickwire_protocol::FeedState;

use super::super::FrontState;
use super::super::connection::Peer;
use super::super::directory::Directory;
use super::super::gate::Need;
use super::super::telemetry::Telemetry;
use super::keys::may_see;
use crate::access::keys::{Grant, Role};
use crate::clock;
use crate::metrics::Metric;
use crate::serving::shard_handle::ShardHandle;
use crate::serving::timeline::Timelines;
use crate::state::feeds::FeedStatus;
use crate::state::publisher_sessions::PublisherSession;

#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    epoch: String,
    uptime_s: u64,
    /// The client's role.
    role: Role,
    /// Whether the client may use `/api/keys`.
    may_see_keys: bool,
    feeds: Vec<FeedEntry>,
    views: Vec<ViewEntry>,
    sessions: u64,
    subscriptions: u64,
    ticks_in: u64,
    ticks_delivered: u64,
    /// Whether the hub shuts down and closes its sessions.
    draining: bool,
    log: LogEntry,
}

#[derive(Debug, Serialize)]
struct FeedEntry {
    feed: String,
    state: FeedState,
    since: String,
    publishers: usize,
    /// Ticks received from the feed's publishers.
    ticks_in: u64,
    /// Number of ticks that the feed's publishers reported as dropped at their sources since the
    /// hub started; they never reached the hub.
    lost: u64,
    /// Publishers that have sent an id.
    sources: Vec<SourceEntry>,
}

/// A publisher with its latest report. Values that it has not reported are left out.
#[derive(Debug, Serialize)]
struct SourceEntry {
    publisher: String,
    since: String,
    #[serde(flatten)]
    report: Option<ReportEntry>,
}

#[derive(Debug, Serialize)]
struct ReportEntry {
    state: FeedState,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    connects: u64,
    errors: u64,
    ticks: u64,
}

/// A view: a name under which subscribers reach a feed.
#[derive(Debug, Serialize)]
struct ViewEntry {
    view: String,
    feed: String,
    /// Delay of the view against the feed, in milliseconds.
    delay_ms: u64,
}

#[derive(Debug, Serialize)]
struct LogEntry {
    /// Position of the oldest tick in the log.
    first: u64,
    /// Position of the next tick.
    head: u64,
    ticks: usize,
    bytes: usize,
    /// The log on disk; null if there is none.
    disk: Option<DiskEntry>,
}

#[derive(Debug, Serialize)]
struct DiskEntry {
    segments: u64,
    /// Bytes of all segments.
    bytes: u64,
    /// Whether the log has failed and is no longer written.
    failed: bool,
}

/// `GET /api/status`: lists the feeds and views that the client may read.
pub(in super::super) async fn status(
    State(front): State<FrontState>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match front.gate.authorize(peer, &headers, Need::Read).await {
        Ok(grant) => Json(status_for(&front, &grant)).into_response(),
        Err(refusal) => *refusal,
    }
}

fn status_for(front: &FrontState, grant: &Grant) -> Status {
    let FrontState { directory, telemetry, .. } = front;
    let Telemetry { timelines, metrics, keys, .. } = &**telemetry;
    let sum =
        |of: fn(&ShardHandle) -> &Metric| timelines.shards().map(|shard| of(shard).get()).sum();
    let views = views(directory, timelines, grant);
    let is_seen = |feed: &&FeedStatus| views.iter().any(|view| view.feed == feed.name.as_str());
    let feeds = telemetry.feeds.all().iter().filter(is_seen).map(feed_entry).collect();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        epoch: telemetry.epoch.to_string(),
        uptime_s: (clock::monotonic() - telemetry.started).as_secs(),
        role: grant.role(),
        may_see_keys: may_see(keys, grant),
        feeds,
        views,
        sessions: sum(|shard| &shard.metrics.sessions),
        subscriptions: sum(|shard| &shard.metrics.subscriptions),
        ticks_in: metrics.ticks_in.get(),
        ticks_delivered: sum(|shard| &shard.metrics.ticks_delivered),
        draining: telemetry.lifecycle.is_draining(),
        log: log_entry(telemetry),
    }
}

fn views(directory: &Directory, timelines: &Timelines, grant: &Grant) -> Vec<ViewEntry> {
    let names = directory.views.names().filter(|name| grant.may_read(name));
    let entry = |name: &str| {
        let view = directory.view(name)?;
        let delay = timelines.get(view.timeline).delay.as_millis();
        Some(ViewEntry {
            view: name.to_owned(),
            feed: directory.feeds.get(view.feed).name.to_string(),
            delay_ms: u64::try_from(delay).unwrap_or(u64::MAX),
        })
    };
    names.filter_map(entry).collect()
}

fn feed_entry(feed: &FeedStatus) -> FeedEntry {
    let (state, since) = feed.state();
    FeedEntry {
        feed: feed.name.to_string(),
        state,
        since: since.to_string(),
        publishers: feed.publishers.len(),
        ticks_in: feed.ticks(),
        lost: feed.lost(),
        sources: feed.publishers.named().into_iter().map(source_entry).collect(),
    }
}

fn source_entry((publisher, session): (Arc<str>, PublisherSession)) -> SourceEntry {
    let report = session.report.map(|report| ReportEntry {
        state: report.state,
        detail: report.detail,
        upstream: report.upstream,
        connects: report.connects,
        errors: report.errors,
        ticks: report.ticks,
    });
    SourceEntry { publisher: publisher.to_string(), since: session.since.to_string(), report }
}

fn log_entry(telemetry: &Telemetry) -> LogEntry {
    let log = &telemetry.timelines.live().log;
    let (bytes, ticks) = log.size();
    let disk = telemetry.durable.as_ref().map(|durable| {
        let (segments, bytes) = durable.size();
        DiskEntry { segments, bytes, failed: durable.has_failed() }
    });
    LogEntry { first: log.start().0, head: log.head().0, ticks, bytes, disk }
}

//! `GET /api/status`: the state of the hub, its feeds and its log.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use tickwire_protocol::FeedState;

use super::super::FrontState;
use super::super::directory::Directory;
use super::super::gate::Need;
use super::super::peer::Peer;
use super::super::telemetry::Telemetry;
use super::keys::may_see;
use crate::access::keys::{Grant, Role};
use crate::clock;
use crate::fanout::FeedId;
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
    #[serde(flatten)]
    totals: Totals,
    /// Whether the hub shuts down and closes its sessions.
    draining: bool,
}

/// Figures of the whole hub; all are null unless the client [may see
/// them](Grant::may_see_totals).
#[derive(Debug, Default, Serialize)]
struct Totals {
    sessions: Option<u64>,
    subscriptions: Option<u64>,
    ticks_in: Option<u64>,
    ticks_delivered: Option<u64>,
    log: Option<LogEntry>,
}

#[derive(Debug, Serialize)]
struct FeedEntry {
    feed: String,
    state: FeedState,
    since: String,
    publishers: usize,
    /// Ticks received from the feed's publishers; null for clients that may not read every symbol.
    ticks_in: Option<u64>,
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
    /// Left out for clients that may not read every symbol.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticks: Option<u64>,
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

/// `GET /api/status`: lists the views that the client may read, and the feeds that it may read
/// without delay.
pub(in super::super) async fn status(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match front.gate.authorize(peer, &headers, Need::Read).await {
        Ok(grant) => Json(status_for(&front, &grant)).into_response(),
        Err(refusal) => *refusal,
    }
}

fn status_for(front: &FrontState, grant: &Grant) -> Status {
    let FrontState { directory, telemetry, .. } = front;
    let Telemetry { timelines, keys, .. } = &**telemetry;
    let feeds = (0..).map(FeedId).zip(telemetry.feeds.all());
    let feeds = feeds.filter(|(id, _)| grant.may_read_live(&directory.views, *id));
    let totals = if grant.may_see_totals() { totals(telemetry) } else { Totals::default() };
    Status {
        version: env!("CARGO_PKG_VERSION"),
        epoch: telemetry.epoch.to_string(),
        uptime_s: (clock::monotonic() - telemetry.started).as_secs(),
        role: grant.role(),
        may_see_keys: may_see(keys, grant),
        feeds: feeds.map(|(_, feed)| feed_entry(feed, grant)).collect(),
        views: views(directory, timelines, grant),
        totals,
        draining: telemetry.lifecycle.is_draining(),
    }
}

fn totals(telemetry: &Telemetry) -> Totals {
    let sum = |of: fn(&ShardHandle) -> &Metric| {
        Some(telemetry.timelines.shards().map(|shard| of(shard).get()).sum())
    };
    Totals {
        sessions: sum(|shard| &shard.metrics.sessions),
        subscriptions: sum(|shard| &shard.metrics.subscriptions),
        ticks_in: Some(telemetry.metrics.ticks_in.get()),
        ticks_delivered: sum(|shard| &shard.metrics.ticks_delivered),
        log: Some(log_entry(telemetry)),
    }
}

fn views(directory: &Directory, timelines: &Timelines, grant: &Grant) -> Vec<ViewEntry> {
    let names = directory.readable_names(grant);
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

fn feed_entry(feed: &FeedStatus, grant: &Grant) -> FeedEntry {
    let (state, since) = feed.state();
    let sees_ticks = grant.symbols().is_none();
    let source = |source| source_entry(source, sees_ticks);
    FeedEntry {
        feed: feed.name.to_string(),
        state,
        since: since.to_string(),
        publishers: feed.publishers.len(),
        ticks_in: sees_ticks.then(|| feed.ticks()),
        lost: feed.lost(),
        sources: feed.publishers.named().into_iter().map(source).collect(),
    }
}

fn source_entry(
    (publisher, session): (Arc<str>, PublisherSession),
    sees_ticks: bool,
) -> SourceEntry {
    let report = session.report.map(|report| ReportEntry {
        state: report.state,
        detail: report.detail,
        upstream: report.upstream,
        connects: report.connects,
        errors: report.errors,
        ticks: sees_ticks.then_some(report.ticks),
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

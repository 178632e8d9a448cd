//! The small read-only API for the page and for curl.

mod keys;
mod status;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;

use super::guard::{Need, guard};
use super::{Peer, metrics_text, refuse};
use crate::metrics::Refused;
use crate::server::Shared;

pub(super) use keys::keys;
pub(super) use status::status;

/// Symbols in an answer, at the most.
const SYMBOLS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct SymbolQuery {
    feed: Option<String>,
    #[serde(default)]
    q: String,
    limit: Option<usize>,
}

/// `GET /api/symbols?feed=main&q=AA&limit=50`, where `feed` is a view.
pub(super) async fn symbols(
    State(shared): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(query): Query<SymbolQuery>,
    headers: HeaderMap,
) -> Response {
    let grant = match guard(&shared, peer, &headers, Need::Read).await {
        Ok(grant) => grant,
        Err(refusal) => return *refusal,
    };
    let limit = query.limit.unwrap_or(100);
    if limit == 0 || limit > SYMBOLS_MAX {
        let text = format!("limit is {limit}: expected 1 to {SYMBOLS_MAX}\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let first = || shared.feeds.all()[0].name.to_string();
    let name = query.feed.unwrap_or_else(first);
    let Some(view) = shared.views.find(&name) else {
        return (StatusCode::NOT_FOUND, "no such feed\n").into_response();
    };
    if !grant.may_read(&name) {
        let text = format!("this key is not for the feed {name}");
        return refuse(&shared, StatusCode::FORBIDDEN, Refused::Token, text);
    }
    Json(shared.catalog.search(view.feed, &name, &query.q, limit)).into_response()
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

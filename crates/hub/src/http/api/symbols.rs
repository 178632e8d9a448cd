//! `GET /api/symbols`: searches for symbols by name.

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
use crate::clock;
use crate::state::topic_registry::FoundSymbols;

/// Default number of symbols in an answer.
const LIMIT_DEFAULT: usize = 100;
/// Maximum number of symbols in an answer.
const LIMIT_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(in super::super) struct SymbolQuery {
    feed: Option<String>,
    #[serde(default)]
    q: String,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct SymbolPage {
    feed: String,
    /// Number of symbols that the view shows and the key may read, whether they match the query or
    /// not.
    total: usize,
    symbols: Vec<SymbolEntry>,
}

#[derive(Debug, Serialize)]
struct SymbolEntry {
    symbol: Symbol,
    /// Channels on which the symbol has ticked in the view.
    channels: Vec<&'static str>,
}

/// `GET /api/symbols?feed=main&q=AA&limit=50`, where `feed` is a view.
pub(in super::super) async fn symbols(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    Query(query): Query<SymbolQuery>,
    headers: HeaderMap,
) -> Response {
    let grant = match front.gate.authorize(peer, &headers, Need::Read).await {
        Ok(grant) => grant,
        Err(refusal) => return *refusal,
    };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if let Err(text) = check_limit(limit, LIMIT_MAX) {
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let name = query.feed.unwrap_or_else(|| front.directory.default_feed().to_owned());
    let view = match find_view(&front, &grant, &name) {
        Ok(view) => view,
        Err(refusal) => return *refusal,
    };
    let job = match front.background.admit(peer.address) {
        Ok(job) => job,
        Err(busy) => return busy.refuse(&front.gate),
    };
    let topics = front.directory.topics.clone();
    let until = front.subscribers.timelines.get(view.timeline).shows_until(clock::wall());
    let search = move || {
        let may_read = |symbol: &Symbol| grant.may_read_symbol(*symbol);
        let found = topics.search(view.feed, until, &query.q, limit, may_read);
        Json(SymbolPage::new(name, found)).into_response()
    };
    job.run(search).await.unwrap_or_else(|| front.gate.refuse_while_draining())
}

impl SymbolPage {
    fn new(feed: String, found: FoundSymbols) -> Self {
        let symbols = found.symbols.into_iter().map(|(symbol, channels)| SymbolEntry {
            symbol,
            channels: channels.into_iter().map(tickwire_protocol::Channel::name).collect(),
        });
        Self { feed, total: found.total, symbols: symbols.collect() }
    }
}

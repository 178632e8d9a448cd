//! `GET /v2/stocks/…`: last values over HTTP, in the shapes of Alpaca's market data API.

mod format;
mod request;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tickwire_protocol::{Channel, SubscriptionSet, Symbol};

use super::FrontState;
use super::directory::Directory;
use super::gate::{AuthError, Gate};
use super::peer::Peer;
use super::unknown_path;
use crate::access::keys::Grant;
use crate::metrics::Refused;
use crate::serving::last_values::last_values;
use crate::serving::shard_query::NoAnswer;
use crate::state::views::View;
use request::{StockQuery, SymbolSelector, ValueKind, parse_path};

/// The view for requests that name none.
const VIEW: &str = "sip";

/// `GET /v2/stocks/…`: answers with last values in JSON.
pub(super) async fn stocks(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match answer(&front, peer, path, &uri, &headers).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(refusal) => refusal.respond(&front.gate),
    }
}

async fn answer(
    front: &FrontState,
    peer: Peer,
    path: Result<Path<String>, PathRejection>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Vec<u8>, Refusal> {
    let grant = identify(&front.gate, peer, headers).await?;
    let Path(path) = path.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let (kind, selector) = parse_path(&path).ok_or_else(|| {
        let body = unknown_path::explanation(&front.directory, Some(&grant), uri.path());
        Refusal { status: StatusCode::NOT_FOUND, body }
    })?;
    let Query(query) = Query::<StockQuery>::try_from_uri(uri)
        .map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let name = query.feed.as_deref().unwrap_or(VIEW);
    let view = find_view(&front.directory, &grant, name)?;
    let symbols = match &selector {
        SymbolSelector::Path(symbol) => vec![Symbol::new(symbol).map_err(Refusal::bad)?],
        SymbolSelector::Query => query.symbols().map_err(Refusal::bad)?,
    };
    check_names(&grant, kind, &symbols)?;
    let timeline = front.subscribers.timelines.get(view.timeline);
    let values = last_values(timeline, view.feed, kind.channels(), &symbols).await?;
    match selector {
        SymbolSelector::Query => Ok(format::values_by_symbol(kind, &symbols, &values)),
        SymbolSelector::Path(_) => format::value_of(kind, symbols[0], &values).ok_or_else(|| {
            let text = format!("{} has no {} in {name} so far", symbols[0], kind.name());
            Refusal::new(StatusCode::NOT_FOUND, text)
        }),
    }
}

/// Returns the rights of the sender. A wrong key is answered after a delay.
async fn identify(gate: &Gate, peer: Peer, headers: &HeaderMap) -> Result<Grant, Refusal> {
    let sender = gate.authenticate(peer, headers).await.map_err(|error| {
        let text = match error {
            AuthError::Malformed(expected) => expected,
            AuthError::Missing => {
                "a key is needed: APCA-API-KEY-ID and APCA-API-SECRET-KEY, or Authorization"
            }
            AuthError::Wrong => "wrong key",
        };
        Refusal::new(StatusCode::UNAUTHORIZED, text)
    })?;
    gate.check_host(peer, headers, &sender.grant)
        .map_err(|text| Refusal::new(StatusCode::FORBIDDEN, text))?;
    Ok(sender.grant)
}

/// Finds the view of a name, if the client may read it.
fn find_view(directory: &Directory, grant: &Grant, name: &str) -> Result<View, Refusal> {
    if !grant.may_read(name) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, directory.not_for_view(grant, name)));
    }
    directory.view(name).ok_or_else(|| {
        let names: Vec<_> = directory.readable_names(grant).collect();
        let shown: String = name.chars().take(32).collect();
        Refusal::bad(format!("feed {shown:?}: expected one of {}", names.join(", ")))
    })
}

/// Checks that a client may read the values of these symbols.
fn check_names(grant: &Grant, kind: ValueKind, symbols: &[Symbol]) -> Result<(), Refusal> {
    let refused = |text| Refusal::new(StatusCode::FORBIDDEN, text);
    if !grant.limits_names() {
        return Ok(());
    }
    let mut names = SubscriptionSet::default();
    for channel in kind.channels() {
        names[*channel].symbols = symbols.to_vec();
    }
    let counted = names[Channel::Trades].len() + names[Channel::Quotes].len();
    grant.check_names(&names, counted).map_err(refused)
}

/// An error response: a status, and a message in JSON.
struct Refusal {
    status: StatusCode,
    body: serde_json::Value,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, body: json!({ "message": text.into() }) }
    }

    fn bad(problem: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, problem.to_string())
    }

    fn respond(self, gate: &Gate) -> Response {
        if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            gate.metrics.refuse(Refused::Token, 1);
        }
        (self.status, axum::Json(self.body)).into_response()
    }
}

impl From<NoAnswer> for Refusal {
    fn from(_: NoAnswer) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the hub is too busy to answer; try again")
    }
}

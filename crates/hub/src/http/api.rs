//! The read-only JSON API, for the page and for curl.

mod keys;
mod status;
mod symbols;
mod topics;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::FrontState;
use super::exposition::exposition;
use super::gate::{Gate, Need};
use super::peer::Peer;
use super::telemetry::Telemetry;
use crate::access::keys::Grant;
use crate::clock;
use crate::metrics::Refused;
use crate::state::views::View;

pub(super) use keys::keys;
pub(super) use status::status;
pub(super) use symbols::symbols;
pub(super) use topics::topics;

/// Checks the number of entries that a request asks for.
///
/// # Errors
/// The text of the answer, if the number is not allowed.
fn check_limit(limit: usize, most: usize) -> Result<(), String> {
    if (1..=most).contains(&limit) {
        return Ok(());
    }
    Err(format!("limit is {limit}: expected 1 to {most}\n"))
}

/// Finds the view of a name.
///
/// # Errors
/// The answer, if there is no such view or the grant does not allow to read it.
fn find_view(front: &FrontState, grant: &Grant, name: &str) -> Result<View, Box<Response>> {
    // The rights come first: whether a name exists is not for everybody to know.
    if !grant.may_read(name) {
        let text = front.directory.not_for_view(grant, name);
        return Err(Box::new(front.gate.refuse(StatusCode::FORBIDDEN, Refused::Token, text)));
    }
    front.directory.view(name).ok_or_else(|| {
        let text = front.directory.no_such_view(grant) + "\n";
        Box::new((StatusCode::NOT_FOUND, text).into_response())
    })
}

/// `GET /readyz`: tells whether the hub accepts sessions.
pub(super) async fn ready(State(gate): State<Arc<Gate>>) -> Response {
    if gate.lifecycle.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response()
    } else {
        "ready".into_response()
    }
}

/// `GET /metrics`: returns all metrics of the hub. On an open hub it needs no key.
pub(super) async fn metrics(
    State(gate): State<Arc<Gate>>,
    State(telemetry): State<Arc<Telemetry>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let need = if gate.keys.is_open() { Need::Read } else { Need::Metrics };
    if let Err(refusal) = gate.authorize(peer, &headers, need).await {
        return *refusal;
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = telemetry.exposition.text(clock::monotonic(), || exposition(telemetry.clone()));
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

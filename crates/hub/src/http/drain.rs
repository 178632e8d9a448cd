//! `POST /api/drain`: shuts the hub down in order.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::gate::{Gate, Need};
use super::peer::Peer;
use crate::config::format_duration;
use crate::metrics::Refused;

/// Starts the same shutdown as SIGTERM. Needs the role admin.
pub(super) async fn drain(
    State(gate): State<Arc<Gate>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = admit(&gate, peer, &headers).await {
        return *refusal;
    }
    tracing::info!("drain requested over HTTP");
    gate.lifecycle.drain();
    let over = format_duration(gate.drain_duration);
    let text = format!("draining: sessions are closed over {over}\n");
    (StatusCode::ACCEPTED, text).into_response()
}

async fn admit(gate: &Gate, peer: Peer, headers: &HeaderMap) -> Result<(), Box<Response>> {
    gate.check_origin(peer, headers)?;
    if !gate.keys.has_admins() {
        let text = "draining is disabled: the hub was started without --admin-token and --keys";
        return Err(Box::new(gate.refuse(StatusCode::FORBIDDEN, Refused::Token, text)));
    }
    gate.authorize(peer, headers, Need::Admin).await.map(drop)
}

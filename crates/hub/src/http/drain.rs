//! `POST /api/drain`: the hub goes away in order.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::guard::{Need, guard};
use super::{Peer, refuse};
use crate::access::admission::origin_allowed;
use crate::config::format_duration;
use crate::metrics::Refused;
use crate::server::Shared;

/// Begins what SIGTERM begins, for administrators.
pub(super) async fn drain(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = admit(&shared, peer, &headers).await {
        return *refusal;
    }
    tracing::info!("asked to drain");
    shared.drain();
    let over = format_duration(shared.config.drain_duration);
    let text = format!("draining: sessions are closed over {over}\n");
    (StatusCode::ACCEPTED, text).into_response()
}

async fn admit(
    shared: &Shared,
    Peer(peer): Peer,
    headers: &HeaderMap,
) -> Result<(), Box<Response>> {
    origin_allowed(headers, &shared.config.allow_origins)
        .map_err(|text| refuse(shared, StatusCode::FORBIDDEN, Refused::Origin, text))?;
    if !shared.keys.has_admins() {
        let text = "nobody may drain this hub: it was started without --admin-token and --keys";
        return Err(Box::new(refuse(shared, StatusCode::FORBIDDEN, Refused::Token, text)));
    }
    guard(shared, peer, headers, Need::Admin).await.map(drop)
}

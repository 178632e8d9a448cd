//! `POST /api/drain`: the hub goes away in order.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::refuse;
use crate::admission::{origin_allowed, token_shown};
use crate::metrics::Refused;
use crate::server::Shared;

/// Begins what SIGTERM begins, for who shows the administrators' token.
pub(super) async fn drain(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = admit(&shared, &headers) {
        return *refusal;
    }
    tracing::info!("asked to drain");
    shared.drain();
    let text = format!("draining: sessions are closed over {} ms\n", shared.config.drain_ms_max);
    (StatusCode::ACCEPTED, text).into_response()
}

fn admit(shared: &Shared, headers: &HeaderMap) -> Result<(), Box<Response>> {
    origin_allowed(headers, &shared.config.allow_origins)
        .map_err(|text| refuse(shared, StatusCode::FORBIDDEN, Refused::Origin, text))?;
    let Some(token) = &shared.config.admin_token else {
        let text = "nobody may drain this hub: it was started without --admin-token";
        return Err(Box::new(refuse(shared, StatusCode::FORBIDDEN, Refused::Token, text)));
    };
    token_shown(headers, token)
        .map_err(|text| refuse(shared, StatusCode::UNAUTHORIZED, Refused::Token, text))?;
    Ok(())
}

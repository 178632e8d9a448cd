//! `GET /api/keys`: the sessions of each key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;

use super::super::gate::{Gate, Need};
use super::super::peer::Peer;
use crate::access::keys::{Grant, KeySessions, Keys, Role};

#[derive(Debug, Serialize)]
struct Answer {
    keys: Vec<KeyEntry>,
}

#[derive(Debug, Serialize)]
struct KeyEntry {
    /// Id of the key; empty for the sessions without one.
    id: String,
    name: String,
    role: Role,
    /// Subscriber sessions.
    sessions: usize,
    /// Publisher sessions.
    publishers: usize,
    /// Maximum number of subscriber sessions; left out if there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_max: Option<u32>,
    /// Sessions refused because the key was at its limit.
    refused: u64,
    /// Start of the oldest session.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Time of the last new session.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
}

/// Returns whether a client may see the sessions of all keys: an administrator, or any client of an
/// open hub.
pub(super) fn may_see(keys: &Keys, grant: &Grant) -> bool {
    keys.is_open() || grant.is_admin()
}

/// `GET /api/keys`: lists all keys with their sessions.
pub(in super::super) async fn keys(
    State(gate): State<Arc<Gate>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let need = if gate.keys.is_open() { Need::Read } else { Need::Admin };
    match gate.authorize(peer, &headers, need).await {
        Ok(_) => {
            let keys = gate.keys.sessions().into_iter().map(entry).collect();
            Json(Answer { keys }).into_response()
        }
        Err(refusal) => *refusal,
    }
}

fn entry(key: KeySessions) -> KeyEntry {
    let KeySessions { id, name, role, sessions, publishers, sessions_max, refused, since, last } =
        key;
    let since = since.map(|at| at.to_string());
    let last = last.map(|at| at.to_string());
    KeyEntry { id, name, role, sessions, publishers, sessions_max, refused, since, last }
}

//! `/publish`: ticks come in, as a WebSocket session or by POST.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tickwire_protocol::{Encoding, PublishedMessage, decode_publish};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{Role, WebSocketConfig};

use super::guard::{Need, guard};
use super::subscribe::FeedQuery;
use super::upgrade::accept;
use super::{Peer, refuse, refuse_while_draining};
use crate::access::admission::origin_allowed;
use crate::access::keys::{Grant, user_agent};
use crate::clock;
use crate::fanout::FeedId;
use crate::ingest::publisher;
use crate::ingest::router::Ingest;
use crate::metrics::Refused;
use crate::server::Shared;

/// Buffer for reading from a publisher, in bytes.
const READ_BUFFER_BYTES: usize = 64 * 1024;

pub(super) async fn session(
    State(shared): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(query): Query<FeedQuery>,
    mut request: Request,
) -> Response {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let admitted = admit(&shared, peer, &query, request.headers()).await;
    let accepted = admitted.and_then(|(feed, grant)| {
        let response = accept(request.headers(), None, &shared.epoch).map_err(|error| {
            let text = error.to_string();
            error.response(refuse(&shared, StatusCode::BAD_REQUEST, Refused::Handshake, text))
        })?;
        Ok((response, feed, grant))
    });
    let (response, feed, grant) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => return *refusal,
    };
    let Ok(place) = shared.publisher_places.clone().try_acquire_owned() else {
        return too_many(&shared);
    };
    let key = shared.keys.register_publisher(&grant, peer, user_agent(request.headers()));
    let task_shared = shared.clone();
    shared.tasks.spawn(async move {
        match on_upgrade.await {
            Ok(upgraded) => {
                let config = WebSocketConfig::default()
                    .read_buffer_size(READ_BUFFER_BYTES)
                    .max_message_size(Some(task_shared.config.publish_size_max.as_usize()))
                    .max_frame_size(Some(task_shared.config.publish_size_max.as_usize()));
                let io = TokioIo::new(upgraded);
                let ws = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                publisher::run(task_shared, feed, ws, place, key).await;
            }
            Err(error) => tracing::debug!(%error, "a publisher left during its handshake"),
        }
    });
    response
}

fn too_many(shared: &Shared) -> Response {
    let text =
        format!("the hub has {} publishers, as many as it may", shared.config.publishers_max);
    refuse(shared, StatusCode::SERVICE_UNAVAILABLE, Refused::SessionLimit, text)
}

async fn admit(
    shared: &Shared,
    peer: IpAddr,
    query: &FeedQuery,
    headers: &HeaderMap,
) -> Result<(FeedId, Grant), Box<Response>> {
    let feed = query.find(shared)?;
    origin_allowed(headers, &shared.config.allow_origins)
        .map_err(|text| refuse(shared, StatusCode::FORBIDDEN, Refused::Origin, text))?;
    let name = shared.feeds.get(feed).name.as_str();
    let grant = guard(shared, peer, headers, Need::Publish(name)).await?;
    if shared.is_draining() {
        return Err(Box::new(refuse_while_draining(shared)));
    }
    Ok((feed, grant))
}

#[derive(Debug, Serialize)]
struct Posted {
    /// Ticks numbered.
    accepted: usize,
    /// Ticks refused because they would open topics beyond the limit.
    refused: usize,
    /// Left out while what is taken is durable on disk, or was never to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
}

/// JSON elements by POST, for curl and for programs that publish now and then.
pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let feed = match admit(&shared, peer, &query, &headers).await {
        Ok((feed, _)) => feed,
        Err(refusal) => return *refusal,
    };
    // A body and what is decoded from it take memory, so they count as a publisher.
    let Ok(_place) = shared.publisher_places.try_acquire() else { return too_many(&shared) };
    take_body(&shared, feed, body).await.unwrap_or_else(|refusal| *refusal)
}

async fn take_body(shared: &Shared, feed: FeedId, body: Body) -> Result<Response, Box<Response>> {
    let config = &shared.config;
    let bytes = axum::body::to_bytes(body, config.publish_size_max.as_usize());
    let bytes = tokio::time::timeout(config.handshake_timeout, bytes)
        .await
        .map_err(|_| {
            let text = "the body did not arrive in time";
            refuse(shared, StatusCode::REQUEST_TIMEOUT, Refused::Handshake, text)
        })?
        .map_err(|_| {
            let text = format!("body: at most {}", config.publish_size_max);
            refuse(shared, StatusCode::PAYLOAD_TOO_LARGE, Refused::TooBig, text)
        })?;
    shared.metrics.publisher_bytes.add(bytes.len() as u64);
    let published = decode_publish(&bytes, Encoding::Json, config.publish_ticks_max)
        .map_err(|e| refuse(shared, StatusCode::BAD_REQUEST, Refused::Syntax, e.to_string()))?;
    let offered = published.ticks.len();
    let stopping = |()| refuse_while_draining(shared);
    let permit = publisher::room(shared, offered).await;
    let permit = permit.ok_or(()).map_err(stopping)?;
    let (done, numbered) = oneshot::channel();
    let PublishedMessage { ticks, lost, mark: _unacknowledged } = published;
    let done = Some(done);
    let message = Ingest::Ticks { feed, ticks, lost, numbered: None, progress: None, done, permit };
    shared.ingest.send(message).await.map_err(|_| stopping(()))?;
    let refused = numbered.await.map_err(|_| stopping(()))?;
    shared.feeds.get(feed).posted(clock::wall());
    let durable = (!shared.is_logged()).then_some(false);
    Ok(Json(Posted { accepted: offered - refused, refused, durable }).into_response())
}

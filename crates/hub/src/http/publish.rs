//! `/publish`: takes ticks from publishers, in a WebSocket session or by POST.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hyper::upgrade::Upgraded;
use serde::Serialize;
use tickwire_protocol::{Encoding, PublishedMessage, decode_publish};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use super::FrontState;
use super::body::{BodyError, BodyLimits, read_body};
use super::connection::{Stream, upgraded_stream};
use super::directory::FeedQuery;
use super::gate::{Gate, Need};
use super::peer::Peer;
use crate::access::admission::client_prefix;
use crate::access::keys::{Grant, user_agent};
use crate::clock;
use crate::fanout::FeedId;
use crate::ingest::handle::RouterEnded;
use crate::ingest::message::Ingest;
use crate::ingest::publisher::{self, PublisherContext};
use crate::metrics::Refused;
use crate::websocket::{BudgetAccount, Payload, Reader, ReaderConfig, WebSocket};

/// `GET /publish`: opens a publisher session.
pub(super) async fn session(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    Query(query): Query<FeedQuery>,
    mut request: Request,
) -> Response {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let admitted = admit(&front, peer, &query, request.headers()).await;
    let accepted = admitted.and_then(|(feed, grant)| {
        Ok((front.gate.accept_upgrade(request.headers(), None)?, feed, grant))
    });
    let (response, feed, grant) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => return *refusal,
    };
    let publishers = front.publishers;
    let slot = match publishers.limiter.admit(grant.publisher_holder(), peer.address) {
        Ok(slot) => slot,
        Err(text) => return refuse_publisher(&front.gate, text),
    };
    let key =
        front.gate.keys.register_publisher(&grant, peer.address, user_agent(request.headers()));
    let runtime = publishers.runtime.clone();
    let session = async move {
        let upgraded = match on_upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                return tracing::debug!(%error, "a publisher disconnected during the handshake");
            }
        };
        match take_over(upgraded) {
            Ok((stream, read_already)) => {
                let ws = publisher_websocket(&publishers, peer.address, stream, read_already);
                publisher::run(publishers, feed, ws, slot, grant, key).await;
            }
            Err(error) => tracing::warn!(%error, "cannot take over the socket of a publisher"),
        }
    };
    front.gate.lifecycle.spawn_on(session, &runtime);
    response
}

/// Takes the stream out of an upgraded connection, with the bytes that were read after the
/// handshake. Its socket belongs to the current runtime from now on, no longer to that of the
/// front.
fn take_over(upgraded: Upgraded) -> io::Result<(Stream, Vec<u8>)> {
    let (mut stream, read_already) = upgraded_stream(upgraded)?;
    let socket = match &mut stream {
        Stream::Left(socket) => socket,
        Stream::Right(encrypted) => encrypted.get_mut().0,
    };
    let same = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
    *socket = TcpStream::from_std(same)?;
    Ok((stream, read_already))
}

fn publisher_websocket(
    publishers: &PublisherContext,
    peer: IpAddr,
    stream: Stream,
    read_already: Vec<u8>,
) -> WebSocket<Stream> {
    let config = &publishers.config;
    let message_bytes_max = config.publish_size_max.as_usize();
    let reader_config = ReaderConfig { message_bytes_max, compression: false };
    let (account, evicted) = budget_account(publishers, peer);
    let reader = Reader::new(reader_config, account, read_already);
    WebSocket::new(stream, reader, config.message_timeout, evicted)
}

/// Creates the account of a publisher in the budget of messages, and what its evictions notify.
fn budget_account(publishers: &PublisherContext, peer: IpAddr) -> (BudgetAccount, Arc<Notify>) {
    let evicted = Arc::new(Notify::new());
    let budget = publishers.message_budget.clone();
    (BudgetAccount::new(budget, client_prefix(peer), 0, evicted.clone()), evicted)
}

/// Refuses a publisher that has no place.
fn refuse_publisher(gate: &Gate, text: String) -> Response {
    gate.refuse(StatusCode::SERVICE_UNAVAILABLE, Refused::SessionLimit, text)
}

/// Admits a publisher to the feed that its request names.
async fn admit(
    front: &FrontState,
    peer: Peer,
    query: &FeedQuery,
    headers: &HeaderMap,
) -> Result<(FeedId, Grant), Box<Response>> {
    let FrontState { gate, directory, .. } = front;
    gate.check_origin(peer, headers)?;
    let Some(feed) = directory.publishable_feed(query.feed.as_deref()) else {
        let grant = gate.authorize(peer, headers, Need::PublishSome).await?;
        let text = directory.no_such_publishable_feed(query.feed.as_deref(), &grant);
        return Err(Box::new(gate.refuse(StatusCode::NOT_FOUND, Refused::Handshake, text)));
    };
    let name = directory.feeds.get(feed).name.as_str();
    let grant = gate.authorize(peer, headers, Need::Publish(name)).await?;
    if gate.lifecycle.is_draining() {
        return Err(Box::new(gate.refuse_while_draining()));
    }
    Ok((feed, grant))
}

/// Answer to a POST.
#[derive(Debug, Serialize)]
struct Posted {
    /// Ticks that the router has numbered.
    accepted: usize,
    /// Ticks refused because of the limit of topics.
    refused: usize,
    /// `false` if the log on disk has failed; left out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
}

/// `POST /publish`: takes JSON ticks, for curl and for programs that publish now and then.
pub(super) async fn post(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (feed, grant) = match admit(&front, peer, &query, &headers).await {
        Ok(admitted) => admitted,
        Err(refusal) => return *refusal,
    };
    let FrontState { gate, publishers, .. } = front;
    // A body and its decoded ticks take memory, so a POST counts as a publisher.
    let slot = match publishers.limiter.admit(grant.publisher_holder(), peer.address) {
        Ok(slot) => slot,
        Err(text) => return refuse_publisher(&gate, text),
    };
    let (account, evicted) = budget_account(&publishers, peer.address);
    let config = &publishers.config;
    let limits = BodyLimits {
        bytes_max: config.publish_size_max.as_usize(),
        timeout: config.handshake_timeout,
        account,
        evicted,
    };
    let body = tokio::select! {
        body = read_body(body, limits) => body,
        () = slot.taken() => {
            let text = "the body took longer than there was room for its publisher; try again";
            return refuse_publisher(&gate, text.to_owned());
        }
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => return refuse_body(&gate, &publishers, error),
    };
    slot.note_message();
    publish_body(&gate, &publishers, (feed, &grant), body).await.unwrap_or_else(|refusal| *refusal)
}

fn refuse_body(gate: &Gate, publishers: &PublisherContext, error: BodyError) -> Response {
    match error {
        BodyError::Overdue => {
            let text = "the body did not arrive in time";
            gate.refuse(StatusCode::REQUEST_TIMEOUT, Refused::Handshake, text)
        }
        BodyError::TooBig => {
            let text = format!("body: at most {}", publishers.config.publish_size_max);
            gate.refuse(StatusCode::PAYLOAD_TOO_LARGE, Refused::TooBig, text)
        }
        BodyError::Evicted => {
            let text = "the memory for messages is used up; try again later";
            gate.refuse(StatusCode::SERVICE_UNAVAILABLE, Refused::MessageMemory, text)
        }
        BodyError::Broken => {
            gate.refuse(StatusCode::BAD_REQUEST, Refused::Syntax, "the body is malformed")
        }
    }
}

/// Decodes a body, and waits until the router has numbered its ticks.
async fn publish_body(
    gate: &Gate,
    publishers: &PublisherContext,
    (feed, grant): (FeedId, &Grant),
    body: Payload,
) -> Result<Response, Box<Response>> {
    let PublisherContext { config, ingest, feeds, .. } = publishers;
    gate.metrics.publisher_bytes.add(body.bytes.len() as u64);
    let published = decode_publish(&body.bytes, Encoding::Json, config.publish_ticks_max)
        .map_err(|e| gate.refuse(StatusCode::BAD_REQUEST, Refused::Syntax, e.to_string()))?;
    drop(body); // the router may make the request wait
    grant
        .check_published(&published.ticks)
        .map_err(|text| gate.refuse(StatusCode::FORBIDDEN, Refused::Token, text))?;
    let offered = published.ticks.len();
    let stopping = |RouterEnded| gate.refuse_while_draining();
    let permit = ingest.reserve(offered).await.map_err(stopping)?;
    let (done, numbered) = oneshot::channel();
    let PublishedMessage { ticks, lost, mark: _unacknowledged } = published;
    let done = Some(done);
    let message = Ingest::Ticks { feed, ticks, lost, numbered: None, progress: None, done, permit };
    ingest.send(message).await.map_err(stopping)?;
    let refused = numbered.await.map_err(|_| stopping(RouterEnded))?;
    feeds.get(feed).note_post(clock::wall());
    let durable = (!ingest.is_durable()).then_some(false);
    Ok(Json(Posted { accepted: offered - refused, refused, durable }).into_response())
}

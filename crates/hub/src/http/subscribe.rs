//! `GET /ws` and `GET /v2/{view}`: answers the handshakes of subscribers, and hands their sockets
//! to shards.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tickwire_protocol::Encoding;

use super::FrontState;
use super::connection::{Stream, upgraded_stream};
use super::directory::FeedQuery;
use super::page::page;
use super::peer::Peer;
use super::unknown_path;
use super::upgrade::offered;
use crate::access::admission::{SessionLimiter, SessionPermit};
use crate::access::keys::{Grant, presented_credentials, user_agent};
use crate::access::refusal_log;
use crate::clock;
use crate::metrics::Refused;
use crate::serving::new_connection::{BareStream, HandshakeInfo, NewConnection, PendingSession};
use crate::serving::session_protocol::SessionProtocol;
use crate::serving::timeline::{Timeline, Timelines};
use crate::state::views::View;

/// Handles to the parts of the hub that the handshakes of subscribers use.
#[derive(Debug)]
pub(crate) struct SubscriberContext {
    pub(crate) timelines: Timelines,
    pub(crate) sessions: Arc<SessionLimiter>,
    /// Protocol of the sessions at `/ws`.
    pub(crate) protocol: SessionProtocol,
}

/// `GET /ws?feed=NAME`: opens a session of the hub's own protocol.
pub(super) async fn subscribe(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    Query(query): Query<FeedQuery>,
    request: Request,
) -> Response {
    let view = query.feed.unwrap_or_else(|| front.directory.default_feed().to_owned());
    open(&front, peer, &view, front.subscribers.protocol, request).await
}

/// `OPTIONS /ws`: says whether the page that asks may open a session. Browsers hide the answer to a
/// refused handshake from pages; this one they show.
pub(super) async fn options(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match front.gate.check_origin(peer, &headers) {
        Ok(()) => (StatusCode::NO_CONTENT, [(header::ALLOW, "GET, OPTIONS")]).into_response(),
        Err(refusal) => *refusal,
    }
}

/// `GET /v2/{view}` and `GET /{view}`: opens a session of Alpaca's protocol. All other paths belong
/// to the page, or do not exist.
pub(super) async fn alpaca_or_page(
    State(front): State<FrontState>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let upgrades = is_websocket(request.headers());
    let path = request.uri().path();
    let is_view = |view: &&str| front.directory.view(view).is_some();
    if let Some(view) = view_in(path).map(|(_, view)| view).filter(is_view) {
        if request.method() != Method::GET {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        let view = view.to_owned();
        return open(&front, peer, &view, SessionProtocol::Alpaca, request).await;
    }
    let file = (!upgrades).then(|| page(request.method(), request.uri())).flatten();
    match file {
        Some(file) => file,
        None => {
            let (head, _) = request.into_parts();
            no_such_path(&front, peer, head.uri.path(), &head.headers).await
        }
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Answers a request for a path that does not exist. If the page answered a WebSocket handshake
/// there, the client would only report an unexpected HTTP 200.
async fn no_such_path(front: &FrontState, peer: Peer, path: &str, headers: &HeaderMap) -> Response {
    let grant = front.gate.reader(peer, headers).await;
    if is_websocket(headers) || view_in(path).is_some_and(|(versioned, _)| versioned) {
        let view = view_in(path).map_or("", |(_, view)| view);
        let key = grant.as_ref().and_then(Grant::key_name);
        let path: String = path.chars().take(64).collect();
        let text = format!("no such path: {path}");
        refusal_log::note(clock::monotonic(), peer.address, view, key, &text);
    }
    front.gate.metrics.refuse(Refused::Handshake, 1);
    let body = unknown_path::explanation(&front.directory, grant.as_ref(), path);
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// Returns the part of a path that may name a view, and whether the API version (`v2`) precedes it.
/// Extra slashes are ignored, as some clients of Alpaca's API send them.
fn view_in(path: &str) -> Option<(bool, &str)> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (parts.next()?, parts.next(), parts.next()) {
        ("v2", Some(view), None) => Some((true, view)),
        (view, None, None) => Some((false, view)),
        _ => None,
    }
}

/// Answers the handshake of a session.
///
/// A client that has presented wrong keys before has to wait here if the handshake contains no key.
/// If it contains one, the answer to a wrong key is delayed instead.
async fn open(
    front: &FrontState,
    peer: Peer,
    view: &str,
    protocol: SessionProtocol,
    mut request: Request,
) -> Response {
    if matches!(presented_credentials(request.headers()), Ok(None)) {
        tokio::time::sleep(front.gate.keys.delay(peer.address)).await;
    }
    let Some(found) = front.directory.view(view) else {
        let (head, _) = request.into_parts();
        return no_such_view(front, peer, view, &head.headers).await;
    };
    let on_upgrade = hyper::upgrade::on(&mut request);
    match admit(front, peer, (view, found), protocol, request.headers()) {
        Ok((response, session)) => {
            front.gate.lifecycle.spawn(hand_over(on_upgrade, session));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// An admitted session whose socket still belongs to the HTTP front.
struct Admitted {
    timeline: Arc<Timeline>,
    handshake: HandshakeInfo,
    permit: SessionPermit,
}

fn admit(
    front: &FrontState,
    peer: Peer,
    (view, View { feed, timeline }): (&str, View),
    protocol: SessionProtocol,
    headers: &HeaderMap,
) -> Result<(Response, Admitted), Box<Response>> {
    let FrontState { gate, subscribers, .. } = front;
    gate.check_origin(peer, headers)?;
    let (encoding, subprotocol) = encoding(protocol, headers);
    let response = gate.accept_upgrade(headers, subprotocol)?;
    let credentials = match presented_credentials(headers) {
        Err(_) if gate.keys.is_open() => None, // an open hub ignores credentials
        presented => {
            presented.map_err(|text| gate.refuse(StatusCode::UNAUTHORIZED, Refused::Token, text))?
        }
    };
    if gate.lifecycle.is_draining() {
        return Err(Box::new(gate.refuse_while_draining()));
    }
    let busy =
        |text: String| gate.refuse(StatusCode::SERVICE_UNAVAILABLE, Refused::SessionLimit, text);
    let permit = subscribers.sessions.admit(peer.address).map_err(busy)?;
    let timeline = subscribers.timelines.get(timeline).clone();
    let handshake = HandshakeInfo {
        peer: peer.address,
        user_agent: user_agent(headers),
        view: view.into(),
        feed,
        protocol,
        encoding,
        credentials,
    };
    Ok((response, Admitted { timeline, handshake, permit }))
}

/// Refuses a handshake for a view that does not exist. Names the views that the client may read.
async fn no_such_view(front: &FrontState, peer: Peer, name: &str, headers: &HeaderMap) -> Response {
    let grant = front.gate.reader(peer, headers).await;
    let text = match &grant {
        Some(grant) => front.directory.no_such_view(grant),
        None => "no such feed".to_owned(),
    };
    let key = grant.as_ref().and_then(Grant::key_name);
    refusal_log::note(clock::monotonic(), peer.address, name, key, &text);
    front.gate.refuse(StatusCode::NOT_FOUND, Refused::Handshake, text)
}

/// Chooses the encoding of a session, and the subprotocol to confirm if the client offered one.
fn encoding(protocol: SessionProtocol, headers: &HeaderMap) -> (Encoding, Option<&'static str>) {
    if protocol == SessionProtocol::Alpaca {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        return match kind.eq_ignore_ascii_case("application/msgpack") {
            true => (Encoding::MsgpackMap, None),
            false => (Encoding::Json, None),
        };
    }
    match offered(headers).find_map(Encoding::from_subprotocol) {
        Some(chosen) => (chosen, chosen.subprotocol()),
        None => (Encoding::Json, None),
    }
}

/// Waits for the end of the handshake, and hands the socket to a shard.
async fn hand_over(on_upgrade: OnUpgrade, session: Admitted) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a client disconnected during the handshake"),
    };
    let new = match bare_stream(upgraded) {
        Ok((stream, read_already)) => {
            let Admitted { handshake, permit, .. } = session;
            NewConnection { stream, pending: PendingSession { read_already, handshake, permit } }
        }
        Err(error) => return tracing::warn!(%error, "cannot take over a socket"),
    };
    let Some(shard) = session.timeline.assign_shard() else { return };
    if shard.connections.try_send(new).is_err() {
        shard.metrics.assigned.sub(1);
        return tracing::warn!("a shard's queue of new connections is full");
    }
    shard.waker.wake();
}

/// Takes the socket and its TLS state out of an upgraded connection, with the bytes that were read
/// after the handshake.
fn bare_stream(upgraded: Upgraded) -> std::io::Result<(BareStream, Vec<u8>)> {
    let (stream, read_already) = upgraded_stream(upgraded)?;
    let (socket, tls) = match stream {
        Stream::Left(socket) => (socket, None),
        Stream::Right(encrypted) => {
            let (socket, tls) = encrypted.into_inner();
            (socket, Some(Box::new(tls)))
        }
    };
    Ok((BareStream { socket: socket.into_std()?, tls }, read_already))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case R1 of docs/alpaca.md.
    #[test]
    fn views_are_found_in_paths_with_extra_slashes() {
        for path in ["/v2/sip", "/v2/sip/", "//v2//sip", "/v2/sip//"] {
            assert_eq!(view_in(path), Some((true, "sip")), "{path}");
        }
        for path in ["/iex", "/iex/", "//iex"] {
            assert_eq!(view_in(path), Some((false, "iex")), "{path}");
        }
        for path in ["/", "", "/v2/sip/more", "/v1/sip"] {
            assert_eq!(view_in(path), None, "{path}");
        }
    }
}

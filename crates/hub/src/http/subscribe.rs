//! `GET /ws`: answers the handshake and hands the bare socket to a shard.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tickwire_protocol::Encoding;
use tokio::net::TcpStream;

use super::upgrade::{accept, offered};
use super::{Peer, refuse, refuse_while_draining};
use crate::admission::{SessionGuard, origin_allowed};
use crate::fanout::FeedId;
use crate::metrics::Refused;
use crate::server::{ShardHandle, Shared};
use crate::shard_task::NewConnection;

/// The query of an endpoint that belongs to a feed.
#[derive(Debug, Deserialize)]
pub(super) struct FeedQuery {
    feed: Option<String>,
}

impl FeedQuery {
    /// The feed that is meant, or a refusal that names those there are.
    pub(super) fn find(&self, shared: &Shared) -> Result<FeedId, Box<Response>> {
        shared.feeds.find(self.feed.as_deref()).ok_or_else(|| {
            let names: Vec<_> = shared.feeds.all().iter().map(|feed| feed.name.as_str()).collect();
            let text = format!("no such feed; there are: {}", names.join(", "));
            Box::new(refuse(shared, StatusCode::NOT_FOUND, Refused::Handshake, text))
        })
    }
}

pub(super) async fn subscribe(
    State(shared): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(query): Query<FeedQuery>,
    mut request: Request,
) -> Response {
    let on_upgrade = hyper::upgrade::on(&mut request);
    match admit(&shared, peer, &query, request.headers()) {
        Ok((response, session)) => {
            shared.tasks.spawn(hand_over(shared.clone(), on_upgrade, session));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// A session whose socket is still in the hands of the HTTP front.
struct Admitted {
    feed: FeedId,
    encoding: Encoding,
    guard: SessionGuard,
}

fn admit(
    shared: &Shared,
    peer: std::net::IpAddr,
    query: &FeedQuery,
    headers: &HeaderMap,
) -> Result<(Response, Admitted), Box<Response>> {
    let feed = query.find(shared)?;
    origin_allowed(headers, &shared.config.allow_origins)
        .map_err(|text| refuse(shared, StatusCode::FORBIDDEN, Refused::Origin, text))?;
    let chosen = offered(headers).find_map(Encoding::from_subprotocol);
    let response = accept(headers, chosen.map(Encoding::subprotocol)).map_err(|error| {
        let text = error.to_string();
        error.response(refuse(shared, StatusCode::BAD_REQUEST, Refused::Handshake, text))
    })?;
    let busy =
        |text: String| refuse(shared, StatusCode::SERVICE_UNAVAILABLE, Refused::SessionLimit, text);
    if shared.is_draining() {
        return Err(Box::new(refuse_while_draining(shared)));
    }
    let guard = shared.sessions.admit(peer).map_err(busy)?;
    Ok((response, Admitted { feed, encoding: chosen.unwrap_or(Encoding::Json), guard }))
}

async fn hand_over(shared: Arc<Shared>, on_upgrade: OnUpgrade, session: Admitted) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a client left during its handshake"),
    };
    let new = match bare_socket(upgraded) {
        Ok((stream, read_already)) => NewConnection {
            stream,
            read_already,
            feed: session.feed,
            encoding: session.encoding,
            guard: session.guard,
        },
        Err(error) => return tracing::warn!(%error, "cannot take a socket over"),
    };
    let Some(shard) = least_loaded(&shared) else { return };
    if shard.inbox.try_send(new).is_err() {
        shard.metrics.assigned.sub(1);
        return tracing::warn!("a shard takes no more connections for now");
    }
    shard.follower.wake();
}

/// The socket itself, and the bytes that were read beyond the handshake.
fn bare_socket(upgraded: Upgraded) -> std::io::Result<(std::net::TcpStream, Vec<u8>)> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| std::io::Error::other("the connection is not plain TCP"))?;
    // A copy: the front's read buffer is larger than what a session should keep.
    Ok((parts.io.into_inner().into_std()?, parts.read_buf.to_vec()))
}

fn least_loaded(shared: &Shared) -> Option<&ShardHandle> {
    let shard = shared.shards.iter().min_by_key(|shard| shard.metrics.assigned.get())?;
    shard.metrics.assigned.add(1);
    Some(shard)
}

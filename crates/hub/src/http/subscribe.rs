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
use crate::server::Shared;
use crate::shard_task::NewConnection;
use crate::views::View;

/// The query of an endpoint that belongs to a feed.
#[derive(Debug, Deserialize)]
pub(super) struct FeedQuery {
    feed: Option<String>,
}

impl FeedQuery {
    /// The view that is meant, or a refusal that names those there are.
    fn view(&self, shared: &Shared) -> Result<View, Box<Response>> {
        let first = || shared.feeds.get(FeedId(0)).name.as_str();
        let name = self.feed.as_deref().unwrap_or_else(first);
        shared.views.find(name).ok_or_else(|| {
            let names: Vec<_> = shared.views.names().collect();
            let text = format!("no such feed; there are: {}", names.join(", "));
            Box::new(refuse(shared, StatusCode::NOT_FOUND, Refused::Handshake, text))
        })
    }

    /// The feed that publishers mean, or a refusal that names those there are.
    pub(super) fn find(&self, shared: &Shared) -> Result<FeedId, Box<Response>> {
        shared.feeds.find(self.feed.as_deref()).ok_or_else(|| {
            let names: Vec<_> = shared.feeds.all().iter().map(|feed| feed.name.as_str()).collect();
            let is_view = self.feed.as_ref().is_some_and(|name| shared.views.find(name).is_some());
            let what = if is_view { "a view, to which nobody publishes" } else { "no such feed" };
            let text = format!("{what}; there are the feeds: {}", names.join(", "));
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
    view: View,
    encoding: Encoding,
    guard: SessionGuard,
}

fn admit(
    shared: &Shared,
    peer: std::net::IpAddr,
    query: &FeedQuery,
    headers: &HeaderMap,
) -> Result<(Response, Admitted), Box<Response>> {
    let view = query.view(shared)?;
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
    Ok((response, Admitted { view, encoding: chosen.unwrap_or(Encoding::Json), guard }))
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
            feed: session.view.feed,
            encoding: session.encoding,
            guard: session.guard,
        },
        Err(error) => return tracing::warn!(%error, "cannot take a socket over"),
    };
    let Some(shard) = shared.markets[session.view.market].least_loaded() else { return };
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

//! The HTTP front: one port for subscribers, publishers, the page, the API and metrics.

mod api;
mod drain;
mod guard;
pub(crate) mod page;
mod publish;
mod rest;
mod subscribe;
pub(crate) mod tls;
mod upgrade;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tower::ServiceExt;

use crate::access::admission::{Crowd, Full};
use crate::metrics::{Refused, exposition};
use crate::retry::retry_of_sessions;
use crate::server::Shared;
use crate::serving::session_protocol::SessionProtocol;

/// Largest head of a request, in bytes, and largest piece of a body in memory beside it.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// A connection of the front, as it is or with TLS.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Address of the peer of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Which part of the connections may be of one machine: one that opens many and says nothing shall
/// not keep everybody out.
const SHARE_OF_ONE: usize = 4;

/// Accepts connections until the hub closes.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let app = routes(shared.clone());
    let places_max = shared.config.http_connections_max;
    let room = Arc::new(Semaphore::new(places_max));
    let crowd = Arc::new(Mutex::new(Crowd::new(places_max.div_ceil(SHARE_OF_ONE))));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = shared.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer, room)) => {
                let Ok(place) = Place::of(peer.ip(), &crowd, room) else {
                    shared.metrics.refuse(Refused::SessionLimit, 1);
                    continue; // it has many that can be heard
                };
                let connection = connection(stream, peer, app.clone(), shared.clone(), place);
                shared.tasks.spawn(connection);
            }
            Err(error) => {
                // Out of files, most likely: go on once some have been closed.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Waits for room among the HTTP connections first: beyond it the kernel's queue has to hold them.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let room = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, room))
}

/// A connection's place at the front; given back when dropped.
struct Place {
    crowd: Arc<Mutex<Crowd>>,
    address: IpAddr,
    _room: OwnedSemaphorePermit,
}

impl Place {
    fn of(
        address: IpAddr,
        crowd: &Arc<Mutex<Crowd>>,
        room: OwnedSemaphorePermit,
    ) -> Result<Self, Full> {
        crowd.lock().unwrap_or_else(PoisonError::into_inner).enter(address)?;
        Ok(Self { crowd: crowd.clone(), address, _room: room })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner).leave(self.address);
    }
}

/// Serves one connection until it ends or becomes a session.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    shared: Arc<Shared>,
    _place: Place,
) {
    let _unsupported = stream.set_nodelay(true); // then it is merely slower
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.oneshot(request).await.into_response()) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(shared.config.handshake_timeout);
    http.max_buf_size(REQUEST_BYTES_MAX);
    let stream = match begin(stream, &shared).await {
        Ok(stream) => stream,
        Err(error) => {
            shared.metrics.refuse(Refused::Handshake, 1);
            return tracing::debug!(%error, %peer, "a connection did not come to a request");
        }
    };
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let request_time_max = shared.config.handshake_timeout;
    let enough = async {
        tokio::select! {
            () = shared.closing.cancelled() => {}
            () = tokio::time::sleep(request_time_max * REQUEST_TIMES_MAX) => {}
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => Ok(served),
        () = enough => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(request_time_max, connection).await
        }
    };
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, %peer, "an HTTP connection ended badly"),
        Err(_) => tracing::debug!(%peer, "an HTTP connection was cut: its answers were not read"),
    }
}

/// Shakes hands if the client speaks TLS, and the hub does.
async fn begin(stream: TcpStream, shared: &Shared) -> io::Result<Stream> {
    let Some(tls) = &shared.tls else { return Ok(Stream::Left(stream)) };
    let shaken = async {
        let mut first = [0];
        stream.peek(&mut first).await?;
        match first {
            [tls::FIRST_BYTE] => {
                let encrypted = tls.acceptor().accept(stream).await?;
                Ok(Stream::Right(Box::new(encrypted)))
            }
            _ => Ok(Stream::Left(stream)),
        }
    };
    tokio::select! {
        shaken = tokio::time::timeout(shared.config.handshake_timeout, shaken) => shaken?,
        () = shared.closing.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

/// A connection that has not become a session ends after this many times `handshake_timeout`: one
/// that asks and never reads would otherwise keep its place for ever.
const REQUEST_TIMES_MAX: u32 = 6;

fn routes(shared: Arc<Shared>) -> Router {
    if shared.protocol == SessionProtocol::Echo {
        return Router::new().fallback(subscribe::subscribe).with_state(shared);
    }
    Router::new()
        .route("/ws", get(subscribe::subscribe).head(only_get))
        .route("/publish", get(publish::session).head(only_get).post(publish::post))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(api::ready))
        .route("/metrics", get(api::metrics))
        .route("/api/symbols", get(api::symbols))
        .route("/api/topics", get(api::topics))
        .route("/api/status", get(api::status))
        .route("/api/keys", get(api::keys))
        .route("/api/drain", post(drain::drain))
        .route("/v2/stocks/{*path}", get(rest::stocks))
        .fallback(subscribe::alpaca_or_page)
        .with_state(shared)
}

/// HEAD would else count as GET, and open a session.
async fn only_get() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

/// A refusal that says why, in one line of text.
fn refuse(shared: &Shared, status: StatusCode, why: Refused, text: impl Into<String>) -> Response {
    shared.metrics.refuse(why, 1);
    let mut text = text.into();
    tracing::debug!(%status, text, "request refused");
    text.push('\n');
    let mut response = (status, text).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// The refusal of whoever comes while the hub goes away: it says when to come back.
fn refuse_while_draining(shared: &Shared) -> Response {
    let text = "the hub is shutting down";
    let mut response = refuse(shared, StatusCode::SERVICE_UNAVAILABLE, Refused::SessionLimit, text);
    let retry_s = retry_of_sessions(&shared.config).as_millis().div_ceil(1_000);
    if let Ok(seconds) = HeaderValue::try_from(retry_s.to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// A page of the metrics.
fn metrics_text(shared: &Arc<Shared>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], exposition(shared)).into_response()
}

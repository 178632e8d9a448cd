//! Accepts connections, with or without TLS, and serves their HTTP requests.

mod activity;
mod answer;
mod table;
mod watched_stream;

use std::convert::Infallible;
use std::future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tower::ServiceExt;

use super::background::Background;
use super::peer::Peer;
use super::proxy_protocol;
use super::tls::{self, Tls};
use crate::access::page_policy::Transport;
use crate::access::trusted_proxies::TrustedProxies;
use crate::clock;
use crate::metrics::{HubMetrics, Refused};
use crate::state::lifecycle::Lifecycle;
use activity::{Activity, TimeLimits};
use table::{ConnectionTable, Place};
use watched_stream::WatchedStream;

/// Largest head of a request, in bytes. Bodies are read through a buffer of the same size.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// How long a connection stays open without a request, in multiples of `handshake_timeout`.
const IDLE_TIMES: u32 = 6;

/// A connection: plain TCP, or TLS over it.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Handles to the parts of the hub that every connection uses.
#[derive(Debug, Clone)]
pub(super) struct ConnectionContext {
    pub(super) app: Router,
    pub(super) tls: Option<Arc<Tls>>,
    /// Does the handshakes of TLS.
    pub(super) background: Arc<Background>,
    /// Whether requests over plain connections are refused.
    pub(super) tls_only: bool,
    /// The proxies that name the addresses of their clients.
    pub(super) proxies: Arc<TrustedProxies>,
    /// How long a client may take for the TLS handshake, and to send the head of a request. Also
    /// how long it may stop reading an answer.
    pub(super) request_time_max: Duration,
    pub(super) metrics: Arc<HubMetrics>,
    pub(super) lifecycle: Arc<Lifecycle>,
}

impl ConnectionContext {
    fn time_limits(&self) -> TimeLimits {
        TimeLimits { request: self.request_time_max, idle: self.request_time_max * IDLE_TIMES }
    }
}

/// Accepts connections, at most `connections_max` at a time, until the hub closes.
pub(super) async fn accept_all(
    listener: TcpListener,
    connections_max: usize,
    context: ConnectionContext,
) {
    let table = Arc::new(ConnectionTable::new(connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &table, &context) => accepted,
            () = context.lifecycle.closing().cancelled() => return,
        };
        match accepted {
            Ok(Some(connection)) => context.lifecycle.spawn(serve(connection, context.clone())),
            Ok(None) => context.metrics.refuse(Refused::SessionLimit, 1),
            Err(error) => {
                // Most likely out of files: wait until some have been closed.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Accepts a connection and waits for its place. Meanwhile, others wait in the kernel's queue.
/// Returns `None` if the client may have no more connections.
async fn accept(
    listener: &TcpListener,
    table: &Arc<ConnectionTable>,
    context: &ConnectionContext,
) -> io::Result<Option<Accepted>> {
    let (stream, peer) = listener.accept().await?;
    let activity = Arc::new(Activity::new(context.time_limits(), clock::monotonic()));
    // The connections of a proxy belong to many clients.
    let client = (!context.proxies.contains(peer.ip())).then(|| peer.ip());
    let place = table.place(client, &activity, clock::monotonic).await;
    Ok(place.map(|place| Accepted { stream, peer, activity, place }))
}

/// A connection that has a place.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    activity: Arc<Activity>,
    place: Place,
}

/// Serves one connection until it ends or becomes a session.
async fn serve(connection: Accepted, context: ConnectionContext) {
    let Accepted { stream, peer, activity, place } = connection;
    let _unsupported = stream.set_nodelay(true); // only affects latency
    let (stream, sender) = match begin(stream, peer.ip(), &context, &activity, &place).await {
        Ok(begun) => begun,
        Err(error) => {
            context.metrics.refuse(Refused::Handshake, 1);
            return tracing::debug!(%error, %peer, "a connection ended before its first request");
        }
    };
    let transport = match &stream {
        Stream::Left(_) => Transport::Plain,
        Stream::Right(_) => Transport::Tls,
    };
    let requires_tls = context.tls_only && transport == Transport::Plain;
    let sender = Sender { address: sender, transport, requires_tls };
    let stream = WatchedStream::new(stream, activity.clone());
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_buf_size(REQUEST_BYTES_MAX);
    let service = service(sender, &context, &activity, place.table());
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = watched(connection.as_mut(), &activity) => Ok(served),
        () = context.lifecycle.closing().cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(context.request_time_max, connection).await
        }
    };
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, %peer, "an HTTP connection failed"),
        Err(_) => tracing::debug!(%peer, "an HTTP connection was cut at shutdown"),
    }
}

/// Takes the stream out of an upgraded connection, with the bytes that were read after the
/// handshake.
///
/// # Errors
/// Fails if the connection is not one of the front.
pub(super) fn upgraded_stream(upgraded: Upgraded) -> io::Result<(Stream, Vec<u8>)> {
    let parts = upgraded
        .downcast::<TokioIo<WatchedStream>>()
        .map_err(|_| io::Error::other("not a connection of the front"))?;
    // Copied, since the front's read buffer is larger than a session should keep.
    Ok((parts.io.into_inner().into_inner(), parts.read_buf.to_vec()))
}

/// What is known of the sender of a connection's requests.
#[derive(Debug, Clone, Copy)]
struct Sender {
    /// The peer, or the client that a proxy has named for the connection.
    address: IpAddr,
    transport: Transport,
    /// Whether its requests are refused, because the connection is plain.
    requires_tls: bool,
}

/// Returns the service that answers the requests of a connection.
fn service(
    sender: Sender,
    context: &ConnectionContext,
    activity: &Arc<Activity>,
    table: &Arc<ConnectionTable>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + use<>
{
    let app = context.app.clone();
    let activity = activity.clone();
    let table = table.clone();
    let ConnectionContext { lifecycle, proxies, metrics, .. } = context.clone();
    hyper::service::service_fn(move |request: Request<Incoming>| {
        activity.requested(clock::monotonic());
        let is_kept = is_kept(&request);
        let mut request = request.map(Body::new);
        let address = proxies.client(sender.address, request.headers());
        request.extensions_mut().insert(Peer { address, transport: sender.transport });
        let app = app.clone();
        let activity = activity.clone();
        let table = table.clone();
        let lifecycle = lifecycle.clone();
        let metrics = metrics.clone();
        async move {
            if sender.requires_tls {
                metrics.refuse(Refused::Handshake, 1);
                activity.answer_last();
                return Ok(answer::complete(tls_required(), is_kept, &activity));
            }
            let response = app.oneshot(request).await.into_response();
            if lifecycle.is_draining() || table.is_crowded() {
                activity.answer_last();
            }
            Ok::<_, Infallible>(answer::complete(response, is_kept, &activity))
        }
    })
}

/// Returns whether the client wants to keep the connection after this request.
fn is_kept(request: &Request<Incoming>) -> bool {
    let mut options = request.headers().get_all(header::CONNECTION).into_iter();
    request.version() == Version::HTTP_11
        && options.all(|option| !option.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Drives a connection, and closes it when its client does not do in time what the connection waits
/// for.
async fn watched<F: Future>(mut connection: Pin<&mut F>, activity: &Activity) -> F::Output {
    let timer = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(timer);
    future::poll_fn(|cx| {
        activity.register(cx.waker());
        loop {
            if let Poll::Ready(output) = connection.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            // Only now: the poll may have begun something else to wait for.
            let Some(deadline) = activity.deadline() else { return Poll::Pending };
            if timer.deadline().into_std() != deadline {
                timer.as_mut().reset(deadline.into());
            }
            ready!(timer.as_mut().poll(cx));
            if !activity.close() {
                return Poll::Pending; // closed before, so the connection is about to end
            }
        }
    })
    .await
}

/// Answers a request over a plain connection to a hub that requires TLS.
fn tls_required() -> Response {
    let text = "this hub requires TLS: use https:// or wss://\n";
    (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "TLS/1.2, HTTP/1.1")], text).into_response()
}

/// Reads what precedes the first request: the preface of a trusted proxy, and the TLS handshake.
/// Returns the stream and the address that the requests come from: the peer, or the client that the
/// preface names.
async fn begin(
    mut stream: TcpStream,
    peer: IpAddr,
    context: &ConnectionContext,
    activity: &Activity,
    place: &Place,
) -> io::Result<(Stream, IpAddr)> {
    let begun = async {
        let mut sender = peer;
        if context.proxies.contains(peer)
            && let Some(client) = proxy_protocol::read_preface(&mut stream).await?
        {
            if !place.count_for(client, clock::monotonic()) {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            sender = client;
        }
        Ok((handshake(stream, context).await?, sender))
    };
    let mut in_time = pin!(async {
        tokio::select! {
            begun = begun => begun,
            () = activity.closed() => Err(io::ErrorKind::TimedOut.into()),
        }
    });
    tokio::select! {
        begun = watched(in_time.as_mut(), activity) => begun,
        () = context.lifecycle.closing().cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

/// Does the TLS handshake if the hub has a certificate and the client's first byte is one of TLS.
async fn handshake(stream: TcpStream, context: &ConnectionContext) -> io::Result<Stream> {
    let Some(tls) = &context.tls else { return Ok(Stream::Left(stream)) };
    let mut first = [0];
    stream.peek(&mut first).await?;
    match first {
        [tls::FIRST_BYTE] => {
            let encrypted = context.background.complete(tls.acceptor().accept(stream)).await;
            let stopping = || io::Error::from(io::ErrorKind::ConnectionAborted);
            Ok(Stream::Right(Box::new(encrypted.ok_or_else(stopping)??)))
        }
        _ => Ok(Stream::Left(stream)),
    }
}

//! Accepts connections, with or without TLS, and serves their HTTP requests.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tower::ServiceExt;

use super::tls::{self, Tls};
use crate::access::admission::{ConnectionLimiter, LimitReached};
use crate::metrics::{HubMetrics, Refused};
use crate::state::lifecycle::Lifecycle;

/// Largest head of a request, in bytes. Bodies are read through a buffer of the same size.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Lifetime of a connection that does not become a session, in multiples of `handshake_timeout`. A
/// client that sends requests and never reads the answers would otherwise hold its permit forever.
const REQUEST_TIMES_MAX: u32 = 6;

/// A connection: plain TCP, or TLS over it.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Request extension: the address of the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// One client may hold 1/4 of all connections. A client that opens many idle connections cannot
/// lock out the others.
const CLIENT_SHARE: usize = 4;

/// Handles to the parts of the hub that every connection uses.
#[derive(Debug, Clone)]
pub(super) struct ConnectionContext {
    pub(super) app: Router,
    pub(super) tls: Option<Arc<Tls>>,
    /// How long a client may take for the TLS handshake, and to send the head of a request.
    pub(super) request_time_max: Duration,
    pub(super) metrics: Arc<HubMetrics>,
    pub(super) lifecycle: Arc<Lifecycle>,
}

/// Accepts connections, at most `connections_max` at a time, until the hub closes.
pub(super) async fn accept_all(
    listener: TcpListener,
    connections_max: usize,
    context: ConnectionContext,
) {
    let room = Arc::new(Semaphore::new(connections_max));
    let limiter = ConnectionLimiter::new(connections_max.div_ceil(CLIENT_SHARE));
    let limiter = Arc::new(Mutex::new(limiter));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = context.lifecycle.closing().cancelled() => return,
        };
        match accepted {
            Ok((stream, peer, room)) => {
                let Ok(permit) = ConnectionPermit::take(peer.ip(), &limiter, room) else {
                    context.metrics.refuse(Refused::SessionLimit, 1);
                    continue; // the client has other connections to use
                };
                let connection = serve(stream, peer, context.clone(), permit);
                context.lifecycle.spawn(connection);
            }
            Err(error) => {
                // Most likely out of files: wait until some have been closed.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Accepts a connection once there is room for one. Until then, new connections wait in the
/// kernel's queue.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let room = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, room))
}

/// The right to one connection. Dropping it makes room for another connection.
struct ConnectionPermit {
    limiter: Arc<Mutex<ConnectionLimiter>>,
    address: IpAddr,
    _room: OwnedSemaphorePermit,
}

impl ConnectionPermit {
    fn take(
        address: IpAddr,
        limiter: &Arc<Mutex<ConnectionLimiter>>,
        room: OwnedSemaphorePermit,
    ) -> Result<Self, LimitReached> {
        limiter.lock().unwrap_or_else(PoisonError::into_inner).admit(address)?;
        Ok(Self { limiter: limiter.clone(), address, _room: room })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner).release(self.address);
    }
}

/// Serves one connection until it ends or becomes a session.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    context: ConnectionContext,
    _permit: ConnectionPermit,
) {
    let request_time_max = context.request_time_max;
    let _unsupported = stream.set_nodelay(true); // only affects latency
    let app = context.app.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.oneshot(request).await.into_response()) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(request_time_max);
    http.max_buf_size(REQUEST_BYTES_MAX);
    let stream = match handshake(stream, &context).await {
        Ok(stream) => stream,
        Err(error) => {
            context.metrics.refuse(Refused::Handshake, 1);
            return tracing::debug!(%error, %peer, "a connection ended before its first request");
        }
    };
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let time_is_up = async {
        tokio::select! {
            () = context.lifecycle.closing().cancelled() => {}
            () = tokio::time::sleep(request_time_max * REQUEST_TIMES_MAX) => {}
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => Ok(served),
        () = time_is_up => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(request_time_max, connection).await
        }
    };
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, %peer, "an HTTP connection failed"),
        Err(_) => {
            tracing::debug!(%peer, "an HTTP connection was cut: the client did not read its answers")
        }
    }
}

/// Does the TLS handshake if the hub has a certificate and the client's first byte is one of TLS.
async fn handshake(stream: TcpStream, context: &ConnectionContext) -> io::Result<Stream> {
    let Some(tls) = &context.tls else { return Ok(Stream::Left(stream)) };
    let accepted = async {
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
        accepted = tokio::time::timeout(context.request_time_max, accepted) => accepted?,
        () = context.lifecycle.closing().cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

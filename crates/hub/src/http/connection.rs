//! Connections of the front: accepts them, with or without TLS, and serves their requests.

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

/// Largest head of a request, in bytes, and largest piece of a body in memory beside it.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// A connection that has not become a session ends after this many times `handshake_timeout`: one
/// that asks and never reads would otherwise keep its place for ever.
const REQUEST_TIMES_MAX: u32 = 6;

/// A connection of the front, as it is or with TLS.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Address of the peer of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Which part of the connections may be of one machine: one that opens many and says nothing shall
/// not keep everybody out.
const SHARE_OF_ONE: usize = 4;

/// What the connections of the front share.
#[derive(Debug, Clone)]
pub(super) struct ConnectionContext {
    pub(super) app: Router,
    pub(super) tls: Option<Arc<Tls>>,
    /// How long a client may take over its handshake, or over a request.
    pub(super) request_time_max: Duration,
    pub(super) metrics: Arc<HubMetrics>,
    pub(super) lifecycle: Arc<Lifecycle>,
}

/// Accepts at most `connections_max` connections at a time, until the hub closes.
pub(super) async fn accept_all(
    listener: TcpListener,
    connections_max: usize,
    context: ConnectionContext,
) {
    let room = Arc::new(Semaphore::new(connections_max));
    let limiter = ConnectionLimiter::new(connections_max.div_ceil(SHARE_OF_ONE));
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
                    continue; // it has many that can be heard
                };
                let connection = serve(stream, peer, context.clone(), permit);
                context.lifecycle.spawn(connection);
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
    let _unsupported = stream.set_nodelay(true); // then it is merely slower
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
    let stream = match begin(stream, &context).await {
        Ok(stream) => stream,
        Err(error) => {
            context.metrics.refuse(Refused::Handshake, 1);
            return tracing::debug!(%error, %peer, "a connection did not come to a request");
        }
    };
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let enough = async {
        tokio::select! {
            () = context.lifecycle.closing().cancelled() => {}
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
async fn begin(stream: TcpStream, context: &ConnectionContext) -> io::Result<Stream> {
    let Some(tls) = &context.tls else { return Ok(Stream::Left(stream)) };
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
        shaken = tokio::time::timeout(context.request_time_max, shaken) => shaken?,
        () = context.lifecycle.closing().cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

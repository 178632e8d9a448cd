//! The HTTP front: one port for subscribers, publishers, the page, the API and metrics.

mod api;
mod background;
mod body;
mod connection;
mod directory;
mod drain;
mod exposition;
mod exposition_cache;
mod gate;
pub(crate) mod page;
mod peer;
mod proxy_protocol;
mod publish;
mod rest;
mod subscribe;
mod telemetry;
pub(crate) mod tls;
mod unknown_path;
mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::access::trusted_proxies::TrustedProxies;
use crate::config::Config;
use crate::ingest::publisher::PublisherContext;
use crate::serving::session_protocol::SessionProtocol;
use crate::serving::topic_listing::TopicLister;
pub(crate) use background::Background;
use connection::ConnectionContext;
pub(crate) use directory::Directory;
pub(crate) use exposition_cache::ExpositionCache;
pub(crate) use gate::Gate;
pub(crate) use subscribe::SubscriberContext;
pub(crate) use telemetry::Telemetry;
use tls::Tls;

/// The state of the front, by part. Handlers of requests take the parts that they use.
#[derive(Debug, Clone)]
pub(crate) struct FrontState {
    pub(crate) gate: Arc<Gate>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) subscribers: Arc<SubscriberContext>,
    pub(crate) publishers: Arc<PublisherContext>,
    pub(crate) topics: Arc<TopicLister>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) background: Arc<Background>,
}

/// Lets handlers take one part of the [`FrontState`] as their state.
macro_rules! parts {
    ($($field:ident: $part:ty),+ $(,)?) => {$(
        impl FromRef<FrontState> for Arc<$part> {
            fn from_ref(front: &FrontState) -> Self {
                front.$field.clone()
            }
        }
    )+};
}

parts! {
    gate: Gate,
    directory: Directory,
    subscribers: SubscriberContext,
    publishers: PublisherContext,
    topics: TopicLister,
    telemetry: Telemetry,
}

/// Accepts and serves connections until the hub closes.
pub(crate) async fn serve(
    listener: TcpListener,
    front: FrontState,
    tls: Option<Arc<Tls>>,
    config: Arc<Config>,
) {
    let context = ConnectionContext {
        tls,
        background: front.background.clone(),
        tls_only: config.tls_only,
        proxies: Arc::new(TrustedProxies::new(config.trusted_proxy.clone())),
        request_time_max: config.handshake_timeout,
        metrics: front.gate.metrics.clone(),
        lifecycle: front.gate.lifecycle.clone(),
        app: routes(front),
    };
    connection::accept_all(listener, config.http_connections_max, context).await;
}

fn routes(front: FrontState) -> Router {
    if front.subscribers.protocol == SessionProtocol::Echo {
        return Router::new().fallback(subscribe::subscribe).with_state(front);
    }
    Router::new()
        .route("/ws", get(subscribe::subscribe).head(only_get).options(subscribe::options))
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
        .with_state(front)
}

/// Refuses HEAD, which axum would otherwise handle as GET, so that it would open a session.
async fn only_get() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

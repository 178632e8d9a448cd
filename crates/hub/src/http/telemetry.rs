//! The sources of `/metrics` and `/api/status`.

use std::sync::Arc;
use std::time::Instant;

use super::exposition_cache::ExpositionCache;
use crate::access::keys::Keys;
use crate::durable::LogStatus;
use crate::metrics::HubMetrics;
use crate::serving::timeline::Timelines;
use crate::state::feeds::Feeds;
use crate::state::lifecycle::Lifecycle;
use crate::websocket::MessageBudget;

/// Counters and states of all parts of the hub.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) epoch: Arc<str>,
    /// When the hub started.
    pub(crate) started: Instant,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) timelines: Timelines,
    pub(crate) metrics: Arc<HubMetrics>,
    /// State of the log on disk, if there is one.
    pub(crate) durable: Option<Arc<LogStatus>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) message_budget: Arc<MessageBudget>,
    /// The last answer to `/metrics`.
    pub(crate) exposition: ExpositionCache,
}

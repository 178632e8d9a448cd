//! What `/metrics` and `/api/status` report.

use std::sync::Arc;
use std::time::Instant;

use crate::access::keys::Keys;
use crate::durable::LogStatus;
use crate::metrics::HubMetrics;
use crate::serving::timeline::Timelines;
use crate::state::feeds::Feeds;
use crate::state::lifecycle::Lifecycle;

/// The counters and states of the hub's parts.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) epoch: Arc<str>,
    /// When the hub was started.
    pub(crate) started: Instant,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) timelines: Timelines,
    pub(crate) metrics: Arc<HubMetrics>,
    /// State of the log on disk, if there is one.
    pub(crate) durable: Option<Arc<LogStatus>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

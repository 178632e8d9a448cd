//! The state of the whole hub, and the handles that each part receives.

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tickwire_protocol::Feed;
use tokio::runtime::Handle;

use super::StartError;
use super::runtimes::Runtimes;
use crate::access::admission::{PublisherLimiter, SessionLimiter};
use crate::access::keys::Keys;
use crate::access::page_policy::PagePolicy;
use crate::clock;
use crate::config::Config;
use crate::durable::LogStatus;
use crate::http::tls::Tls;
use crate::http::{
    Background, Directory, ExpositionCache, FrontState, Gate, SubscriberContext, Telemetry,
};
use crate::ingest::handle::IngestHandle;
use crate::ingest::publisher::PublisherContext;
use crate::ingest::router::RouterContext;
use crate::metrics::HubMetrics;
use crate::serving::delayer::DelayerContext;
use crate::serving::history_reader::HistoryReaderHandle;
use crate::serving::session_protocol::SessionProtocol;
use crate::serving::shard_loop::ShardContext;
use crate::serving::timeline::{Timeline, Timelines};
use crate::serving::topic_listing::TopicLister;
use crate::state::feeds::Feeds;
use crate::state::lifecycle::Lifecycle;
use crate::state::shard_waker::ShardWakers;
use crate::state::topic_registry::TopicRegistry;
use crate::state::views::Views;
use crate::websocket::MessageBudget;

/// Everything that the parts of the hub share. Only `server` uses it as a whole; the methods below
/// return what a single part uses.
#[derive(Debug)]
pub(super) struct HubState {
    pub(super) config: Arc<Config>,
    /// Protocol of the sessions at `/ws`.
    pub(super) protocol: SessionProtocol,
    /// Identifies the series of sequence numbers and positions that this run continues or starts.
    pub(super) epoch: Arc<str>,
    pub(super) started: Instant,
    pub(super) feeds: Arc<Feeds>,
    pub(super) topics: Arc<TopicRegistry>,
    pub(super) topic_lister: Arc<TopicLister>,
    pub(super) views: Arc<Views>,
    /// State of the log on disk, if there is one.
    pub(super) durable: Option<Arc<LogStatus>>,
    /// Reads ticks that memory no longer holds, if there is a log on disk.
    pub(super) history: Option<Arc<HistoryReaderHandle>>,
    pub(super) timelines: Timelines,
    pub(super) metrics: Arc<HubMetrics>,
    pub(super) sessions: Arc<SessionLimiter>,
    pub(super) keys: Arc<Keys>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) ingest: IngestHandle,
    pub(super) shard_wakers: ShardWakers,
    pub(super) lifecycle: Arc<Lifecycle>,
    /// Bounds the memory of messages, over all subscribers and publishers.
    pub(super) message_budget: Arc<MessageBudget>,
    /// Identifies clients in all shards.
    client_hash: RandomState,
    /// Set while the router has a minute bar in the making.
    pub(super) minutes_open: Arc<AtomicBool>,
}

/// The parts from which a [`HubState`] is created. Its other fields follow from the configuration.
pub(super) struct StateParts {
    pub(super) config: Config,
    pub(super) protocol: SessionProtocol,
    pub(super) epoch: String,
    pub(super) feeds: Vec<Feed>,
    pub(super) durable: Option<Arc<LogStatus>>,
    pub(super) history: Option<Arc<HistoryReaderHandle>>,
    pub(super) timelines: Timelines,
    pub(super) ingest: IngestHandle,
}

impl HubState {
    /// Creates the state of a hub that has no sessions yet.
    ///
    /// # Errors
    /// Fails if the keys file or the certificate cannot be used, or a view is wrong.
    pub(super) fn new(parts: StateParts) -> Result<Self, StartError> {
        let StateParts { config, protocol, epoch, feeds, durable, history, timelines, ingest } =
            parts;
        let delays: Vec<_> = timelines.iter().map(|timeline| timeline.delay).collect();
        let now = clock::wall();
        let feeds = Feeds::new(feeds, config.feed_stale_after, now).with_delays(&delays, now);
        let topics = Arc::new(TopicRegistry::new(feeds.all().len()));
        let shard_wakers: ShardWakers =
            timelines.shards().map(|shard| shard.waker.clone()).collect();
        let tls = config.tls_files()?.map(|(cert, key)| Tls::load(cert, key)).transpose()?;
        Ok(Self {
            protocol,
            epoch: epoch.into(),
            started: clock::monotonic(),
            topic_lister: Arc::new(TopicLister::new(topics.clone(), delays.len())),
            topics,
            feeds: Arc::new(if config.has_test_feed() { feeds.with_test_feed() } else { feeds }),
            views: Arc::new(Views::new(config.named_views()?, &delays)),
            durable,
            history,
            timelines,
            metrics: Arc::new(HubMetrics::new()),
            sessions: SessionLimiter::new(&config),
            keys: Keys::new(&config)?,
            tls: tls.map(Arc::new),
            ingest,
            lifecycle: Arc::new(Lifecycle::new(shard_wakers.clone())),
            shard_wakers,
            message_budget: MessageBudget::new(config.incomplete_messages_size_max.as_usize()),
            client_hash: RandomState::new(),
            minutes_open: Arc::default(),
            config: Arc::new(config),
        })
    }

    pub(super) fn router_context(&self) -> RouterContext {
        RouterContext {
            feeds: self.feeds.clone(),
            topics: self.topics.clone(),
            keys: self.keys.clone(),
            log: self.timelines.live().log.clone(),
            metrics: self.metrics.clone(),
            minutes_open: self.minutes_open.clone(),
        }
    }

    pub(super) fn shard_context(&self) -> ShardContext {
        ShardContext {
            config: self.config.clone(),
            epoch: self.epoch.clone(),
            feeds: self.feeds.clone(),
            topics: self.topics.clone(),
            views: self.views.clone(),
            keys: self.keys.clone(),
            history: self.history.clone(),
            lifecycle: self.lifecycle.clone(),
            message_budget: self.message_budget.clone(),
            client_hash: self.client_hash.clone(),
        }
    }

    pub(super) fn delayer_context(&self, timeline: Arc<Timeline>) -> DelayerContext {
        let config = &self.config;
        DelayerContext {
            live: self.timelines.live().log.clone(),
            timeline,
            ticks_ahead_max: (config.backlog_ticks_max.min(config.log_ticks) / 2) as u64,
            reads_disk: self.history.is_some(),
            lifecycle: self.lifecycle.clone(),
        }
    }

    fn publisher_context(&self, runtime: Handle) -> PublisherContext {
        PublisherContext {
            config: self.config.clone(),
            feeds: self.feeds.clone(),
            topics: self.topics.clone(),
            ingest: self.ingest.clone(),
            limiter: PublisherLimiter::new(self.config.publishers_max),
            runtime,
            metrics: self.metrics.clone(),
            lifecycle: self.lifecycle.clone(),
            message_budget: self.message_budget.clone(),
        }
    }

    pub(super) fn front_state(&self, runtimes: &Runtimes) -> FrontState {
        let gate = Gate {
            keys: self.keys.clone(),
            page_policy: PagePolicy {
                allow_origins: self.config.allow_origins.clone(),
                allowed_hosts: self.config.allowed_hosts.clone(),
            },
            epoch: self.epoch.clone(),
            metrics: self.metrics.clone(),
            lifecycle: self.lifecycle.clone(),
            drain_duration: self.config.drain_duration,
        };
        let directory = Directory {
            feeds: self.feeds.clone(),
            views: self.views.clone(),
            topics: self.topics.clone(),
        };
        let subscribers = SubscriberContext {
            timelines: self.timelines.clone(),
            sessions: self.sessions.clone(),
            protocol: self.protocol,
        };
        let telemetry = Telemetry {
            epoch: self.epoch.clone(),
            started: self.started,
            feeds: self.feeds.clone(),
            keys: self.keys.clone(),
            timelines: self.timelines.clone(),
            metrics: self.metrics.clone(),
            durable: self.durable.clone(),
            lifecycle: self.lifecycle.clone(),
            message_budget: self.message_budget.clone(),
            exposition: ExpositionCache::new(self.config.metrics_age_max),
        };
        FrontState {
            gate: Arc::new(gate),
            directory: Arc::new(directory),
            subscribers: Arc::new(subscribers),
            publishers: Arc::new(self.publisher_context(runtimes.publishers().clone())),
            topics: self.topic_lister.clone(),
            telemetry: Arc::new(telemetry),
            background: Background::new(runtimes.background().clone()),
        }
    }
}

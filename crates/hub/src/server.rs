//! Starting and stopping the hub.

mod beginning;
mod markets;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tickwire_protocol::Feed;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::admission::Sessions;
use crate::access::keys::{self, Keys, KeysError};
use crate::bars::BarMaker;
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::durable::{Archive, LogStatus, OpenError};
use crate::http;
use crate::http::tls::{self, Tls, TlsError};
use crate::ingest::router::{self, Ingest};
use crate::ingest::test_feed;
use crate::metrics::HubMetrics;
use crate::serving::history_reader::{self, HistoryReaderHandle};
use crate::serving::session_protocol::SessionProtocol;
use crate::serving::shard_loop;
use crate::serving::timeline::{ShardHandle, ShardId, Timeline};
use crate::serving::topic_listing::TopicLister;
use crate::state::feeds::Feeds;
use crate::state::topic_registry::TopicRegistry;
use crate::state::views::Views;
use beginning::{Beginning, Past};
use markets::Running;

/// What the parts of the hub share. Everything in here is either constant or made of counters.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// How sessions speak that come to `/ws`.
    pub(crate) protocol: SessionProtocol,
    /// The life in which sequence numbers are valid.
    pub(crate) epoch: String,
    pub(crate) started: Instant,
    pub(crate) feeds: Feeds,
    /// All topics: their subscribers, and since when they tick.
    pub(crate) topics: Arc<TopicRegistry>,
    /// Lists them for the HTTP API.
    pub(crate) topic_lister: TopicLister,
    /// The names by which subscribers reach them.
    pub(crate) views: Views,
    /// How the log on disk is, if there is to be one.
    pub(crate) durable: Option<Arc<LogStatus>>,
    /// Where shards ask for what memory does not hold any more, if that is on disk.
    pub(crate) archive: Option<HistoryReaderHandle>,
    /// What sessions follow; the first one is live.
    pub(crate) markets: Vec<Timeline>,
    pub(crate) metrics: HubMetrics,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) keys: Arc<Keys>,
    /// How clients connect with TLS, if they may.
    pub(crate) tls: Option<Tls>,
    pub(crate) ingest: mpsc::Sender<Ingest>,
    /// Ticks that may still be taken from publishers before the router has numbered some.
    pub(crate) ingest_room: Arc<Semaphore>,
    /// Publisher sessions there may still be.
    pub(crate) publisher_places: Arc<Semaphore>,
    /// Cancelled when the hub takes no new sessions, and closes those there are one after the other.
    pub(crate) draining: CancellationToken,
    /// Cancelled when publishers and requests are to end.
    pub(crate) closing: CancellationToken,
    /// Requests and publishers' sessions.
    pub(crate) tasks: TaskTracker,
    /// Whether the router has a minute open whose bar is still to come.
    pub(crate) minutes_open: AtomicBool,
    /// Set when the shards are to end.
    stopping: AtomicBool,
}

impl Shared {
    /// The market of which the router writes the log.
    pub(crate) fn live(&self) -> &Timeline {
        &self.markets[0]
    }

    /// One shard.
    pub(crate) fn shard(&self, number: ShardId) -> &ShardHandle {
        &self.markets[number.market].shards[number.shard]
    }

    /// The shards of all markets.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &ShardHandle> {
        self.markets.iter().flat_map(|market| &market.shards)
    }

    /// Whether the shards are to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn stop_shards(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for shard in self.shards() {
            shard.waker.wake();
        }
    }

    /// Whether what is taken is logged on disk, if it is to be.
    pub(crate) fn is_logged(&self) -> bool {
        self.durable.as_ref().is_none_or(|status| !status.has_failed())
    }

    /// Begins to drain, unless that has begun.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
        for shard in self.shards() {
            shard.waker.wake();
        }
    }

    /// Whether sessions are being closed, or have been.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}

/// Why the hub cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The keys file cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The folder of the log on disk cannot be used.
    #[error("cannot use the data folder {folder}")]
    Data {
        /// The folder.
        folder: String,
        /// Why.
        source: OpenError,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refuses threads or event queues.
    #[error("cannot start")]
    System(#[from] io::Error),
}

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    shared: Arc<Shared>,
    router: JoinHandle<()>,
    /// The thread behind the history.
    archive: Option<JoinHandle<()>>,
    running: Running,
}

/// Messages of publishers waiting for the router, at the most.
const INGEST_MESSAGES_MAX: usize = 1_024;
/// How often the router is told that time passes, while a minute is open.
const CLOCK_INTERVAL: Duration = Duration::from_millis(250);
/// How often the states of feeds are looked at.
const FEED_INTERVAL: Duration = Duration::from_millis(100);

impl Hub {
    /// Starts a hub. Needs a tokio runtime for its HTTP front; router and shards are threads of
    /// their own.
    ///
    /// # Errors
    /// If a setting is wrong, or the address cannot be listened on.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::begin(config, SessionProtocol::Tickwire).await
    }

    /// Starts a hub that sends back every message, for tests of its WebSocket: the same sockets, reader,
    /// turns and frames, another answer.
    ///
    /// # Errors
    /// As [`Hub::start`].
    #[doc(hidden)]
    pub async fn start_echo(config: Config) -> Result<Self, StartError> {
        Self::begin(config, SessionProtocol::Echo).await
    }

    async fn begin(mut config: Config, protocol: SessionProtocol) -> Result<Self, StartError> {
        config.check()?;
        config.fit_files(open_files_max())?;
        let address = config.listen;
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (ingest, queue) = mpsc::channel(INGEST_MESSAGES_MAX);
        let feeds = config.feeds()?;
        let Beginning { sequencer, bars, durable, past, last_before, mut archive } =
            Beginning::new(&config, &feeds).await?;
        let disk_index = archive.as_mut().map(|archive| archive.disk_index(clock::wall()));
        let Past { epoch, log, topics, status } = past;
        let make = {
            let (config, archive) = (config.clone(), archive.as_ref().map(Archive::reader));
            move || markets::make(&config, log, last_before, archive.as_ref())
        };
        let made = tokio::task::spawn_blocking(make).await.map_err(io::Error::other)?;
        let (markets, threads) = made?;
        let shards = markets.iter().map(|market| market.shards.len()).sum();
        let (history, requests) =
            disk_index.map(|disk_index| HistoryReaderHandle::new(shards, disk_index)).unzip();
        let known = Known { epoch, feeds, status, archive: history };
        let shared = share(config, known, protocol, markets, ingest)?;
        shared.topics.add_recovered(&topics);
        shared.metrics.topics.set(topics.len() as u64);
        let minutes_open = bars.as_ref().is_some_and(BarMaker::has_open_minutes);
        shared.minutes_open.store(minutes_open, Ordering::Relaxed);
        let mut running = Running::default();
        for (market, threads) in threads.into_iter().enumerate() {
            running.start(market, threads, &shared)?;
        }
        let archive = match archive.zip(requests) {
            Some((archive, requests)) => {
                Some(history_reader::spawn(archive, requests, shared.clone())?)
            }
            None => None,
        };
        let router = router::spawn(sequencer, bars, durable, shared.clone(), queue)?;
        shared.tasks.spawn(watch_feeds(shared.clone()));
        shared.tasks.spawn(tell_time(shared.clone()));
        for timeline in 0..shared.markets.len() {
            shared.tasks.spawn(sample_rates(shared.clone(), timeline));
        }
        if let Some(feed) = shared.feeds.own() {
            shared.tasks.spawn(test_feed::run(shared.clone(), feed));
        }
        shared.tasks.spawn(keys::follow(shared.clone()));
        shared.tasks.spawn(tls::follow(shared.clone()));
        shared.tasks.spawn(http::serve(listener, shared.clone()));
        tracing::info!(
            %address,
            epoch = shared.epoch,
            shards,
            sessions_max = shared.config.sessions_max,
            tls = shared.tls.is_some(),
            "hub is up"
        );
        Ok(Self { address, shared, router, archive, running })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as the address of its page: with `https` if it speaks TLS, although it does without too.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Completes when the hub has begun to drain because somebody asked it to (`POST /api/drain`). The
    /// rest is up to the program: [`Hub::shutdown`].
    pub async fn drain_asked(&self) {
        self.shared.draining.cancelled().await;
    }

    /// Stops in order: takes nothing new, closes the sessions one after the other, each behind what it
    /// has pending, acknowledges what publishers have sent, and closes them. Ends with the last of them,
    /// within `drain_duration`, `slow_grace` and about four seconds.
    pub async fn shutdown(self) {
        self.shared.drain();
        tracing::info!("draining");
        let time = shard_loop::drain_time_max(&self.shared.config) + SLACK;
        if tokio::time::timeout(time, self.shared.sessions.none_left()).await.is_err() {
            tracing::warn!("sessions did not end in time");
        }
        tracing::info!("stopping");
        self.shared.closing.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(PUBLISHERS_TIME_MAX, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("publishers or requests did not end in time");
        }
        let _ended = self.shared.ingest.send(Ingest::End).await; // an error means that it has ended
        let threads = tokio::task::spawn_blocking(move || {
            join(self.router, "router");
            self.shared.stop_shards();
            let Running { shards, delayers } = self.running;
            for delayer in delayers {
                delayer.thread().unpark();
                join(delayer, "delayer");
            }
            for shard in shards {
                join(shard, "shard");
            }
            self.shared.archive.iter().for_each(HistoryReaderHandle::end);
            if let Some(archive) = self.archive {
                join(archive, "log-reader");
            }
        });
        if threads.await.is_err() {
            tracing::error!("stopping failed");
        }
        tracing::info!("stopped");
    }
}

/// How much later than they should sessions may end on a busy machine.
const SLACK: Duration = Duration::from_secs(1);
/// How long publishers may take to be acknowledged at shutdown.
const PUBLISHERS_TIME_MAX: Duration = Duration::from_secs(2);

fn join(thread: JoinHandle<()>, name: &str) {
    if thread.join().is_err() {
        tracing::error!(name, "a thread had panicked");
    }
}

/// What a hub is made of beside its config.
struct Known {
    epoch: String,
    feeds: Vec<Feed>,
    status: Option<Arc<LogStatus>>,
    archive: Option<HistoryReaderHandle>,
}

fn share(
    config: Config,
    known: Known,
    protocol: SessionProtocol,
    markets: Vec<Timeline>,
    ingest: mpsc::Sender<Ingest>,
) -> Result<Arc<Shared>, StartError> {
    let Known { epoch, feeds, status, archive } = known;
    let delays: Vec<_> = markets.iter().map(|market| market.delay).collect();
    let topics = Arc::new(TopicRegistry::new(feeds.len()));
    let all = Feeds::new(feeds, config.feed_stale_after, clock::wall());
    Ok(Arc::new(Shared {
        protocol,
        epoch,
        started: clock::monotonic(),
        topic_lister: TopicLister::new(topics.clone(), markets.len()),
        topics,
        feeds: if config.has_test_feed() { all.with_own() } else { all },
        views: Views::new(config.named_views()?, &delays),
        durable: status,
        archive,
        markets,
        metrics: HubMetrics::new(),
        sessions: Sessions::new(&config),
        keys: Keys::new(&config)?,
        tls: config.tls_files()?.map(|(cert, key)| Tls::load(cert, key)).transpose()?,
        ingest,
        ingest_room: Arc::new(Semaphore::new(config.ingest_ticks_max)),
        publisher_places: Arc::new(Semaphore::new(config.publishers_max)),
        draining: CancellationToken::new(),
        closing: CancellationToken::new(),
        tasks: TaskTracker::new(),
        minutes_open: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        config,
    }))
}

/// Lets the router close minutes whose trades have ended.
async fn tell_time(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(CLOCK_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shared.closing.run_until_cancelled(interval.tick()).await.is_some() {
        if shared.minutes_open.load(Ordering::Relaxed)
            && shared.ingest.send(Ingest::Clock).await.is_err()
        {
            return; // the router has ended
        }
    }
}

/// Measures the rates of the topics of a timeline while they are requested.
async fn sample_rates(shared: Arc<Shared>, timeline: usize) {
    let sampling = shared.topic_lister.sample_rates(timeline, &shared.markets[timeline]);
    let _closing = shared.closing.run_until_cancelled(sampling).await;
}

/// Notices when feeds come, fall silent and go.
async fn watch_feeds(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(FEED_INTERVAL);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = shared.closing.cancelled() => return,
        }
        if shared.feeds.refresh(clock::wall()) {
            for shard in shared.shards() {
                shard.waker.wake();
            }
        }
    }
}

/// Files the process may open, after asking for as many as the system grants.
fn open_files_max() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024)
}

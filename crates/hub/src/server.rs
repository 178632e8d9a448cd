//! Starting and stopping the hub.

mod periodic;
mod recovered;
mod state;
mod timelines;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::access::keys::{self, KeysError};
use crate::bars::BarMaker;
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::durable::{Archive, OpenError};
use crate::http;
use crate::http::tls::{self, TlsError};
use crate::ingest::handle::IngestHandle;
use crate::ingest::message::Ingest;
use crate::ingest::{router, test_feed};
use crate::serving::history_reader::{self, HistoryReaderHandle};
use crate::serving::session_protocol::SessionProtocol;
use crate::serving::shard_loop;
use periodic::{sample_rates, tell_time, watch_feeds};
use recovered::{Past, Recovered};
use state::{HubState, StateParts};
use timelines::Running;

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
    state: HubState,
    router: JoinHandle<()>,
    /// The thread behind the history.
    archive: Option<JoinHandle<()>>,
    running: Running,
}

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
        let feeds = config.feeds()?;
        let Recovered { sequencer, bars, durable, past, last_before, mut archive } =
            Recovered::new(&config, &feeds).await?;
        let disk_index = archive.as_mut().map(|archive| archive.disk_index(clock::wall()));
        let Past { epoch, log, topics, status } = past;
        let make = {
            let (config, archive) = (config.clone(), archive.as_ref().map(Archive::reader));
            move || timelines::make(&config, log, last_before, archive.as_ref())
        };
        let made = tokio::task::spawn_blocking(make).await.map_err(io::Error::other)?;
        let (timelines, starts) = made?;
        let shards = timelines.shards().count();
        let (history, requests) =
            disk_index.map(|disk_index| HistoryReaderHandle::new(shards, disk_index)).unzip();
        let history = history.map(Arc::new);
        let (ingest, messages) = IngestHandle::new(&config, status.clone());
        let state = HubState::new(StateParts {
            config,
            protocol,
            epoch,
            feeds,
            durable: status,
            history: history.clone(),
            timelines,
            ingest,
        })?;
        state.topics.add_recovered(&topics);
        state.metrics.topics.set(topics.len() as u64);
        let minutes_open = bars.as_ref().is_some_and(BarMaker::has_open_minutes);
        state.minutes_open.store(minutes_open, Ordering::Relaxed);
        let mut running = Running::default();
        for (index, start) in starts.into_iter().enumerate() {
            running.start(index, start, &state)?;
        }
        let archive = match (archive, requests, history) {
            (Some(archive), Some(requests), Some(history)) => {
                Some(history_reader::spawn(archive, requests, history)?)
            }
            _ => None,
        };
        let router = router::spawn(sequencer, bars, durable, state.router_context(), messages)?;
        spawn_tasks(&state, listener);
        tracing::info!(
            %address,
            epoch = &*state.epoch,
            shards,
            sessions_max = state.config.sessions_max,
            tls = state.tls.is_some(),
            "hub is up"
        );
        Ok(Self { address, state, router, archive, running })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as the address of its page: with `https` if it speaks TLS, although it does without too.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Completes when the hub has begun to drain because somebody asked it to (`POST /api/drain`). The
    /// rest is up to the program: [`Hub::shutdown`].
    pub async fn drain_asked(&self) {
        self.state.lifecycle.drain_started().await;
    }

    /// Stops in order: takes nothing new, closes the sessions one after the other, each behind what it
    /// has pending, acknowledges what publishers have sent, and closes them. Ends with the last of them,
    /// within `drain_duration`, `slow_grace` and about four seconds.
    pub async fn shutdown(self) {
        self.state.lifecycle.drain();
        tracing::info!("draining");
        let time = shard_loop::drain_time_max(&self.state.config) + SLACK;
        if tokio::time::timeout(time, self.state.sessions.none_left()).await.is_err() {
            tracing::warn!("sessions did not end in time");
        }
        tracing::info!("stopping");
        let closed = self.state.lifecycle.close();
        if tokio::time::timeout(PUBLISHERS_TIME_MAX, closed).await.is_err() {
            tracing::warn!("publishers or requests did not end in time");
        }
        let _ended = self.state.ingest.send(Ingest::End).await; // an error means that it has ended
        let threads = tokio::task::spawn_blocking(move || {
            join(self.router, "router");
            self.state.lifecycle.stop();
            let Running { shards, delayers } = self.running;
            for delayer in delayers {
                delayer.thread().unpark();
                join(delayer, "delayer");
            }
            for shard in shards {
                join(shard, "shard");
            }
            self.state.history.iter().for_each(|history| history.end());
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

/// Starts the front, and the tasks that run until the hub closes.
fn spawn_tasks(state: &HubState, listener: TcpListener) {
    let lifecycle = &state.lifecycle;
    let closing = lifecycle.closing();
    let (feeds, ingest) = (&state.feeds, &state.ingest);
    lifecycle.spawn(watch_feeds(feeds.clone(), state.shard_wakers.clone(), closing.clone()));
    lifecycle.spawn(tell_time(ingest.clone(), state.minutes_open.clone(), closing.clone()));
    for (id, timeline) in state.timelines.iter().enumerate() {
        let (lister, timeline) = (state.topic_lister.clone(), timeline.clone());
        lifecycle.spawn(sample_rates(lister, id, timeline, closing.clone()));
    }
    if let Some(feed) = feeds.test_feed() {
        lifecycle.spawn(test_feed::run(ingest.clone(), feed, closing.clone()));
    }
    lifecycle.spawn(keys::follow(state.keys.clone(), state.views.clone(), closing.clone()));
    if let Some(tls) = &state.tls {
        lifecycle.spawn(tls::follow(tls.clone(), closing.clone()));
    }
    let (tls, config) = (state.tls.clone(), state.config.clone());
    lifecycle.spawn(http::serve(listener, state.front_state(), tls, config));
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

/// Files the process may open, after asking for as many as the system grants.
fn open_files_max() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024)
}

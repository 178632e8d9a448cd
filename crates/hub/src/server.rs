//! Starts and stops the hub.

mod periodic;
mod recovered;
mod runtimes;
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
use periodic::{sample_rates, send_clock, watch_feeds};
use recovered::{Recovered, RecoveredHistory};
use runtimes::Runtimes;
use state::{HubState, StateParts};
use timelines::ServingThreads;

/// Why the hub cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The hub cannot listen on its address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address to listen on.
        address: SocketAddr,
        /// Cause of the failure.
        source: io::Error,
    },
    /// The keys file cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The data folder, which holds the log on disk, cannot be used.
    #[error("cannot use the data folder {folder}")]
    Data {
        /// Path of the folder.
        folder: String,
        /// Cause of the failure.
        source: OpenError,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refuses to create threads or event queues.
    #[error("cannot start")]
    System(#[from] io::Error),
}

/// A running hub. It runs until [`Hub::shutdown`].
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    state: HubState,
    runtimes: Runtimes,
    router: JoinHandle<()>,
    /// The thread that reads the log on disk, if there is one.
    history_reader: Option<JoinHandle<()>>,
    threads: ServingThreads,
}

impl Hub {
    /// Starts a hub. It runs on threads of its own, and uses the current tokio runtime only to
    /// start and to stop.
    ///
    /// # Errors
    /// Fails if a setting is wrong, or the address, the keys file, the certificate or the data
    /// folder cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, SessionProtocol::Tickwire).await
    }

    /// Starts a hub that sends back every message, for conformance tests of its WebSocket server.
    /// Only the answers differ from a normal hub.
    ///
    /// # Errors
    /// Fails like [`Hub::start`].
    #[doc(hidden)]
    pub async fn start_echo(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, SessionProtocol::Echo).await
    }

    async fn start_with(mut config: Config, protocol: SessionProtocol) -> Result<Self, StartError> {
        config.check()?;
        fit_files(&mut config)?;
        let address = config.listen;
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let listener = listener.into_std().map_err(listen)?; // the front has a runtime of its own
        let address = listener.local_addr().map_err(listen)?;
        let feeds = config.feeds()?;
        let Recovered { sequencer, bars, durable, history, last_before, mut archive } =
            Recovered::new(&config, &feeds).await?;
        let disk_index = archive.as_mut().map(|archive| archive.disk_index(clock::wall()));
        let RecoveredHistory { epoch, log, topics, status } = history;
        let make = {
            let config = config.clone();
            let archive = archive.as_ref().map(Archive::reader);
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
        let mut threads = ServingThreads::default();
        for (index, start) in starts.into_iter().enumerate() {
            threads.start(index, start, &state)?;
        }
        let history_reader = match (archive, requests, history) {
            (Some(archive), Some(requests), Some(history)) => {
                Some(history_reader::spawn(archive, requests, history)?)
            }
            _ => None,
        };
        let router = router::spawn(sequencer, bars, durable, state.router_context(), messages)?;
        let runtimes = Runtimes::new()?;
        spawn_tasks(&state, &runtimes, listener)?;
        tracing::info!(
            %address,
            epoch = &*state.epoch,
            shards = state.config.shard_count(),
            sessions_max = state.config.sessions_max,
            tls = state.tls.is_some(),
            "hub is up"
        );
        Ok(Self { address, state, runtimes, router, history_reader, threads })
    }

    /// Returns the address that the hub listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the hub's page. The scheme is `https` if the hub has a certificate,
    /// although it also accepts plain HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Completes when an administrator has requested a drain (`POST /api/drain`). The program
    /// should call [`Hub::shutdown`] then.
    pub async fn drain_requested(&self) {
        self.state.lifecycle.drain_started().await;
    }

    /// Applies the keys file and the files of the certificate as they are now. The hub follows them
    /// in any case, but with a delay. A file with an error changes nothing and is logged.
    pub async fn reload(&self) {
        let keys = self.state.keys.clone();
        let tls = self.state.tls.clone();
        let reloading = tokio::task::spawn_blocking(move || {
            keys.reload_file();
            tls.iter().for_each(|tls| tls.reload());
        });
        if reloading.await.is_err() {
            tracing::error!("reloading failed");
        }
    }

    /// Shuts the hub down in order.
    ///
    /// It admits no new sessions, and closes the open ones one after the other, after sending what
    /// each has pending. Then it acknowledges what publishers have sent, and closes them. Takes at
    /// most `drain_duration` plus `slow_grace` plus about four seconds.
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
        let _ended = self.state.ingest.send(Ingest::End).await; // fails if the router has ended
        let threads = tokio::task::spawn_blocking(move || {
            join(self.router, "router");
            self.state.lifecycle.stop();
            let ServingThreads { shards, delayers } = self.threads;
            for delayer in delayers {
                delayer.thread().unpark();
                join(delayer, "delayer");
            }
            for shard in shards {
                join(shard, "shard");
            }
            self.state.history.iter().for_each(|history| history.end());
            if let Some(history_reader) = self.history_reader {
                join(history_reader, "log-reader");
            }
        });
        if threads.await.is_err() {
            tracing::error!("stopping failed");
        }
        drop(self.runtimes);
        tracing::info!("stopped");
    }
}

/// Starts the front, and the tasks that run until the hub closes.
fn spawn_tasks(
    state: &HubState,
    runtimes: &Runtimes,
    listener: std::net::TcpListener,
) -> io::Result<()> {
    let lifecycle = &state.lifecycle;
    let closing = lifecycle.closing();
    let feeds = &state.feeds;
    let ingest = &state.ingest;
    // What ticks depend on runs beside the publishers, everything else beside the front.
    let publishers = runtimes.publishers();
    let http = runtimes.http();
    let watch = watch_feeds(feeds.clone(), state.shard_wakers.clone(), closing.clone());
    lifecycle.spawn_on(watch, publishers);
    let clock = send_clock(ingest.clone(), state.minutes_open.clone(), closing.clone());
    lifecycle.spawn_on(clock, publishers);
    if let Some(feed) = feeds.test_feed() {
        lifecycle.spawn_on(test_feed::run(ingest.clone(), feed, closing.clone()), publishers);
    }
    for (id, timeline) in state.timelines.iter().enumerate() {
        let lister = state.topic_lister.clone();
        lifecycle.spawn_on(sample_rates(lister, id, timeline.clone(), closing.clone()), http);
    }
    let keys = keys::reload_on_change(state.keys.clone(), state.views.clone(), closing.clone());
    lifecycle.spawn_on(keys, http);
    if let Some(tls) = &state.tls {
        lifecycle.spawn_on(tls::reload_on_change(tls.clone(), closing.clone()), http);
    }
    let listener = {
        let _within = http.enter(); // the runtime that the listener belongs to
        TcpListener::from_std(listener)?
    };
    let front = state.front_state(runtimes);
    lifecycle.spawn_on(http::serve(listener, front, state.tls.clone(), state.config.clone()), http);
    Ok(())
}

/// Extra time for sessions to end on a busy machine.
const SLACK: Duration = Duration::from_secs(1);
/// Maximum time for publishers and requests to end at shutdown.
const PUBLISHERS_TIME_MAX: Duration = Duration::from_secs(2);

fn join(thread: JoinHandle<()>, name: &str) {
    if thread.join().is_err() {
        tracing::error!(name, "a thread has panicked");
    }
}

/// Raises the limit of open files as far as the system allows. Lowers the limits on connections
/// that it cannot hold, and logs that.
fn fit_files(config: &mut Config) -> Result<(), ConfigError> {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
    let before = config.clone();
    config.fit_files(files)?;
    for (name, wanted, lowered) in [
        ("sessions_max", before.sessions_max, config.sessions_max),
        ("http_connections_max", before.http_connections_max, config.http_connections_max),
    ] {
        if lowered < wanted {
            tracing::warn!(
                "{name} is {lowered} instead of {wanted}: the process may open {files} files; \
                 raise that (ulimit -n), or set {name} to at most {lowered}"
            );
        }
    }
    Ok(())
}

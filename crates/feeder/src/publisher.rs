//! Publishing to a hub so that it takes every tick once.
//!
//! Data messages are numbered: message k after the hub's `publishing last=N` is number N + k. A
//! message is kept until the hub acknowledges its number. Every message ends with a mark: which source
//! it is, and how many of its ticks have been published. After a broken connection, or in a later run
//! with the same publisher id and the same source, the hub says the last mark it has, and publishing
//! goes on from there: with what is kept, or with the source brought back to it.

mod connection;
mod mark;
mod position;
mod session;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{Feed, HubUrl, PublishRequest};
use tokio_util::sync::CancellationToken;

use crate::schedule::Schedule;
use crate::tick_stream::TickStream;
use crate::{Authorities, Counts, FeedError, Pace, Progress, Source};
pub(crate) use connection::epoch;
use session::Publisher;

/// Who publishes, where, and with which limits.
#[derive(Clone)]
pub struct PublisherConfig {
    /// The hub.
    pub hub: HubUrl,
    /// The feed the ticks belong to.
    pub feed: Feed,
    /// The hub's publish token, if it asks for one.
    pub token: Option<String>,
    /// Who publishes: a new session of the same id replaces the older one.
    pub publisher: PublisherId,
    /// Authorities that may vouch for a hub at `wss://`, beside the system's.
    pub authorities: Option<Authorities>,
    /// Most ticks in one message.
    pub message_ticks_max: usize,
    /// A message this long, in bytes, is not made longer. One more tick of at most 4 KiB and a mark
    /// still fit the 65,535 bytes a message may have.
    pub message_bytes_max: usize,
    /// Most messages sent and not acknowledged; beyond it the source waits.
    pub unacked_messages_max: usize,
    /// Most bytes sent and not acknowledged; beyond it the source waits.
    pub unacked_bytes_max: usize,
    /// A tick that has been due for longer when its turn comes is dropped, and the hub is told how
    /// many were; `None`: the source waits, and nothing is dropped. Without a schedule
    /// ([`Speed::Max`](crate::Speed::Max)) nothing comes late.
    pub behind_max: Option<Duration>,
    /// For connecting, and for `publishing` after it.
    pub connect_timeout: Duration,
    /// A hub that does not acknowledge for so long is given up, and connected to again.
    pub ack_timeout: Duration,
    /// Longest wait before connecting again.
    pub backoff_max: Duration,
    /// When cancelled: how long to wait for what is not acknowledged yet.
    pub flush_timeout: Duration,
}

impl PublisherConfig {
    /// A publisher of the default feed with an id nobody else has.
    #[must_use]
    pub fn new(hub: HubUrl) -> Self {
        Self {
            hub,
            feed: Feed::default(),
            token: None,
            publisher: PublisherId::random(),
            authorities: None,
            message_ticks_max: 500,
            message_bytes_max: 48 * 1024,
            unacked_messages_max: 1_024,
            unacked_bytes_max: 16 * 1024 * 1024,
            behind_max: None,
            connect_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(10),
            backoff_max: Duration::from_secs(5),
            flush_timeout: Duration::from_secs(3),
        }
    }
}

/// Without the token.
impl fmt::Debug for PublisherConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hub, feed, publisher, .. } = self;
        let mut shown = f.debug_struct("PublisherConfig");
        shown.field("hub", hub).field("feed", feed).field("publisher", publisher);
        shown.finish_non_exhaustive()
    }
}

/// The id of a publisher: 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherId(String);

/// Why a text is no publisher id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} bytes: expected 1 to 64")]
pub struct PublisherIdError {
    given: usize,
}

impl PublisherId {
    /// An id nobody else has.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("feed-{:016x}", rand::random::<u64>()))
    }

    fn command(&self, demand: bool) -> PublishRequest {
        PublishRequest { publisher: self.0.clone(), demand }
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for PublisherId {
    type Err = PublisherIdError;

    fn from_str(text: &str) -> Result<Self, PublisherIdError> {
        let sensible = (1..=64).contains(&text.len());
        sensible.then(|| Self(text.to_owned())).ok_or(PublisherIdError { given: text.len() })
    }
}

/// Publishes a source at its pace until it ends and all of it is acknowledged, or until `cancel` is
/// cancelled: then nothing more is taken, and what is not acknowledged gets
/// [`PublisherConfig::flush_timeout`]. Connections that break are made again, for ever.
///
/// # Errors
/// If the source cannot go on (what came before is published), or the hub does not let it publish.
pub async fn publish<S: Source>(
    source: S,
    pace: Pace,
    config: PublisherConfig,
    cancel: CancellationToken,
    progress: Arc<Progress>,
) -> Result<Counts, FeedError> {
    publish_stream(Schedule::new(source, pace), config, cancel, progress).await
}

/// Publishes what a stream has.
pub(crate) async fn publish_stream<S: TickStream>(
    stream: S,
    config: PublisherConfig,
    cancel: CancellationToken,
    progress: Arc<Progress>,
) -> Result<Counts, FeedError> {
    let flush_timeout = config.flush_timeout;
    let out_of_time = async {
        cancel.cancelled().await;
        tokio::time::sleep(flush_timeout).await;
    };
    let publisher = Publisher::new(stream, config, cancel.clone(), Arc::clone(&progress));
    tokio::select! {
        result = Box::pin(publisher.run()) => result?,
        () = out_of_time => tracing::warn!("stopped before everything was acknowledged"),
    }
    Ok(progress.counts())
}

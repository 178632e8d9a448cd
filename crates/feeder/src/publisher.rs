//! Publishes to a hub so that it receives every tick exactly once.
//!
//! Data messages are numbered: message k after the hub's `publishing last=N` has the number N + k.
//! A message is kept until the hub acknowledges its number. Every message ends with a mark: the
//! identity of the source and the number of its ticks published so far. After a broken connection,
//! or in a later run with the same publisher id and source, the hub reports its last mark.
//! Publishing then resumes from there, with the kept messages or by rewinding the source.

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

/// Settings of a publisher: hub, feed, identity and limits.
#[derive(Clone)]
pub struct PublisherConfig {
    /// Address of the hub.
    pub hub: HubUrl,
    /// The feed of the hub to publish to.
    pub feed: Feed,
    /// Key (`ID:SECRET`) or publish token, if the hub requires one.
    pub token: Option<String>,
    /// Identity of the publisher. A new session with the same id replaces the older one.
    pub publisher: PublisherId,
    /// Additional certificate authorities for a hub with TLS.
    pub authorities: Option<Authorities>,
    /// Maximum number of ticks in one message.
    pub message_ticks_max: usize,
    /// A message that has reached this length, in bytes, is complete. The last tick (at most 4 KiB)
    /// and the mark may exceed the length; the whole message must fit in 65,535 bytes.
    pub message_bytes_max: usize,
    /// Maximum number of unacknowledged messages. At the limit, no ticks are taken from the source
    /// until the hub acknowledges some.
    pub unacked_messages_max: usize,
    /// Maximum size of the unacknowledged messages, in bytes. At the limit, no ticks are taken from
    /// the source until the hub acknowledges some.
    pub unacked_bytes_max: usize,
    /// How long a tick may be overdue. Ticks that are overdue by more are dropped, and their number
    /// is reported to the hub. With `None` no tick is dropped, however late. Without a schedule
    /// ([`Speed::Max`](crate::Speed::Max)) no tick is overdue.
    pub behind_max: Option<Duration>,
    /// Time limit for connecting and receiving the hub's first answer, together.
    pub connect_timeout: Duration,
    /// Time without an acknowledgement after which the connection is replaced.
    pub ack_timeout: Duration,
    /// Longest wait before connecting again.
    pub backoff_max: Duration,
    /// Time to wait for outstanding acknowledgements after a cancellation.
    pub flush_timeout: Duration,
}

impl PublisherConfig {
    /// Creates settings for the default feed with a random publisher id.
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

/// Shows the hub, the feed and the publisher id, but not the token.
impl fmt::Debug for PublisherConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hub, feed, publisher, .. } = self;
        let mut shown = f.debug_struct("PublisherConfig");
        shown.field("hub", hub).field("feed", feed).field("publisher", publisher);
        shown.finish_non_exhaustive()
    }
}

/// The id of a publisher, 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherId(String);

/// Error for a text that is not a publisher id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} bytes: expected 1 to 64")]
pub struct PublisherIdError {
    given: usize,
}

impl PublisherId {
    /// Returns a random id.
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

/// Publishes a source at a pace until it ends and every tick is acknowledged. Reconnects without
/// limit. When `cancel` is cancelled, no more ticks are taken, and outstanding acknowledgements are
/// awaited for [`PublisherConfig::flush_timeout`].
///
/// # Errors
/// Fails if the source fails (earlier ticks have been published), or the hub refuses the publisher.
pub async fn publish<S: Source>(
    source: S,
    pace: Pace,
    config: PublisherConfig,
    cancel: CancellationToken,
    progress: Arc<Progress>,
) -> Result<Counts, FeedError> {
    publish_stream(Schedule::new(source, pace), config, cancel, progress).await
}

/// Publishes a stream of ticks; see [`publish`].
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

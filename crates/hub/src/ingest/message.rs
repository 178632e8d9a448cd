//! Messages from publishers to the router, and the progress that it reports back.

use tickwire_protocol::Tick;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::fanout::{FeedId, Opened, PublisherToken};
use crate::ingest::publisher_id::PublisherId;

/// A message to the router. The queue is bounded in messages, and in ticks by the permits that the
/// messages carry.
#[derive(Debug)]
pub(crate) enum Ingest {
    /// A publisher starts acknowledged publishing. `opened` is dropped without an answer if there
    /// are too many publishers.
    Open {
        id: PublisherId,
        /// The [owner](crate::access::keys::Grant::owner) that the session's key stands for.
        owner: Option<String>,
        progress: watch::Sender<Progress>,
        opened: oneshot::Sender<Result<Opened, ForeignPublisher>>,
    },
    /// Ticks of one feed.
    Ticks {
        feed: FeedId,
        ticks: Vec<Tick>,
        /// Ticks that the publisher's source had to drop before these.
        lost: u64,
        /// The number of the message, if the publisher is acknowledged.
        numbered: Option<MessageNumber>,
        /// Where to report refused ticks, if the publisher is a session without acknowledgements.
        progress: Option<watch::Sender<Progress>>,
        /// Receives the number of refused ticks, once the accepted ones are numbered.
        done: Option<oneshot::Sender<usize>>,
        permit: OwnedSemaphorePermit,
    },
    /// The session of an acknowledged publisher has ended.
    Close { id: PublisherId, token: PublisherToken },
    /// A publisher asks that no bars are made of a feed.
    NoBars { feed: FeedId },
    /// Time has passed: minutes may have ended whose bars are still to be made.
    Clock,
    /// The hub stops. All messages before this one are numbered first.
    End,
}

/// The id of the publisher belongs to another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForeignPublisher;

/// The number of a message of an acknowledged publisher.
#[derive(Debug)]
pub(crate) struct MessageNumber {
    pub(crate) id: PublisherId,
    pub(crate) token: PublisherToken,
    pub(crate) number: u64,
    /// The publisher's place in its source after the message, in a form that only the publisher
    /// understands.
    pub(crate) mark: Option<String>,
}

/// The router's progress with the messages of a publisher's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Number of the last message that the router has taken.
    pub(crate) up_to: u64,
    /// Ticks refused because of the limit of topics.
    pub(crate) refused: u64,
    /// Whether a newer session of the same publisher has replaced this one.
    pub(crate) fenced: bool,
}

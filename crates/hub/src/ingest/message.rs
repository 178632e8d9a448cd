//! Messages from publishers to the router, and the progress it reports.

use tickwire_protocol::Tick;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::fanout::{FeedId, Opened, PublisherToken};
use crate::ingest::publisher_id::PublisherId;

/// What publishers hand to the router. The queue is bounded in messages, and in ticks by the permit
/// each message carries.
#[derive(Debug)]
pub(crate) enum Ingest {
    /// A publisher begins acknowledged publishing. No answer: too many publishers.
    Open { id: PublisherId, progress: watch::Sender<Progress>, opened: oneshot::Sender<Opened> },
    /// Ticks of one feed.
    Ticks {
        feed: FeedId,
        ticks: Vec<Tick>,
        /// Ticks that the publisher's source had to drop before them.
        lost: u64,
        /// Present when the publisher is acknowledged.
        numbered: Option<MessageNumber>,
        /// Present when it is a session that is not acknowledged: where to tell of refused ticks.
        progress: Option<watch::Sender<Progress>>,
        /// Told how many of the ticks were refused, once the others are numbered.
        done: Option<oneshot::Sender<usize>>,
        permit: OwnedSemaphorePermit,
    },
    /// A publisher's session has ended.
    Close { id: PublisherId, token: PublisherToken },
    /// A publisher says that no bars are to be made of a feed.
    NoBars { feed: FeedId },
    /// Time has passed, so that minutes may be over of which bars are made.
    Clock,
    /// Everything before it is numbered; the router may end.
    End,
}

/// Which message of which publisher.
#[derive(Debug)]
pub(crate) struct MessageNumber {
    pub(crate) id: PublisherId,
    pub(crate) token: PublisherToken,
    pub(crate) number: u64,
    pub(crate) mark: Option<String>,
}

/// How far a publisher's session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Number of the last message taken.
    pub(crate) up_to: u64,
    /// Ticks refused because of the limit of topics.
    pub(crate) refused: u64,
    /// A newer session of the same publisher has taken over.
    pub(crate) fenced: bool,
}

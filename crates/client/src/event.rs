//! What a client tells its application.

use std::fmt;
use std::time::Duration;

use tickwire_protocol::{
    Channel, DecodeError, Delivery, ErrorCode, Feed, FeedState, PerChannel, ResumeOutcome, Seq,
    SubscriptionSet, Symbol, Tick, UnixNanos,
};

use crate::{ConnectError, Position};

/// A symbol of a channel; the feed is that of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// Which instrument.
    pub symbol: Symbol,
    /// Which kind of tick.
    pub channel: Channel,
}

impl Topic {
    /// The topic of a tick.
    #[must_use]
    pub const fn of(tick: &Tick) -> Self {
        Self { symbol: tick.symbol, channel: tick.channel() }
    }
}

impl fmt::Display for Topic {
    /// `AAPL trades`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.symbol, self.channel)
    }
}

/// What a [`Client`](crate::Client) tells its application, in the order in which it happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A tick.
    Tick {
        /// The tick.
        tick: Tick,
        /// Whether this is a last value sent at the start of a subscription, not news.
        snapshot: bool,
    },
    /// Ticks of a topic did not come and will not: numbers `from` to `to`, both included. Told once,
    /// before what comes next of that topic; live, where names resume, and where a catch-up was slower
    /// than the hub's history is long. Where a snapshot shows the gap, its tick is number `to`. What
    /// delivery `latest` leaves out is no gap.
    Gap {
        /// Of which topic.
        topic: Topic,
        /// First number that is missing; `None`: nobody knows, since none has come before.
        from: Option<Seq>,
        /// Last number that is missing; `None`: nobody knows, as in another epoch.
        to: Option<Seq>,
    },
    /// Everything that is delivered [`Delivery::Every`] has come up to here: what an application keeps
    /// that is to continue here after its own restart, with [`Client::resume`](crate::Client::resume). Comes behind
    /// the ticks of each message, once the first subscribe is answered, and now and then while nothing
    /// ticks; never before a gap that lies before it. After [`Event::Lagged`] it comes again when every
    /// name that lagged is delivered every again, or has left.
    Position(Position),
    /// The session lagged, and the hub says that these ticks of a topic will not come; once per topic.
    /// All names of the connection are delivered [`Delivery::Latest`] from here on. After
    /// [`Client::subscribe`](crate::Client::subscribe) they are delivered every again; so they are after a reconnect.
    Lagged {
        /// Of which topic.
        topic: Topic,
        /// First number that will not come; `None`: nobody knows.
        from: Option<Seq>,
        /// Last number that will not come; `None`: nobody knows.
        to: Option<Seq>,
    },
    /// The hub sent a live tick that it had sent before, or an older one. The tick is not
    /// delivered; this is a fault of the hub.
    OutOfOrder {
        /// Of which topic.
        topic: Topic,
        /// The number that came.
        seq: Seq,
        /// The number that should have come; in delivery `latest`, the smallest that may.
        expected: Seq,
    },
    /// The hub has answered; also after every reconnect.
    Connected {
        /// The life of the hub.
        epoch: String,
        /// Whether it is another one than before: all topics are numbered anew, and how many ticks
        /// were missed nobody knows. False at the first connect.
        anew: bool,
    },
    /// The connection is lost, or an attempt to get it back failed.
    Disconnected {
        /// Why.
        reason: Disconnect,
        /// When the next attempt starts; `None` if reconnecting is off or cannot help, and the stream
        /// ends.
        retry_in: Option<Duration>,
    },
    /// The hub has done what a subscribe or unsubscribe asked for.
    Subscribed {
        /// What [`Client::subscribe`](crate::Client::subscribe) returned; `None` when the client asked by itself after
        /// a reconnect.
        id: Option<u64>,
        /// The names the command changed.
        names: Box<SubscriptionSet>,
        /// How many names the session has now, by channel.
        total: PerChannel<u64>,
        /// How the names are delivered that a subscribe changed.
        delivery: Delivery,
        /// How the names continue that resumed, after a reconnect or by
        /// [`Client::resume`](crate::Client::resume). What is missing is told by [`Event::Gap`]s behind this.
        resumed: Option<ResumeOutcome>,
        /// Of a replay, the time at which it really begins: later than asked for where the hub's history
        /// is shorter.
        from: Option<UnixNanos>,
    },
    /// How the feed is; after every connect and on change.
    Feed {
        /// Which feed.
        feed: Feed,
        /// How it is.
        state: FeedState,
        /// Since when.
        since: UnixNanos,
        /// Ticks that its publishers had to drop at the source, since the hub was started.
        lost: u64,
    },
    /// The hub refused something, or is about to end the session.
    Error {
        /// What kind of fault.
        code: ErrorCode,
        /// What exactly was wrong, for people.
        detail: Option<String>,
        /// The command it answers: what [`Client::subscribe`](crate::Client::subscribe) returned. Its
        /// names are not asked for again.
        id: Option<u64>,
    },
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The hub closed it.
    #[error("closed by the hub{}", close_text(*.code, .reason))]
    Closed {
        /// WebSocket close code; `None` if the hub gave none.
        code: Option<u16>,
        /// The hub's words, perhaps empty.
        reason: String,
    },
    /// It broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Nothing was heard for 2.5 heartbeats.
    #[error("nothing heard from the hub for {after:?}")]
    Silent {
        /// How long.
        after: Duration,
    },
    /// The hub sent something that cannot be understood.
    #[error("message from the hub not understood: {0}")]
    Malformed(DecodeError),
    /// An attempt to get it back failed.
    #[error("{}", chain(.0))]
    Refused(ConnectError),
}

impl Disconnect {
    /// Whether trying again with the same settings cannot help: the hub wants another key, or a newer
    /// session of the key has the place, and would have to give it up again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Closed { reason, .. } => {
                let reason = reason.as_str();
                matches!(reason, "auth_failed" | "auth_timeout" | "not_allowed" | "replaced")
            }
            Self::Refused(error) => error.is_final(),
            Self::Lost(_) | Self::Silent { .. } | Self::Malformed(_) => false,
        }
    }
}

fn close_text(code: Option<u16>, reason: &str) -> String {
    match (code, reason) {
        (None, _) => String::new(),
        (Some(code), "") => format!(" ({code})"),
        (Some(code), reason) => format!(" ({code} {reason})"),
    }
}

/// An event has no `source()` to walk for most readers, so the cause stands in the text.
fn chain(error: &ConnectError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

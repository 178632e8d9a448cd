//! Events of a client.

use std::fmt;
use std::time::Duration;

use tickwire_protocol::{
    Channel, DecodeError, Delivery, ErrorCode, Feed, FeedState, PerChannel, Printable,
    ResumeOutcome, Seq, SubscriptionSet, Symbol, Tick, UnixNanos,
};

use crate::{ConnectError, Position};

/// A topic: one symbol in one channel of the client's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// The symbol of the instrument.
    pub symbol: Symbol,
    /// The kind of ticks.
    pub channel: Channel,
}

impl Topic {
    /// Returns the topic of a tick.
    #[must_use]
    pub const fn of(tick: &Tick) -> Self {
        Self { symbol: tick.symbol, channel: tick.channel() }
    }
}

impl fmt::Display for Topic {
    /// Writes symbol and channel: `AAPL trades`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.symbol, self.channel)
    }
}

/// An event of a [`Client`](crate::Client). Events are in the order in which they happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A tick of a subscribed topic.
    Tick {
        /// The tick, with its sequence number.
        tick: Tick,
        /// Whether the tick is a last value from a snapshot, not a new tick.
        snapshot: bool,
    },
    /// Ticks of a topic were missed and will not be delivered: the numbers `from` to `to`, both
    /// included.
    ///
    /// A gap is reported once, before the next tick of its topic. Gaps occur among live ticks,
    /// after a resume, and in a catch-up that is so slow that its ticks leave the hub's history
    /// first. If a snapshot reveals the gap, `to` is the number of the snapshot's tick, which is
    /// delivered only as a snapshot. Ticks that delivery `latest` leaves out are no gap.
    Gap {
        /// The topic concerned.
        topic: Topic,
        /// Number of the first missing tick; `None` if it is unknown, since no tick was received
        /// before.
        from: Option<Seq>,
        /// Number of the last missing tick; `None` if it is unknown, as after a change of the
        /// epoch.
        to: Option<Seq>,
    },
    /// All ticks of the names with [`Delivery::Every`] have been delivered up to this position.
    ///
    /// An application that stores the position can continue after it in its next run, with
    /// [`Client::resume`](crate::Client::resume). Positions follow the ticks of each message once
    /// the first subscribe is answered, and are reported from time to time while no ticks arrive.
    /// Gaps before a position are reported before it. After [`Event::Lagged`] there are no
    /// positions until all names that lagged are delivered `every` again or were unsubscribed.
    Position(Position),
    /// The session lagged: the hub has dropped these ticks of a topic. Reported once for each
    /// topic.
    ///
    /// From here on all names of the connection are delivered [`Delivery::Latest`].
    /// [`Client::subscribe`](crate::Client::subscribe) makes them `every` again, and so does a
    /// reconnect.
    Lagged {
        /// The topic concerned.
        topic: Topic,
        /// Number of the first dropped tick; `None` if it is unknown.
        from: Option<Seq>,
        /// Number of the last dropped tick; `None` if it is unknown.
        to: Option<Seq>,
    },
    /// The hub sent a live tick again, or an older one, which is a bug of the hub. The tick is not
    /// delivered.
    OutOfOrder {
        /// The topic concerned.
        topic: Topic,
        /// Sequence number of the tick.
        seq: Seq,
        /// The expected number; with delivery `latest`, the smallest that is allowed.
        expected: Seq,
    },
    /// The hub has accepted the connection. Also reported after every reconnect.
    Connected {
        /// The epoch of the hub, within which sequence numbers are valid.
        epoch: String,
        /// Whether the epoch differs from the one before: the hub lost its history, all topics are
        /// numbered from the start, and the number of missed ticks is unknown. False for the first
        /// connection.
        new_epoch: bool,
    },
    /// The connection was lost, or an attempt to reconnect failed.
    Disconnected {
        /// Why the connection was lost, or the attempt failed.
        reason: Disconnect,
        /// Time until the next attempt; `None` if reconnecting is off or cannot help. The stream
        /// ends then.
        retry_in: Option<Duration>,
    },
    /// The hub has carried out a subscribe or an unsubscribe.
    Subscribed {
        /// The number that [`Client::subscribe`](crate::Client::subscribe) returned; `None` if the
        /// client subscribed by itself after a reconnect.
        id: Option<u64>,
        /// The names that the command changed.
        names: Box<SubscriptionSet>,
        /// Number of names of the session in each channel.
        total: PerChannel<u64>,
        /// How the names of a subscribe are delivered.
        delivery: Delivery,
        /// For names that were resumed, after a reconnect or by
        /// [`Client::resume`](crate::Client::resume): which of the missed ticks follow.
        /// [`Event::Gap`]s after this event report the others.
        resumed: Option<ResumeOutcome>,
        /// For a replay, the time at which it starts, which is later than requested if the hub's
        /// history is too short.
        from: Option<UnixNanos>,
    },
    /// The state of the feed. Reported after every connect and when it changes.
    Feed {
        /// Name of the feed.
        feed: Feed,
        /// The state of the feed.
        state: FeedState,
        /// Since when it has this state.
        since: UnixNanos,
        /// Number of ticks that its publishers have dropped at the source since the hub was
        /// started.
        lost: u64,
    },
    /// The session is on a view that has another name than its feed, or a delay. Reported before
    /// the [`Event::Feed`] that the hub sends after connecting, and when it changes.
    View {
        /// Name of the view.
        view: String,
        /// How much later than on the feed its ticks arrive.
        delay: Duration,
    },
    /// The hub rejected a command, or is about to end the session.
    Error {
        /// The kind of error.
        code: ErrorCode,
        /// The hub's explanation, for people.
        detail: Option<String>,
        /// The number that [`Client::subscribe`](crate::Client::subscribe) returned, if the error
        /// answers that command. The client does not subscribe to its names again.
        id: Option<u64>,
    },
}

/// Why a connection ended, or an attempt to reconnect failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The hub closed the connection. The text of this error escapes the reason ([`Printable`]).
    #[error("closed by the hub{}", close_text(*.code, .reason))]
    Closed {
        /// The WebSocket close code, if there is one.
        code: Option<u16>,
        /// The reason of the close frame; may be empty.
        reason: String,
    },
    /// The connection broke.
    #[error("connection lost: {}", Printable(.0))]
    Lost(String),
    /// The hub was silent for 2.5 times the heartbeat interval.
    #[error("no message from the hub for {after:?}")]
    Silent {
        /// How long the hub was silent.
        after: Duration,
    },
    /// The hub sent a message that cannot be decoded.
    #[error("message from the hub not understood: {0}")]
    Malformed(DecodeError),
    /// An attempt to reconnect failed.
    #[error("{}", with_source(.0))]
    Refused(ConnectError),
}

impl Disconnect {
    /// Returns whether another attempt with the same settings cannot help: the hub requires another
    /// key, or a newer session has replaced this one and would be replaced in turn.
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
        (Some(code), reason) => format!(" ({code} {})", Printable(reason)),
    }
}

/// Formats an error with its source: applications print events without walking their sources.
fn with_source(error: &ConnectError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {}", Printable(&source.to_string())),
        None => error.to_string(),
    }
}

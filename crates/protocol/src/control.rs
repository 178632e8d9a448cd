//! Control elements: everything in a message that is not a tick.
//!
//! Source: `docs/protocol/subscriber.md`, section "Control elements", and
//! `docs/protocol/publisher.md`.

mod wire;

use crate::msgpack::array;
use crate::{
    Channel, Delivery, DeliveryGroup, Encoding, ErrorCode, Feed, FeedState, OnLag, PerChannel,
    ResumeOutcome, SubscriptionSet, Symbol, UnixNanos, json,
};

/// A control element. Most are sent by the hub.
///
/// On the wire an element is a map whose key `T` is its type. An element stands alone in its
/// message, except for [`Control::Position`] and [`Control::Lost`], which end a message of ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// `success` with the message `connected`: the first message of every connection.
    Connected {
        /// The epoch of the hub: sequence numbers are valid within it. `None` from servers that
        /// have no sequence numbers.
        epoch: Option<String>,
    },
    /// `success` with the message `authenticated`: the credentials were accepted.
    Authenticated,
    /// `subscription`: the answer to subscribe, unsubscribe and list.
    Subscription {
        /// The `id` of the command.
        id: Option<u64>,
        /// The names that the command changed; for `list`, all names of the session.
        names: Box<SubscriptionSet>,
        /// Number of names of the session in each channel after the command.
        total: PerChannel<u64>,
        /// How the names of a subscribe are delivered.
        delivery: Delivery,
        /// What happens to the session when it lags.
        on_lag: OnLag,
        /// For `list`: the names that are not delivered [`Delivery::Every`], grouped by delivery.
        modes: Vec<DeliveryGroup>,
        /// The position of the session in the hub, if it requested positions.
        pos: Option<u64>,
        /// For a subscribe with `resume`: which of the missed ticks follow.
        resumed: Option<ResumeOutcome>,
        /// For a replay: the time at which it starts, which is later than requested if the history
        /// is too short.
        from: Option<UnixNanos>,
    },
    /// `p`: the session has received all ticks of its subscriptions up to and including this
    /// position.
    Position {
        /// Position in the hub: every tick has one, counted over all topics.
        pos: u64,
    },
    /// `gap`: the session will not receive these ticks of a topic.
    Gap {
        /// Channel of the topic.
        channel: Channel,
        /// Symbol of the topic.
        symbol: Symbol,
        /// Sequence number of the first missing tick; `None` if it is the one after the last tick
        /// that the session received.
        from: Option<u64>,
        /// Sequence number of the last missing tick, at least `from`; `None` if the number of
        /// missing ticks is unknown.
        to: Option<u64>,
        /// Whether the ticks were dropped because the session lagged. Its subscriptions are then
        /// delivered as [`Delivery::Latest`] from here on.
        lagged: bool,
    },
    /// `snapshot`: the ticks up to [`Control::Live`] are the last values of the topics, not new
    /// ones.
    Snapshot {
        /// Number of ticks in the snapshot.
        ticks: u64,
    },
    /// `live`: the snapshot is complete.
    Live,
    /// `error`: a message was rejected, or the session is about to end.
    Error {
        /// The kind of error.
        code: ErrorCode,
        /// What exactly is wrong, for people.
        detail: Option<String>,
        /// The `id` of the command that was rejected, if it had one.
        id: Option<u64>,
    },
    /// `feed`: the state of a feed. It is sent after connecting and whenever it changes.
    Feed {
        /// Name of the feed.
        feed: Feed,
        /// State of the feed.
        state: FeedState,
        /// When it entered that state.
        since: UnixNanos,
        /// Number of ticks that the feed's publishers lost at their source since the hub started.
        lost: u64,
        /// Name of the session's view, if it differs from the name of the feed.
        view: Option<String>,
        /// Delay of the session's view, in milliseconds; 0 for a live view.
        delay_ms: u64,
    },
    /// `heartbeat`: nothing else was sent for some time.
    Heartbeat {
        /// The time of the hub.
        time: UnixNanos,
        /// The position of the session, if it requested positions and no ticks are pending.
        pos: Option<u64>,
    },
    /// `publishing`: the answer to the first message of a publisher.
    Publishing {
        /// Number of the last data message that the hub received from this publisher; 0 for none.
        last: u64,
        /// The mark of the last message that carried one: the place in its source from which the
        /// publisher continues.
        mark: Option<String>,
    },
    /// `ack`: the hub received the publisher's data messages up to this number.
    Ack {
        /// Number of the last data message received.
        up_to: u64,
        /// Whether the messages are in the log on disk; also `true` if the hub has no such log.
        durable: bool,
    },
    /// `demand`: the changes in what subscribers want, for a publisher that requested them. The
    /// first element lists everything that is wanted.
    Demand {
        /// Name of the feed.
        feed: Feed,
        /// Names that gained their first subscriber.
        added: Box<SubscriptionSet>,
        /// Names that lost their last subscriber.
        removed: Box<SubscriptionSet>,
    },
    /// `demand_by_client`: what each client wants, for a publisher that requested demand and whose
    /// source is full. It replaces the previous element of this type. Clients are keys, or
    /// addresses of sessions without a key. The element may leave out names of clients that want
    /// very many, and clients if there are very many.
    DemandByClient {
        /// Name of the feed.
        feed: Feed,
        /// The names of each client, clients in no order.
        clients: Vec<SubscriptionSet>,
    },
    /// `lost`: a publisher reports that its source dropped ticks before those of this message.
    Lost {
        /// Number of ticks dropped.
        ticks: u64,
    },
}

/// The type of a position element: one letter, like the types of the ticks it follows.
pub(crate) const POSITION: &str = "p";

impl Control {
    /// Appends a message that consists of this element: an array with one entry.
    pub fn write_message(&self, encoding: Encoding, out: &mut Vec<u8>) {
        match encoding {
            Encoding::Json => {
                out.push(b'[');
                self.write_element(encoding, out);
                out.push(b']');
            }
            Encoding::MsgpackArray | Encoding::MsgpackMap => {
                out.push(0x91); // an array of one element
                self.write_element(encoding, out);
            }
        }
    }

    /// Appends the element without separators, as it stands at the end of a message of ticks.
    pub fn write_element(&self, encoding: Encoding, out: &mut Vec<u8>) {
        match (self, encoding) {
            (Self::Position { pos }, Encoding::Json) => json::write_position(*pos, out),
            (Self::Position { pos }, Encoding::MsgpackArray) => array::write_position(*pos, out),
            _ => self.to_map().write(encoding, out),
        }
    }
}

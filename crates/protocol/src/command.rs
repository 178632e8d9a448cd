//! Commands: what a peer sends to the hub, besides ticks.
//!
//! Source: `docs/protocol/subscriber.md`, section "Commands", and `docs/protocol/publisher.md`.

mod wire;

pub(crate) use wire::check_publisher_text;

use crate::wire_map::{WireMap, id_in_json, id_in_msgpack};
use crate::{
    Credentials, DecodeError, Delivery, Encoding, FeedState, OnLag, Replay, Resume, SubscriptionSet,
};

/// A command. On the wire it is a map with an `action`, in JSON or in MessagePack; unlike an
/// element it is not part of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `subscribe`: adds names to the session.
    Subscribe(SubscribeRequest),
    /// `unsubscribe`: removes names from the session. Only `names` and `id` of the request are
    /// used.
    Unsubscribe(SubscribeRequest),
    /// `list`: asks for all names of the session.
    List {
        /// An arbitrary number, repeated in the answer.
        id: Option<u64>,
    },
    /// `auth`: authenticates the session.
    Auth(Credentials),
    /// `publish`: starts a session of acknowledged publishing.
    Publish(PublishRequest),
    /// `report`: tells the hub the state of a publisher's source.
    Report(SourceReport),
}

/// The fields of `subscribe` and `unsubscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscribeRequest {
    /// The names, by channel. On the wire each channel is a key of the command.
    pub names: SubscriptionSet,
    /// Whether the last values of the names are sent first. The default is yes for symbols and no
    /// for `"*"`.
    pub snapshot: Option<bool>,
    /// Which ticks of the names are delivered; `delivery` and `max_rate` on the wire.
    pub delivery: Delivery,
    /// What happens from now on when the session lags; `None` does not change it.
    pub on_lag: Option<OnLag>,
    /// Whether the session receives positions from now on; `false` does not change it.
    pub pos: bool,
    /// Where an earlier session left off, to continue there. Requires [`Delivery::Every`].
    pub resume: Option<Resume>,
    /// Past ticks to receive first; `from` and `speed` on the wire. Requires [`Delivery::Every`],
    /// and excludes [`SubscribeRequest::resume`].
    pub replay: Option<Replay>,
    /// An arbitrary number, repeated in the answer.
    pub id: Option<u64>,
}

/// The fields of `publish`, the first message of a session of acknowledged publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The id of the publisher, which stays the same when it restarts: 1 to 64 bytes.
    pub publisher: String,
    /// Whether the hub reports which names are subscribed to
    /// ([`Control::Demand`](crate::Control::Demand)).
    pub demand: bool,
}

/// The fields of `report`: the state of a publisher's source. The counters start at zero when the
/// publisher starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The state of the source. A publisher can be connected while its source is not.
    pub state: FeedState,
    /// Why the source is in this state, for people, such as an error message; at most
    /// [`REPORT_TEXT_BYTES_MAX`](crate::REPORT_TEXT_BYTES_MAX) bytes.
    pub detail: Option<String>,
    /// The server that the ticks come from; at most
    /// [`REPORT_TEXT_BYTES_MAX`](crate::REPORT_TEXT_BYTES_MAX) bytes.
    pub upstream: Option<String>,
    /// How often the publisher has connected to its source.
    pub connects: u64,
    /// How many errors the source has reported or caused.
    pub errors: u64,
    /// How many ticks the source has delivered.
    pub ticks: u64,
    /// Whether the hub must not make bars of this feed from now on, because the source sends bars
    /// itself or does not send every trade.
    pub no_bars: bool,
    /// Whether the source refuses names for want of room. While it does, the hub reports what each
    /// client wants ([`Control::DemandByClient`](crate::Control::DemandByClient)) to a publisher
    /// that requested demand.
    pub is_full: bool,
}

/// Why a command was rejected. Displays only the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct CommandError {
    /// The `id` of the command, if it is present and an unsigned integer.
    pub id: Option<u64>,
    /// Which field is wrong, and why.
    pub problem: DecodeError,
}

impl Command {
    /// Returns the `id` that the answer repeats, if the command has one.
    #[must_use]
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Subscribe(request) | Self::Unsubscribe(request) => request.id,
            Self::List { id } => *id,
            Self::Auth(_) | Self::Publish(_) | Self::Report(_) => None,
        }
    }

    /// Decodes a command from JSON.
    ///
    /// # Errors
    /// Fails if the command is malformed. The error names the field that is wrong and what is
    /// allowed, and carries the `id` of the command.
    pub fn from_json(text: &[u8]) -> Result<Self, CommandError> {
        let map = WireMap::from_json(text)
            .map_err(|problem| CommandError { id: id_in_json(text), problem })?;
        Self::from_map(map)
    }

    /// Decodes a command from MessagePack.
    ///
    /// # Errors
    /// Fails if the command is malformed. The error names the field that is wrong and what is
    /// allowed, and carries the `id` of the command.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, CommandError> {
        let map = WireMap::from_msgpack(bytes)
            .map_err(|problem| CommandError { id: id_in_msgpack(bytes), problem })?;
        Self::from_map(map)
    }

    /// Appends the command as a JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.to_map().write(Encoding::Json, out);
    }

    /// Appends the command as a MessagePack map.
    pub fn write_msgpack(&self, out: &mut Vec<u8>) {
        self.to_map().write(Encoding::MsgpackMap, out);
    }
}

//! What the hub says besides ticks.

use serde::{Deserialize, Serialize};

use crate::delivery::{DeliveryWord, Modes};
use crate::envelope::{Envelope, Pos, Start};
use crate::{
    Channel, DecodeError, Delivery, DeliveryGroup, Encoding, ErrorCode, Feed, OnLag, PerChannel,
    ResumeOutcome, SubscriptionSet, Symbol, UnixNanos, ValueError, json, msgpack,
};

/// A control element. All but [`Control::Position`] and [`Control::Lost`], which end a data message,
/// stand alone in their message; all but the position are maps in every encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The first message on every connection.
    Connected {
        /// The life of the hub in which sequence numbers are valid; `None` where there are none.
        epoch: Option<String>,
    },
    /// The credentials were right: the session may do what their key allows.
    Authenticated,
    /// Answer to subscribe, unsubscribe and list.
    Subscription {
        /// The command's `id`.
        id: Option<u64>,
        /// The names the command changed; for `list` all of them.
        names: Box<SubscriptionSet>,
        /// How many names the session has now, by channel.
        total: PerChannel<u64>,
        /// How the names of a subscribe are delivered from now on.
        delivery: Delivery,
        /// What becomes of the session when it lags.
        on_lag: OnLag,
        /// For `list`: the names that are not delivered [`Delivery::Every`], by how they are.
        modes: Vec<DeliveryGroup>,
        /// Where the session stands, if it asked for positions.
        pos: Option<u64>,
        /// For a subscribe that resumes: how that has begun.
        resumed: Option<ResumeOutcome>,
        /// For a replay: the time at which it really begins.
        from: Option<UnixNanos>,
    },
    /// The session has been sent everything it wants up to and including this position.
    Position {
        /// Number within the hub.
        pos: u64,
    },
    /// Ticks of a topic that this session is not sent.
    Gap {
        /// Channel of the topic.
        channel: Channel,
        /// Symbol of the topic.
        symbol: Symbol,
        /// Number of the first; `None`: the one behind the last that was sent.
        from: Option<u64>,
        /// Number of the last, not less than `from`; `None`: nobody knows.
        to: Option<u64>,
        /// The session has lagged: its names are delivered latest from here on.
        lagged: bool,
    },
    /// The ticks up to [`Control::Live`] are last values, not news.
    Snapshot {
        /// How many follow.
        ticks: u64,
    },
    /// The snapshot has ended.
    Live,
    /// Something was refused, or is about to end the session.
    Error {
        /// What kind of fault.
        code: ErrorCode,
        /// What exactly was wrong, for people.
        detail: Option<String>,
        /// The command's `id`, if it had one.
        id: Option<u64>,
    },
    /// How a feed is; sent after connect and on change.
    Feed {
        /// Which feed.
        feed: Feed,
        /// How it is.
        state: FeedState,
        /// Since when.
        since: UnixNanos,
        /// Ticks that its publishers had to drop at the source.
        lost: u64,
    },
    /// Nothing else was sent for a while.
    Heartbeat {
        /// The hub's time.
        time: UnixNanos,
        /// Where the session stands, if it asked for positions and nothing is pending.
        pos: Option<u64>,
    },
    /// Answer to a publisher's first message.
    Publishing {
        /// Number of the last data message the hub has taken from this publisher.
        last: u64,
        /// The mark of the last message that had one.
        mark: Option<String>,
    },
    /// The publisher's data messages up to this number are taken.
    Ack {
        /// Number of the data message.
        up_to: u64,
        /// Whether they are in the log on disk, as far as one was asked for.
        durable: bool,
    },
    /// What a publisher that asked for it is wanted for: what has changed since the last of these;
    /// the first one says all.
    Demand {
        /// Which feed.
        feed: Feed,
        /// Names that gained their first subscriber.
        added: Box<SubscriptionSet>,
        /// Names that lost their last subscriber.
        removed: Box<SubscriptionSet>,
    },
    /// A publisher says: before this message its source dropped ticks.
    Lost {
        /// How many.
        ticks: u64,
    },
}

/// The text of the success that answers credentials; the other one greets.
const AUTHENTICATED: &str = "authenticated";

/// The type of a position, one letter like those of ticks, among which it stands.
pub(crate) const POSITION: &str = "p";

/// How a feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedState {
    /// Ticks come in.
    Live,
    /// A publisher is connected but silent.
    Stale,
    /// Nobody publishes.
    Down,
}

impl FeedState {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Down => "down",
        }
    }
}

impl Control {
    /// Appends it as a whole message: an array of this one element.
    pub fn write_message(&self, encoding: Encoding, out: &mut Vec<u8>) {
        match encoding {
            Encoding::Json => {
                out.push(b'[');
                self.write_element(encoding, out);
                out.push(b']');
            }
            Encoding::MsgpackArray | Encoding::MsgpackMap => {
                out.push(0x91);
                self.write_element(encoding, out);
            }
        }
    }

    /// Appends it as an element, without separators, as it stands at the end of a data message.
    pub fn write_element(&self, encoding: Encoding, out: &mut Vec<u8>) {
        match (self, encoding) {
            (Self::Position { pos }, Encoding::Json) => json::write_position(*pos, out),
            (Self::Position { pos }, Encoding::MsgpackArray) => msgpack::write_position(*pos, out),
            (_, Encoding::Json) => self.envelope().write_json(out),
            (_, Encoding::MsgpackArray | Encoding::MsgpackMap) => {
                self.envelope().write_msgpack(out)
            }
        }
    }

    fn envelope(&self) -> Envelope {
        match self {
            Self::Connected { epoch } => Envelope {
                msg: Some("connected".to_owned()),
                epoch: epoch.clone(),
                ..Envelope::element("success")
            },
            Self::Authenticated => {
                Envelope { msg: Some(AUTHENTICATED.to_owned()), ..Envelope::element("success") }
            }
            Self::Subscription {
                id,
                names,
                total,
                delivery,
                on_lag,
                modes,
                pos,
                resumed,
                from,
            } => Envelope {
                id: *id,
                total: Some(*total),
                on_lag: (*on_lag != OnLag::default()).then_some(*on_lag),
                modes: (!modes.is_empty()).then(|| Modes(modes.clone())),
                pos: pos.map(Pos::At),
                resumed: *resumed,
                from: from.map(|from| Start::Time(from.to_string())),
                ..Envelope::element("subscription")
            }
            .with_delivery(*delivery)
            .with_names(names),
            Self::Position { pos } => Envelope::position(*pos),
            Self::Gap { channel, symbol, from, to, lagged } => Envelope {
                symbol: Some(symbol.to_string()),
                channel: Some(channel.to_string()),
                from: from.map(Start::Seq),
                to: *to,
                delivery: lagged.then_some(DeliveryWord::Latest),
                ..Envelope::element("gap")
            },
            Self::Snapshot { ticks } => Envelope::counted("snapshot", *ticks),
            Self::Live => Envelope::element("live"),
            Self::Error { code, detail, id } => Envelope {
                code: Some(code.code()),
                msg: Some(code.msg().to_owned()),
                detail: detail.clone(),
                id: *id,
                ..Envelope::element("error")
            },
            Self::Feed { feed, state, since, lost } => Envelope {
                feed: Some(feed.to_string()),
                state: Some(*state),
                since: Some(since.to_string()),
                lost: (*lost > 0).then_some(*lost),
                ..Envelope::element("feed")
            },
            Self::Heartbeat { time, pos } => Envelope {
                t: Some(time.to_string()),
                pos: pos.map(Pos::At),
                ..Envelope::element("heartbeat")
            },
            to_publisher => to_publisher.publisher_envelope(),
        }
    }

    /// What only publishers are told or say.
    fn publisher_envelope(&self) -> Envelope {
        match self {
            Self::Publishing { last, mark } => Envelope {
                last: Some(*last),
                mark: mark.clone(),
                ..Envelope::element("publishing")
            },
            Self::Ack { up_to, durable } => Envelope {
                up_to: Some(*up_to),
                durable: (!durable).then_some(false),
                ..Envelope::element("ack")
            },
            Self::Demand { feed, added, removed } => Envelope {
                feed: Some(feed.to_string()),
                added: Some(added.as_ref().clone()),
                removed: Some(removed.as_ref().clone()),
                ..Envelope::element("demand")
            },
            Self::Lost { ticks } => Envelope::counted("lost", *ticks),
            _ => unreachable!("envelope() makes those of subscribers"),
        }
    }

    /// The element of a map; `None` if its kind is unknown, which readers pass over.
    pub(crate) fn from_envelope(mut map: Envelope) -> Result<Option<Self>, DecodeError> {
        let kind = map.kind.take().ok_or_else(|| missing("", "T"))?;
        Ok(Some(match kind.as_str() {
            "success" if map.msg.as_deref() == Some(AUTHENTICATED) => Self::Authenticated,
            "success" => Self::Connected { epoch: map.epoch },
            "subscription" => Self::Subscription {
                id: map.id,
                names: Box::new(map.take_names()),
                total: map.total.unwrap_or_default(),
                delivery: map.delivery("subscription")?,
                on_lag: map.on_lag.unwrap_or_default(),
                modes: map.modes.map(|Modes(modes)| modes).unwrap_or_default(),
                pos: position("subscription", map.pos)?,
                resumed: map.resumed,
                from: begins(map.from)?,
            },
            POSITION => Self::Position {
                pos: position(POSITION, map.pos)?.ok_or_else(|| missing(POSITION, "pos"))?,
            },
            "gap" => gap(map)?,
            "snapshot" => {
                Self::Snapshot { ticks: map.ticks.ok_or_else(|| missing("snapshot", "ticks"))? }
            }
            "live" => Self::Live,
            "error" => error(map)?,
            "feed" => Self::Feed {
                feed: parsed("feed", "feed", map.feed)?,
                state: map.state.ok_or_else(|| missing("feed", "state"))?,
                since: parsed("feed", "since", map.since)?,
                lost: map.lost.unwrap_or_default(),
            },
            "heartbeat" => Self::Heartbeat {
                time: parsed("heartbeat", "t", map.t)?,
                pos: position("heartbeat", map.pos)?,
            },
            "publishing" => Self::Publishing {
                last: map.last.ok_or_else(|| missing("publishing", "last"))?,
                mark: map.mark,
            },
            "ack" => Self::Ack {
                up_to: map.up_to.ok_or_else(|| missing("ack", "up_to"))?,
                durable: map.durable.unwrap_or(true),
            },
            "demand" => Self::Demand {
                feed: parsed("demand", "feed", map.feed)?,
                added: map.added.map(Box::new).unwrap_or_default(),
                removed: map.removed.map(Box::new).unwrap_or_default(),
            },
            "lost" => Self::Lost { ticks: map.ticks.ok_or_else(|| missing("lost", "ticks"))? },
            _ => return Ok(None),
        }))
    }
}

fn position(kind: &'static str, pos: Option<Pos>) -> Result<Option<u64>, DecodeError> {
    match pos {
        None => Ok(None),
        Some(Pos::At(position)) => Ok(Some(position)),
        Some(Pos::Asked(_)) => {
            let problem = ValueError::Invalid("expected an unsigned integer".to_owned());
            Err(DecodeError::field(kind, "pos", problem))
        }
    }
}

/// When a replay begins.
fn begins(from: Option<Start>) -> Result<Option<UnixNanos>, DecodeError> {
    let time = match from {
        None => return Ok(None),
        Some(Start::Time(time)) => time,
        Some(Start::Seq(number)) => number.to_string(),
    };
    parsed("subscription", "from", Some(time)).map(Some)
}

fn gap(map: Envelope) -> Result<Control, DecodeError> {
    let wrong = |field, problem| DecodeError::field("gap", field, ValueError::Invalid(problem));
    let channel = map.channel.ok_or_else(|| missing("gap", "channel"))?;
    let Some(channel) = Channel::from_name(&channel) else {
        let shown: String = channel.chars().take(32).collect();
        return Err(wrong("channel", format!("unknown channel {shown:?}")));
    };
    let from = match map.from {
        None => None,
        Some(Start::Seq(seq)) => Some(seq),
        Some(Start::Time(_)) => {
            return Err(wrong("from", "expected an unsigned integer".to_owned()));
        }
    };
    if let (Some(from), Some(to)) = (from, map.to)
        && to < from
    {
        return Err(wrong("to", format!("{to} is less than from, which is {from}")));
    }
    let symbol = parsed("gap", "S", map.symbol)?;
    let lagged = map.delivery == Some(DeliveryWord::Latest);
    Ok(Control::Gap { channel, symbol, from, to: map.to, lagged })
}

/// A fault that is not known here is one of the other side; its number and text are kept for people.
fn error(map: Envelope) -> Result<Control, DecodeError> {
    let code = map.code.ok_or_else(|| missing("error", "code"))?;
    let msg = map.msg.unwrap_or_default();
    let (code, detail) = match ErrorCode::from_wire(code, &msg) {
        Some(known) => (known, map.detail),
        None => (ErrorCode::Internal, map.detail.or_else(|| Some(format!("{code} {msg}")))),
    };
    Ok(Control::Error { code, detail, id: map.id })
}

fn missing(kind: &'static str, field: &'static str) -> DecodeError {
    DecodeError::field(kind, field, ValueError::Missing)
}

fn parsed<V: std::str::FromStr<Err = ValueError>>(
    kind: &'static str,
    field: &'static str,
    text: Option<String>,
) -> Result<V, DecodeError> {
    text.ok_or(ValueError::Missing)
        .and_then(|text| text.parse())
        .map_err(|problem| DecodeError::field(kind, field, problem))
}

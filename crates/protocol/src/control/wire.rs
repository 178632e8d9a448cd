//! Control elements as maps: the conversion in both directions.

use super::{Control, POSITION};
use crate::delivery::{DeliveryGroups, DeliveryWord};
use crate::error::excerpt;
use crate::wire_map::{FromField, PosField, WireMap};
use crate::{Channel, DecodeError, ErrorCode, OnLag, UnixNanos, ValueError};

/// The `msg` of a `success` element that answers credentials. The other one, `connected`, opens a
/// connection.
const AUTHENTICATED: &str = "authenticated";

impl Control {
    pub(super) fn to_map(&self) -> WireMap {
        match self {
            Self::Connected { epoch } => WireMap {
                msg: Some("connected".to_owned()),
                epoch: epoch.clone(),
                ..WireMap::element("success")
            },
            Self::Authenticated => {
                WireMap { msg: Some(AUTHENTICATED.to_owned()), ..WireMap::element("success") }
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
            } => WireMap {
                id: *id,
                total: Some(*total),
                on_lag: (*on_lag != OnLag::default()).then_some(*on_lag),
                modes: (!modes.is_empty()).then(|| DeliveryGroups(modes.clone())),
                pos: pos.map(PosField::Position),
                resumed: *resumed,
                from: from.map(|from| FromField::Time(from.to_string())),
                ..WireMap::element("subscription")
            }
            .with_delivery(*delivery)
            .with_names(names),
            Self::Position { pos } => WireMap::position(*pos),
            Self::Gap { channel, symbol, from, to, lagged } => WireMap {
                symbol: Some(symbol.to_string()),
                channel: Some(channel.to_string()),
                from: from.map(FromField::Seq),
                to: *to,
                delivery: lagged.then_some(DeliveryWord::Latest),
                ..WireMap::element("gap")
            },
            Self::Snapshot { ticks } => WireMap::counted("snapshot", *ticks),
            Self::Live => WireMap::element("live"),
            Self::Error { code, detail, id } => WireMap {
                code: Some(code.code()),
                msg: Some(code.msg().to_owned()),
                detail: detail.clone(),
                id: *id,
                ..WireMap::element("error")
            },
            Self::Feed { feed, state, since, lost, view, delay_ms } => WireMap {
                feed: Some(feed.to_string()),
                state: Some(*state),
                since: Some(since.to_string()),
                lost: (*lost > 0).then_some(*lost),
                view: view.clone(),
                delay_ms: (*delay_ms > 0).then_some(*delay_ms),
                ..WireMap::element("feed")
            },
            Self::Heartbeat { time, pos } => WireMap {
                time: Some(time.to_string()),
                pos: pos.map(PosField::Position),
                ..WireMap::element("heartbeat")
            },
            of_publishers => of_publishers.publisher_map(),
        }
    }

    /// Converts the elements that only publishers send or receive.
    fn publisher_map(&self) -> WireMap {
        match self {
            Self::Publishing { last, mark } => {
                WireMap { last: Some(*last), mark: mark.clone(), ..WireMap::element("publishing") }
            }
            Self::Ack { up_to, durable } => WireMap {
                up_to: Some(*up_to),
                durable: (!durable).then_some(false),
                ..WireMap::element("ack")
            },
            Self::Demand { feed, added, removed } => WireMap {
                feed: Some(feed.to_string()),
                added: Some(added.as_ref().clone()),
                removed: Some(removed.as_ref().clone()),
                ..WireMap::element("demand")
            },
            Self::DemandByClient { feed, clients } => WireMap {
                feed: Some(feed.to_string()),
                clients: Some(clients.clone()),
                ..WireMap::element("demand_by_client")
            },
            Self::Lost { ticks } => WireMap::counted("lost", *ticks),
            _ => unreachable!("to_map() handles the elements of subscribers"),
        }
    }

    /// Converts a map into an element. Returns `None` if its type is unknown; readers ignore such
    /// elements.
    pub(crate) fn from_map(mut map: WireMap) -> Result<Option<Self>, DecodeError> {
        let kind = map.kind.take().ok_or_else(|| DecodeError::missing("", "T"))?;
        Ok(Some(match kind.as_str() {
            "success" if map.msg.as_deref() == Some(AUTHENTICATED) => Self::Authenticated,
            "success" => Self::Connected { epoch: map.epoch },
            "subscription" => Self::Subscription {
                id: map.id,
                names: Box::new(map.take_names()),
                total: map.total.unwrap_or_default(),
                delivery: map.delivery("subscription")?,
                on_lag: map.on_lag.unwrap_or_default(),
                modes: map.modes.map(|DeliveryGroups(modes)| modes).unwrap_or_default(),
                pos: position("subscription", map.pos)?,
                resumed: map.resumed,
                from: replay_start(map.from)?,
            },
            POSITION => {
                Self::Position { pos: required(POSITION, "pos", position(POSITION, map.pos)?)? }
            }
            "gap" => gap(map)?,
            "snapshot" => Self::Snapshot { ticks: required("snapshot", "ticks", map.ticks)? },
            "live" => Self::Live,
            "error" => error(map)?,
            "feed" => Self::Feed {
                feed: parsed("feed", "feed", map.feed)?,
                state: required("feed", "state", map.state)?,
                since: parsed("feed", "since", map.since)?,
                lost: map.lost.unwrap_or_default(),
                view: map.view,
                delay_ms: map.delay_ms.unwrap_or_default(),
            },
            "heartbeat" => Self::Heartbeat {
                time: parsed("heartbeat", "t", map.time)?,
                pos: position("heartbeat", map.pos)?,
            },
            "publishing" => {
                Self::Publishing { last: required("publishing", "last", map.last)?, mark: map.mark }
            }
            "ack" => Self::Ack {
                up_to: required("ack", "up_to", map.up_to)?,
                durable: map.durable.unwrap_or(true),
            },
            "demand" => Self::Demand {
                feed: parsed("demand", "feed", map.feed)?,
                added: map.added.map(Box::new).unwrap_or_default(),
                removed: map.removed.map(Box::new).unwrap_or_default(),
            },
            "demand_by_client" => Self::DemandByClient {
                feed: parsed("demand_by_client", "feed", map.feed)?,
                clients: map.clients.unwrap_or_default(),
            },
            "lost" => Self::Lost { ticks: required("lost", "ticks", map.ticks)? },
            _ => return Ok(None),
        }))
    }
}

fn required<V>(
    kind: &'static str,
    field: &'static str,
    value: Option<V>,
) -> Result<V, DecodeError> {
    value.ok_or_else(|| DecodeError::missing(kind, field))
}

fn parsed<V: std::str::FromStr<Err = ValueError>>(
    kind: &'static str,
    field: &'static str,
    text: Option<String>,
) -> Result<V, DecodeError> {
    required(kind, field, text)?.parse().map_err(|problem| DecodeError::field(kind, field, problem))
}

fn position(kind: &'static str, pos: Option<PosField>) -> Result<Option<u64>, DecodeError> {
    match pos {
        None => Ok(None),
        Some(PosField::Position(position)) => Ok(Some(position)),
        Some(PosField::Requested(_)) => {
            Err(DecodeError::invalid(kind, "pos", "expected an unsigned integer"))
        }
    }
}

/// Returns the time at which a replay starts.
fn replay_start(from: Option<FromField>) -> Result<Option<UnixNanos>, DecodeError> {
    let time = match from {
        None => return Ok(None),
        Some(FromField::Time(time)) => time,
        Some(FromField::Seq(number)) => number.to_string(),
    };
    parsed("subscription", "from", Some(time)).map(Some)
}

fn gap(map: WireMap) -> Result<Control, DecodeError> {
    let invalid = |field, problem: String| DecodeError::invalid("gap", field, problem);
    let channel = required("gap", "channel", map.channel)?;
    let Some(channel) = Channel::from_name(&channel) else {
        return Err(invalid("channel", format!("unknown channel {:?}", excerpt(&channel))));
    };
    let from = match map.from {
        None => None,
        Some(FromField::Seq(seq)) => Some(seq),
        Some(FromField::Time(_)) => {
            return Err(invalid("from", "expected an unsigned integer".to_owned()));
        }
    };
    if let (Some(from), Some(to)) = (from, map.to)
        && to < from
    {
        return Err(invalid("to", format!("{to} is less than from, which is {from}")));
    }
    let symbol = parsed("gap", "S", map.symbol)?;
    let lagged = map.delivery == Some(DeliveryWord::Latest);
    Ok(Control::Gap { channel, symbol, from, to: map.to, lagged })
}

/// Decodes an error element. An unknown code becomes [`ErrorCode::Internal`], with its number and
/// text as the detail.
fn error(map: WireMap) -> Result<Control, DecodeError> {
    let code = required("error", "code", map.code)?;
    let msg = map.msg.unwrap_or_default();
    let (code, detail) = match ErrorCode::from_wire(code, &msg) {
        Some(known) => (known, map.detail),
        None => (ErrorCode::Internal, map.detail.or_else(|| Some(format!("{code} {msg}")))),
    };
    Ok(Control::Error { code, detail, id: map.id })
}

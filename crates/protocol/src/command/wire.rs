//! Commands as maps: the conversion in both directions.

use super::{Command, CommandError, PublishRequest, SourceReport, SubscribeRequest};
use crate::error::excerpt;
use crate::wire_map::{FromField, PosField, WireMap};
use crate::{
    Credentials, DecodeError, Delivery, REPORT_TEXT_BYTES_MAX, Replay, ReplaySpeed, ValueError,
};

/// Longest id of a publisher and longest mark, in bytes.
const PUBLISHER_TEXT_BYTES_MAX: usize = 64;

impl Command {
    pub(super) fn from_map(mut map: WireMap) -> Result<Self, CommandError> {
        let id = map.id;
        Self::interpret(&mut map).map_err(|problem| CommandError { id, problem })
    }

    fn interpret(map: &mut WireMap) -> Result<Self, DecodeError> {
        let action = required("action", map.action.take())?;
        match action.as_str() {
            "subscribe" => subscribe_request(map).map(Self::Subscribe),
            "unsubscribe" => Ok(Self::Unsubscribe(names_and_id(map))),
            "list" => Ok(Self::List { id: map.id }),
            "publish" => {
                let publisher = required("publisher", map.publisher.take())?;
                check_publisher_text("publisher", &publisher)?;
                let demand = map.demand.unwrap_or_default();
                Ok(Self::Publish(PublishRequest { publisher, demand }))
            }
            "auth" => {
                let key = required("key", map.key.take())?;
                let secret = required("secret", map.secret.take())?;
                Ok(Self::Auth(Credentials::from_pair(key, secret)))
            }
            "report" => source_report(map).map(Self::Report),
            other => Err(invalid(
                "action",
                format!(
                    "unknown action {:?}: expected subscribe, unsubscribe, list, auth, publish or \
                     report",
                    excerpt(other)
                ),
            )),
        }
    }

    pub(super) fn to_map(&self) -> WireMap {
        match self {
            Self::Subscribe(request) => WireMap {
                snapshot: request.snapshot,
                on_lag: request.on_lag,
                id: request.id,
                pos: request.pos.then_some(PosField::Requested(true)),
                resume: request.resume.clone(),
                from: request.replay.map(|replay| FromField::Time(replay.from.to_string())),
                speed: request
                    .replay
                    .map(|replay| replay.speed)
                    .filter(|speed| *speed != ReplaySpeed::default()),
                ..WireMap::command("subscribe")
            }
            .with_delivery(request.delivery)
            .with_names(&request.names),
            Self::Unsubscribe(SubscribeRequest { names, id, .. }) => {
                WireMap { id: *id, ..WireMap::command("unsubscribe") }.with_names(names)
            }
            Self::List { id } => WireMap { id: *id, ..WireMap::command("list") },
            Self::Auth(Credentials { id, secret }) => WireMap {
                key: Some(id.clone()),
                secret: Some(secret.clone()),
                ..WireMap::command("auth")
            },
            Self::Publish(PublishRequest { publisher, demand }) => WireMap {
                publisher: Some(publisher.clone()),
                demand: demand.then_some(true),
                ..WireMap::command("publish")
            },
            Self::Report(report) => WireMap {
                state: Some(report.state),
                detail: report.detail.clone(),
                upstream: report.upstream.clone(),
                connects: Some(report.connects),
                errors: Some(report.errors),
                ticks: Some(report.ticks),
                no_bars: report.no_bars.then_some(true),
                is_full: report.is_full.then_some(true),
                ..WireMap::command("report")
            },
        }
    }
}

fn required<V>(field: &'static str, value: Option<V>) -> Result<V, DecodeError> {
    value.ok_or_else(|| DecodeError::missing("", field))
}

fn invalid(field: &'static str, problem: impl Into<String>) -> DecodeError {
    DecodeError::invalid("", field, problem)
}

/// Takes the names and the id out of the map of a command. The other fields of the request keep
/// their defaults.
fn names_and_id(map: &mut WireMap) -> SubscribeRequest {
    SubscribeRequest { names: map.take_names(), id: map.id, ..SubscribeRequest::default() }
}

fn subscribe_request(map: &mut WireMap) -> Result<SubscribeRequest, DecodeError> {
    let delivery = map.delivery("")?;
    let pos = match map.pos {
        None => false,
        Some(PosField::Requested(requested)) => requested,
        Some(PosField::Position(_)) => return Err(invalid("pos", "expected true or false")),
    };
    let resume = map.resume.take();
    let replay = replay(map)?;
    if replay.is_some() && resume.is_some() {
        return Err(invalid("from", "not allowed together with resume"));
    }
    if delivery != Delivery::Every && (replay.is_some() || resume.is_some()) {
        let field = if resume.is_some() { "resume" } else { "from" };
        return Err(invalid(field, "allowed only with delivery \"every\""));
    }
    let snapshot = map.snapshot;
    let on_lag = map.on_lag;
    Ok(SubscribeRequest { snapshot, delivery, on_lag, pos, resume, replay, ..names_and_id(map) })
}

/// Combines the fields `from` and `speed` into a replay; `None` if both are absent.
fn replay(map: &mut WireMap) -> Result<Option<Replay>, DecodeError> {
    let from = match (map.from.take(), map.speed) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(invalid("speed", "allowed only with from")),
        (Some(FromField::Time(time)), _) => time.parse(),
        (Some(FromField::Seq(number)), _) => number.to_string().parse(),
    };
    let from = from.map_err(|problem| DecodeError::field("", "from", problem))?;
    Ok(Some(Replay { from, speed: map.speed.unwrap_or_default() }))
}

fn source_report(map: &mut WireMap) -> Result<SourceReport, DecodeError> {
    let check_text = |field, text: Option<String>| {
        let bytes = text.as_ref().map_or(0, String::len);
        ValueError::check_len(bytes, REPORT_TEXT_BYTES_MAX, "bytes")
            .map_err(|problem| DecodeError::field("", field, problem))?;
        Ok::<_, DecodeError>(text)
    };
    Ok(SourceReport {
        state: required("state", map.state)?,
        detail: check_text("detail", map.detail.take())?,
        upstream: check_text("upstream", map.upstream.take())?,
        connects: map.connects.unwrap_or_default(),
        errors: map.errors.unwrap_or_default(),
        ticks: map.ticks.unwrap_or_default(),
        no_bars: map.no_bars.unwrap_or_default(),
        is_full: map.is_full.unwrap_or_default(),
    })
}

/// Checks the length of a publisher's id or mark: 1 to 64 bytes.
pub(crate) fn check_publisher_text(field: &'static str, text: &str) -> Result<(), DecodeError> {
    if text.is_empty() {
        let problem = format!("empty: expected 1 to {PUBLISHER_TEXT_BYTES_MAX} bytes");
        return Err(invalid(field, problem));
    }
    ValueError::check_len(text.len(), PUBLISHER_TEXT_BYTES_MAX, "bytes")
        .map_err(|problem| DecodeError::field("", field, problem))
}

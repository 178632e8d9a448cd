//! What a peer asks of the hub.

use crate::envelope::{Envelope, IdOnly, Pos, Start};
use crate::{
    Credentials, DecodeError, Delivery, FeedState, OnLag, REPORT_TEXT_BYTES_MAX, Replay,
    ReplaySpeed, Resume, SubscriptionSet, ValueError,
};

/// Longest id of a publisher, and longest mark, in bytes.
const PUBLISHER_BYTES_MAX: usize = 64;

/// A command, as JSON text or as a MessagePack map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Adds names to what the session gets.
    Subscribe(SubscribeRequest),
    /// Takes names away.
    Unsubscribe(SubscribeRequest),
    /// Asks for the whole set.
    List {
        /// Echoed in the answer.
        id: Option<u64>,
    },
    /// Shows who it is.
    Auth(Credentials),
    /// Starts acknowledged publishing.
    Publish(PublishRequest),
    /// Says how a publisher's source is.
    Report(SourceReport),
}

/// Names, how to begin with them, and how they are delivered. Everything but the names and the id
/// means nothing in an unsubscribe, which drops it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscribeRequest {
    /// Which symbols of which channels.
    pub names: SubscriptionSet,
    /// Whether last values come first; by default they do for names and not for `"*"`.
    pub snapshot: Option<bool>,
    /// Which ticks of the names are sent.
    pub delivery: Delivery,
    /// What becomes of the session when it lags, from now on; `None` leaves it as it was.
    pub on_lag: Option<OnLag>,
    /// Whether the session is told positions from now on; `false` leaves it as it was.
    pub pos: bool,
    /// Behind what the names continue; only with [`Delivery::Every`].
    pub resume: Option<Resume>,
    /// What was comes first; only with [`Delivery::Every`] and without [`SubscribeRequest::resume`].
    pub replay: Option<Replay>,
    /// Echoed in the answer.
    pub id: Option<u64>,
}

/// Who publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The publisher's id, stable over its restarts: 1 to 64 bytes.
    pub publisher: String,
    /// Whether the hub is to say what is wanted, by [`Control::Demand`](crate::Control::Demand).
    pub demand: bool,
}

/// How the source of a publisher is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// How it is: a publisher that is there may have nothing to tell.
    pub state: FeedState,
    /// Why, for people; at most [`REPORT_TEXT_BYTES_MAX`] bytes.
    pub detail: Option<String>,
    /// Where the ticks come from; at most [`REPORT_TEXT_BYTES_MAX`] bytes.
    pub upstream: Option<String>,
    /// How often it has connected to its source.
    pub connects: u64,
    /// How many errors it has met there.
    pub errors: u64,
    /// How many ticks it has had from there.
    pub ticks: u64,
    /// Whether the hub is to make no bars of this feed from now on: they come from the source, or
    /// cannot be made of the trades that do.
    pub no_bars: bool,
}

/// Why a command was refused, with the `id` to answer to if it had one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct CommandError {
    /// The command's `id`, if it is there and a number.
    pub id: Option<u64>,
    /// What was wrong.
    pub problem: DecodeError,
}

impl Command {
    /// Reads a command from JSON text.
    ///
    /// # Errors
    /// Says what was wrong, with the command's `id` if there was one.
    pub fn from_json(text: &[u8]) -> Result<Self, CommandError> {
        let map = Envelope::from_json(text)
            .map_err(|problem| CommandError { id: IdOnly::in_json(text), problem })?;
        Self::from_envelope(map)
    }

    /// Reads a command from a MessagePack map.
    ///
    /// # Errors
    /// Says what was wrong, with the command's `id` if there was one.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, CommandError> {
        let map = Envelope::from_msgpack(bytes)
            .map_err(|problem| CommandError { id: IdOnly::in_msgpack(bytes), problem })?;
        Self::from_envelope(map)
    }

    /// Appends it as JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.envelope().write_json(out);
    }

    /// Appends it as a MessagePack map.
    pub fn write_msgpack(&self, out: &mut Vec<u8>) {
        self.envelope().write_msgpack(out);
    }

    fn from_envelope(mut map: Envelope) -> Result<Self, CommandError> {
        let id = map.id;
        Self::interpret(&mut map).map_err(|problem| CommandError { id, problem })
    }

    fn interpret(map: &mut Envelope) -> Result<Self, DecodeError> {
        let action = map
            .action
            .take()
            .ok_or_else(|| DecodeError::field("", "action", ValueError::Missing))?;
        match action.as_str() {
            "subscribe" => subscription(map).map(Self::Subscribe),
            "unsubscribe" => Ok(Self::Unsubscribe(naming(map))),
            "list" => Ok(Self::List { id: map.id }),
            "publish" => {
                let publisher = map
                    .publisher
                    .take()
                    .ok_or_else(|| DecodeError::field("", "publisher", ValueError::Missing))?;
                check_length("publisher", &publisher)?;
                Ok(Self::Publish(PublishRequest {
                    publisher,
                    demand: map.demand.unwrap_or_default(),
                }))
            }
            "auth" => credentials(map).map(Self::Auth),
            "report" => report(map).map(Self::Report),
            other => {
                let shown: String = other.chars().take(32).collect();
                let problem = ValueError::Invalid(format!(
                    "unknown action {shown:?}: expected subscribe, unsubscribe, list, auth, \
                     publish or report"
                ));
                Err(DecodeError::field("", "action", problem))
            }
        }
    }

    fn envelope(&self) -> Envelope {
        match self {
            Self::Subscribe(asked) => Envelope {
                snapshot: asked.snapshot,
                on_lag: asked.on_lag,
                id: asked.id,
                pos: asked.pos.then_some(Pos::Asked(true)),
                resume: asked.resume.clone(),
                from: asked.replay.map(|replay| Start::Time(replay.from.to_string())),
                speed: asked
                    .replay
                    .map(|replay| replay.speed)
                    .filter(|speed| *speed != ReplaySpeed::Max),
                ..Envelope::command("subscribe")
            }
            .with_delivery(asked.delivery)
            .with_names(&asked.names),
            Self::Unsubscribe(SubscribeRequest { names, id, .. }) => {
                Envelope { id: *id, ..Envelope::command("unsubscribe") }.with_names(names)
            }
            Self::List { id } => Envelope { id: *id, ..Envelope::command("list") },
            Self::Auth(Credentials { id, secret }) => Envelope {
                key: Some(id.clone()),
                secret: Some(secret.clone()),
                ..Envelope::command("auth")
            },
            Self::Publish(PublishRequest { publisher, demand }) => Envelope {
                publisher: Some(publisher.clone()),
                demand: demand.then_some(true),
                ..Envelope::command("publish")
            },
            Self::Report(report) => Envelope {
                state: Some(report.state),
                detail: report.detail.clone(),
                upstream: report.upstream.clone(),
                connects: Some(report.connects),
                errors: Some(report.errors),
                ticks: Some(report.ticks),
                no_bars: report.no_bars.then_some(true),
                ..Envelope::command("report")
            },
        }
    }
}

/// The names of a command and its id, without options.
fn naming(map: &mut Envelope) -> SubscribeRequest {
    SubscribeRequest { names: map.take_names(), id: map.id, ..SubscribeRequest::default() }
}

fn credentials(map: &mut Envelope) -> Result<Credentials, DecodeError> {
    let missing = |field| DecodeError::field("", field, ValueError::Missing);
    let key = map.key.take().ok_or_else(|| missing("key"))?;
    let secret = map.secret.take().ok_or_else(|| missing("secret"))?;
    Ok(Credentials::from_pair(key, secret))
}

fn report(map: &mut Envelope) -> Result<SourceReport, DecodeError> {
    let text = |field, text: Option<String>| match text.as_ref().map_or(0, String::len) {
        0..=REPORT_TEXT_BYTES_MAX => Ok(text),
        more => {
            let (value, limit) = (more as u64, REPORT_TEXT_BYTES_MAX as u64);
            Err(DecodeError::field("", field, ValueError::TooLarge { value, limit }))
        }
    };
    Ok(SourceReport {
        state: map.state.ok_or_else(|| DecodeError::field("", "state", ValueError::Missing))?,
        detail: text("detail", map.detail.take())?,
        upstream: text("upstream", map.upstream.take())?,
        connects: map.connects.unwrap_or_default(),
        errors: map.errors.unwrap_or_default(),
        ticks: map.ticks.unwrap_or_default(),
        no_bars: map.no_bars.unwrap_or_default(),
    })
}

/// 1 to 64 bytes, for publisher ids and marks.
pub(crate) fn check_length(field: &'static str, text: &str) -> Result<(), DecodeError> {
    let problem = match text.len() {
        0 => ValueError::Invalid("empty".to_owned()),
        1..=PUBLISHER_BYTES_MAX => return Ok(()),
        more => ValueError::TooLarge { value: more as u64, limit: PUBLISHER_BYTES_MAX as u64 },
    };
    Err(DecodeError::field("", field, problem))
}

fn subscription(map: &mut Envelope) -> Result<SubscribeRequest, DecodeError> {
    let refused = |field, problem: &str| {
        Err(DecodeError::field("", field, ValueError::Invalid(problem.to_owned())))
    };
    let delivery = map.delivery("")?;
    let pos = match map.pos {
        None => false,
        Some(Pos::Asked(asked)) => asked,
        Some(Pos::At(_)) => return refused("pos", "expected true or false"),
    };
    let (resume, replay) = (map.resume.take(), replay(map)?);
    if replay.is_some() && resume.is_some() {
        return refused("from", "not allowed together with resume");
    }
    if delivery != Delivery::Every && (replay.is_some() || resume.is_some()) {
        let field = if resume.is_some() { "resume" } else { "from" };
        return refused(field, "allowed only with delivery \"every\"");
    }
    let (snapshot, on_lag) = (map.snapshot, map.on_lag);
    Ok(SubscribeRequest { snapshot, delivery, on_lag, pos, resume, replay, ..naming(map) })
}

/// What `from` and `speed` say together.
fn replay(map: &mut Envelope) -> Result<Option<Replay>, DecodeError> {
    let wrong = |field, problem| Err(DecodeError::field("", field, problem));
    let from = match (map.from.take(), map.speed) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return wrong("speed", ValueError::Invalid("allowed only with from".to_owned()));
        }
        (Some(Start::Time(time)), _) => time.parse(),
        (Some(Start::Seq(number)), _) => number.to_string().parse(),
    };
    match from {
        Ok(from) => Ok(Some(Replay { from, speed: map.speed.unwrap_or_default() })),
        Err(problem) => wrong("from", problem),
    }
}

//! What a peer asks of the hub.

use crate::envelope::{Envelope, IdOnly};
use crate::{DecodeError, Delivery, Names, OnLag, ValueError};

/// Longest id of a publisher, and longest mark, in bytes.
const PUBLISHER_BYTES_MAX: usize = 64;

/// A command, as JSON text or as a MessagePack map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Adds names to what the session gets.
    Subscribe(Subscription),
    /// Takes names away.
    Unsubscribe(Subscription),
    /// Asks for the whole set.
    List {
        /// Echoed in the answer.
        id: Option<u64>,
    },
    /// Starts acknowledged publishing.
    Publish(Publish),
}

/// Names, how to begin with them, and how they are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// Which symbols of which channels.
    pub names: Names,
    /// Whether last values come first; by default they do for names and not for `"*"`. Means
    /// nothing in an unsubscribe, which drops it.
    pub snapshot: Option<bool>,
    /// Which ticks of the names are sent. Means nothing in an unsubscribe, which drops it.
    pub delivery: Delivery,
    /// What becomes of the session when it lags, from now on; `None` leaves it as it was. Means
    /// nothing in an unsubscribe, which drops it.
    pub on_lag: Option<OnLag>,
    /// Echoed in the answer.
    pub id: Option<u64>,
}

/// Who publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The publisher's id, stable over its restarts: 1 to 64 bytes.
    pub publisher: String,
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
            "subscribe" => {
                refuse_unsupported(map)?;
                Ok(Self::Subscribe(Subscription {
                    snapshot: map.snapshot,
                    delivery: map.delivery("")?,
                    on_lag: map.on_lag,
                    ..naming(map)
                }))
            }
            "unsubscribe" => Ok(Self::Unsubscribe(naming(map))),
            "list" => Ok(Self::List { id: map.id }),
            "publish" => {
                let publisher = map
                    .publisher
                    .take()
                    .ok_or_else(|| DecodeError::field("", "publisher", ValueError::Missing))?;
                check_length("publisher", &publisher)?;
                Ok(Self::Publish(Publish { publisher }))
            }
            other => {
                let shown: String = other.chars().take(32).collect();
                let problem = ValueError::Invalid(format!(
                    "unknown action {shown:?}: expected subscribe, unsubscribe, list or publish"
                ));
                Err(DecodeError::field("", "action", problem))
            }
        }
    }

    fn envelope(&self) -> Envelope {
        match self {
            Self::Subscribe(Subscription { names, snapshot, delivery, on_lag, id }) => Envelope {
                snapshot: *snapshot,
                on_lag: *on_lag,
                id: *id,
                ..Envelope::command("subscribe")
            }
            .with_delivery(*delivery)
            .with_names(names),
            Self::Unsubscribe(Subscription { names, id, .. }) => {
                Envelope { id: *id, ..Envelope::command("unsubscribe") }.with_names(names)
            }
            Self::List { id } => Envelope { id: *id, ..Envelope::command("list") },
            Self::Publish(Publish { publisher }) => {
                Envelope { publisher: Some(publisher.clone()), ..Envelope::command("publish") }
            }
        }
    }
}

/// The names of a command and its id, without options.
fn naming(map: &mut Envelope) -> Subscription {
    Subscription { names: map.take_names(), id: map.id, ..Subscription::default() }
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

/// Options of the contract that this version does not know yet must not be passed over: who asks
/// for them relies on them.
fn refuse_unsupported(map: &Envelope) -> Result<(), DecodeError> {
    let asked = [
        ("pos", map.pos == Some(true)),
        ("resume", map.resume.is_some()),
        ("from", map.from.is_some()),
        ("speed", map.speed.is_some()),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        None => Ok(()),
        Some((field, _)) => {
            let problem = ValueError::Invalid("not supported by this version".to_owned());
            Err(DecodeError::field("", field, problem))
        }
    }
}

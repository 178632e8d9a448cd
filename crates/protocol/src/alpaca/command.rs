//! Commands in Alpaca's protocol.

use serde::de::{self, Deserializer, IgnoredAny, MapAccess};

use super::unknown_value::UnknownValue;
use crate::error::excerpt;
use crate::wire_map::{FromKeys, decode_error, msgpack_deserializer};
use crate::{Channel, Credentials, Encoding, ErrorCode, Selection, SubscriptionSet};

/// A command of a client of Alpaca's stock stream.
///
/// On that stream, a subscription to trades includes their corrections and cancels, so lists of
/// names in those two channels are ignored. Source:
/// <https://docs.alpaca.markets/docs/streaming-market-data>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlpacaCommand {
    /// `auth`: authenticates the session.
    Auth(Credentials),
    /// `subscribe`: adds names to the session. The set may be empty.
    Subscribe(SubscriptionSet),
    /// `unsubscribe`: removes names from the session. The set may be empty.
    Unsubscribe(SubscriptionSet),
}

/// Why a command in Alpaca's protocol was rejected. Displays only the detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct AlpacaCommandError {
    /// [`ErrorCode::InvalidAction`] if the command names a channel of another stream, and
    /// [`ErrorCode::InvalidSyntax`] otherwise.
    pub code: ErrorCode,
    /// Which field is wrong and what is allowed, for people.
    pub detail: String,
}

impl AlpacaCommand {
    /// Decodes the commands of one message, lazily. There is at least one command or one error.
    ///
    /// A message in JSON may hold several documents, one after the other; after text that is not
    /// JSON the rest is dropped. A message in MessagePack is one map. The encoding is that of the
    /// session, whether the message came in a text frame or in a binary one.
    #[must_use]
    pub fn decode_all(message: &[u8], encoding: Encoding) -> AlpacaCommands<'_> {
        AlpacaCommands { rest: message, encoding, has_started: false }
    }
}

/// An iterator over the commands of one message, created by [`AlpacaCommand::decode_all`].
#[derive(Debug)]
pub struct AlpacaCommands<'a> {
    rest: &'a [u8],
    encoding: Encoding,
    has_started: bool,
}

impl<'a> AlpacaCommands<'a> {
    /// Returns the part of the message after the commands decoded so far. It is empty at the end,
    /// and after text that is not JSON.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the next JSON document, or `None` if only white space is left.
    fn next_document(&mut self) -> Option<Result<&'a [u8], AlpacaCommandError>> {
        let text = std::mem::take(&mut self.rest);
        let mut documents = serde_json::Deserializer::from_slice(text).into_iter();
        Some(match documents.next()? {
            Ok(IgnoredAny) => {
                let (document, rest) = text.split_at(documents.byte_offset());
                self.rest = rest.trim_ascii_start();
                Ok(document)
            }
            Err(error) => Err(invalid_syntax(decode_error("", &error).to_string())),
        })
    }
}

impl Iterator for AlpacaCommands<'_> {
    type Item = Result<AlpacaCommand, AlpacaCommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_first = !std::mem::replace(&mut self.has_started, true);
        if !is_first && self.rest.is_empty() {
            return None;
        }
        if self.encoding != Encoding::Json {
            return Some(decode_msgpack(std::mem::take(&mut self.rest)));
        }
        let document =
            self.next_document().unwrap_or_else(|| Err(invalid_syntax("empty message".to_owned())));
        let decode_json = |text| decode(&mut serde_json::Deserializer::from_slice(text));
        Some(document.and_then(decode_json))
    }
}

fn decode_msgpack(message: &[u8]) -> Result<AlpacaCommand, AlpacaCommandError> {
    let mut deserializer = msgpack_deserializer(message);
    let command = decode(&mut deserializer)?;
    match deserializer.get_ref().len() {
        0 => Ok(command),
        left => Err(invalid_syntax(format!("{left} bytes follow the command"))),
    }
}

fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AlpacaCommand, AlpacaCommandError> {
    let fields = CommandFields::decode(deserializer);
    fields.map_err(|error| invalid_syntax(error.to_string()))?.into_command()
}

fn invalid_syntax(detail: String) -> AlpacaCommandError {
    AlpacaCommandError { code: ErrorCode::InvalidSyntax, detail }
}

/// The fields of a command. The keys may come in any order.
#[derive(Default)]
struct CommandFields {
    action: Option<String>,
    key: Option<String>,
    secret: Option<String>,
    names: SubscriptionSet,
    /// An unknown key whose value is a list of strings.
    unknown_channel: Option<String>,
}

impl CommandFields {
    fn into_command(self) -> Result<AlpacaCommand, AlpacaCommandError> {
        let missing = |field: &str| invalid_syntax(format!("field {field}: missing"));
        let action = self.action.ok_or_else(|| missing("action"))?;
        match (action.as_str(), self.unknown_channel) {
            ("auth", _) => {
                let key = self.key.ok_or_else(|| missing("key"))?;
                let secret = self.secret.ok_or_else(|| missing("secret"))?;
                Ok(AlpacaCommand::Auth(Credentials::from_pair(key, secret)))
            }
            ("subscribe" | "unsubscribe", Some(key)) => Err(AlpacaCommandError {
                code: ErrorCode::InvalidAction,
                detail: format!("unknown channel {key:?}: expected {}", channel_names()),
            }),
            ("subscribe", None) => Ok(AlpacaCommand::Subscribe(self.names)),
            ("unsubscribe", None) => Ok(AlpacaCommand::Unsubscribe(self.names)),
            (other, _) => Err(invalid_syntax(format!(
                "field action: unknown action {:?}: expected auth, subscribe or unsubscribe",
                excerpt(other)
            ))),
        }
    }
}

impl FromKeys for CommandFields {
    fn read_value<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        current: &mut &'static str,
    ) -> Result<(), A::Error> {
        let mut read_text = |field| {
            *current = field;
            map.next_value()
        };
        match (key, Channel::from_name(key)) {
            ("action", _) => self.action = read_text("action")?,
            ("key", _) => self.key = read_text("key")?,
            ("secret", _) => self.secret = read_text("secret")?,
            (_, Some(Channel::Corrections | Channel::CancelErrors)) => {
                map.next_value::<IgnoredAny>()?;
            }
            (_, Some(channel)) => {
                *current = channel.name();
                if !self.names[channel].is_empty() {
                    return Err(de::Error::custom("given twice"));
                }
                self.names[channel] = map.next_value::<Option<Selection>>()?.unwrap_or_default();
            }
            (_, None) => {
                if map.next_value::<UnknownValue>()? == UnknownValue::ListOfText {
                    self.unknown_channel = Some(excerpt(key));
                }
            }
        }
        *current = "";
        Ok(())
    }
}

/// Returns the names of the channels that can be subscribed to: all but corrections and cancels.
fn channel_names() -> String {
    let names = Channel::ALL.map(Channel::name);
    names[..Channel::Corrections as usize].join(", ")
}

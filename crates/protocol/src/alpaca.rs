//! The stock stream's own dialect: what its SDKs send, and the answer they need.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::envelope::{Keyed, msgpack_source, refused};
use crate::msgpack::{write_array_len, write_str};
use crate::names::Selection;
use crate::{Channel, Credentials, Encoding, ErrorCode, SubscriptionSet};

/// A command of the stock stream. Corrections and cancels follow trades: lists of them are passed
/// over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlpacaCommand {
    /// Shows who it is.
    Auth(Credentials),
    /// Adds names; perhaps none.
    Subscribe(SubscriptionSet),
    /// Takes names away; perhaps none.
    Unsubscribe(SubscriptionSet),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct AlpacaCommandError {
    /// [`ErrorCode::InvalidSyntax`], or [`ErrorCode::InvalidAction`] for a channel that is none of
    /// this stream's.
    pub code: ErrorCode,
    /// What exactly was wrong, for people.
    pub detail: String,
}

impl AlpacaCommand {
    /// Reads the commands of one message, in the session's encoding whatever kind of frame it came
    /// in: one MessagePack map, or JSON documents one behind the other. There is one at least, or an
    /// error; behind what is not JSON nothing more is read.
    #[must_use]
    pub fn decode_all(message: &[u8], encoding: Encoding) -> AlpacaCommands<'_> {
        AlpacaCommands { rest: message, encoding, begun: false }
    }
}

/// The commands of one message, read as they are asked for.
#[derive(Debug)]
pub struct AlpacaCommands<'a> {
    rest: &'a [u8],
    encoding: Encoding,
    begun: bool,
}

impl<'a> AlpacaCommands<'a> {
    /// What lies behind the commands read so far; empty at the end, and behind what is not JSON.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next JSON document, or `None` if only white space is left.
    fn document(&mut self) -> Option<Result<&'a [u8], AlpacaCommandError>> {
        let text = std::mem::take(&mut self.rest);
        let mut documents = serde_json::Deserializer::from_slice(text).into_iter();
        Some(match documents.next()? {
            Ok(IgnoredAny) => {
                let (document, rest) = text.split_at(documents.byte_offset());
                self.rest = rest.trim_ascii_start();
                Ok(document)
            }
            Err(error) => Err(syntax(refused("", &error).to_string())),
        })
    }
}

impl Iterator for AlpacaCommands<'_> {
    type Item = Result<AlpacaCommand, AlpacaCommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        if !is_first && self.rest.is_empty() {
            return None;
        }
        if self.encoding != Encoding::Json {
            return Some(read_msgpack(std::mem::take(&mut self.rest)));
        }
        let document = self.document().unwrap_or_else(|| Err(syntax("empty message".to_owned())));
        let read = |text| read(&mut serde_json::Deserializer::from_slice(text));
        Some(document.and_then(read))
    }
}

fn read_msgpack(message: &[u8]) -> Result<AlpacaCommand, AlpacaCommandError> {
    let mut source = msgpack_source(message);
    let command = read(&mut source)?;
    match source.get_ref().len() {
        0 => Ok(command),
        left => Err(syntax(format!("{left} bytes follow the command"))),
    }
}

fn read<'de, D: Deserializer<'de>>(source: D) -> Result<AlpacaCommand, AlpacaCommandError> {
    Asked::read(source).map_err(|error| syntax(error.to_string()))?.interpret()
}

fn syntax(detail: String) -> AlpacaCommandError {
    AlpacaCommandError { code: ErrorCode::InvalidSyntax, detail }
}

/// The keys of a command, in whatever order they come.
#[derive(Default)]
struct Asked {
    action: Option<String>,
    key: Option<String>,
    secret: Option<String>,
    names: SubscriptionSet,
    /// A list of names under a key that is no channel.
    foreign: Option<String>,
}

impl Asked {
    fn interpret(self) -> Result<AlpacaCommand, AlpacaCommandError> {
        let missing = |field: &str| syntax(format!("field {field}: missing"));
        let action = self.action.ok_or_else(|| missing("action"))?;
        match (action.as_str(), self.foreign) {
            ("auth", _) => {
                let key = self.key.ok_or_else(|| missing("key"))?;
                let secret = self.secret.ok_or_else(|| missing("secret"))?;
                Ok(AlpacaCommand::Auth(Credentials::from_pair(key, secret)))
            }
            ("subscribe" | "unsubscribe", Some(key)) => Err(AlpacaCommandError {
                code: ErrorCode::InvalidAction,
                detail: format!("{key:?} is no channel of this stream; it has {}", channels()),
            }),
            ("subscribe", None) => Ok(AlpacaCommand::Subscribe(self.names)),
            ("unsubscribe", None) => Ok(AlpacaCommand::Unsubscribe(self.names)),
            (other, _) => Err(syntax(format!(
                "field action: unknown action {:?}: expected auth, subscribe or unsubscribe",
                shown(other)
            ))),
        }
    }
}

impl Keyed for Asked {
    fn take_value<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        reading: &mut &'static str,
    ) -> Result<(), A::Error> {
        let mut text = |field| {
            *reading = field;
            map.next_value()
        };
        match (key, Channel::from_name(key)) {
            ("action", _) => self.action = text("action")?,
            ("key", _) => self.key = text("key")?,
            ("secret", _) => self.secret = text("secret")?,
            (_, Some(Channel::Corrections | Channel::CancelErrors)) => {
                map.next_value::<IgnoredAny>()?;
            }
            (_, Some(channel)) => {
                *reading = channel.name();
                if !self.names[channel].is_empty() {
                    return Err(de::Error::custom("given twice"));
                }
                self.names[channel] = map.next_value::<Option<Selection>>()?.unwrap_or_default();
            }
            (_, None) => {
                if map.next_value::<Foreign>()? == Foreign::List {
                    self.foreign = Some(shown(key));
                }
            }
        }
        *reading = "";
        Ok(())
    }
}

/// As much of what a peer says as an answer repeats.
fn shown(text: &str) -> String {
    text.chars().take(32).collect()
}

/// The channels that can be asked for.
fn channels() -> String {
    let names = Channel::ALL.map(Channel::name);
    names[..Channel::Corrections as usize].join(", ")
}

/// The value of an unknown key. SDKs send the channels of other streams too, as nil or as an empty
/// list.
#[derive(PartialEq)]
enum Foreign {
    Text,
    /// A list with a string in it.
    List,
    Other,
}

impl<'de> Deserialize<'de> for Foreign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ForeignVisitor)
    }
}

struct ForeignVisitor;

/// What is no list, whatever it is.
macro_rules! no_list {
    ($($visit:ident: $value:ty,)*) => {
        $(fn $visit<E>(self, _value: $value) -> Result<Foreign, E> {
            Ok(Foreign::Other)
        })*
    };
}

impl<'de> Visitor<'de> for ForeignVisitor {
    type Value = Foreign;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    no_list! {
        visit_bool: bool,
        visit_i64: i64,
        visit_u64: u64,
        visit_f64: f64,
        visit_bytes: &[u8],
    }

    fn visit_str<E>(self, _value: &str) -> Result<Foreign, E> {
        Ok(Foreign::Text)
    }

    fn visit_unit<E>(self) -> Result<Foreign, E> {
        Ok(Foreign::Other)
    }

    /// An extension of MessagePack.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<Foreign, D::Error> {
        IgnoredAny::deserialize(value).map(|IgnoredAny| Foreign::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Foreign, A::Error> {
        while let Some((IgnoredAny, IgnoredAny)) = map.next_entry()? {}
        Ok(Foreign::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Foreign, A::Error> {
        let mut found = Foreign::Other;
        while let Some(entry) = list.next_element::<Foreign>()? {
            if entry == Foreign::Text {
                found = Foreign::List;
            }
        }
        Ok(found)
    }
}

/// Appends the whole set of a session as the one element of a message: every channel is there, as a
/// list that is never null, since SDKs replace their own set by it.
pub fn write_alpaca_subscription(names: &SubscriptionSet, encoding: Encoding, out: &mut Vec<u8>) {
    match encoding {
        Encoding::Json => write_json_ack(names, out),
        Encoding::MsgpackArray | Encoding::MsgpackMap => write_msgpack_ack(names, out),
    }
}

fn write_json_ack(names: &SubscriptionSet, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[{\"T\":\"subscription\"");
    for (channel, selection) in names.iter() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(channel.name().as_bytes());
        out.extend_from_slice(b"\":[");
        let mut separator: &[u8] = b"\"";
        for name in selection.iter() {
            out.extend_from_slice(separator);
            out.extend_from_slice(name.as_bytes()); // no name needs an escape
            out.push(b'"');
            separator = b",\"";
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}]");
}

fn write_msgpack_ack(names: &SubscriptionSet, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x91\x8b"); // a map of T and the ten channels
    write_str(out, "T");
    write_str(out, "subscription");
    for (channel, selection) in names.iter() {
        write_str(out, channel.name());
        write_array_len(out, selection.len());
        selection.iter().for_each(|name| write_str(out, name));
    }
}

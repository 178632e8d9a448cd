//! The encodings of ticks and control elements.

use crate::msgpack::{array, map};
use crate::{DecodeError, Tick, ValueError, json};

/// How the messages of a session are encoded. Control elements are maps in every encoding.
///
/// A subscriber chooses the encoding by the WebSocket subprotocol (RFC 6455, section 1.9). See
/// `docs/protocol/ticks.md`, section "Encodings".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// JSON (RFC 8259) in text frames; a tick is an object. Subprotocol `tickwire.v1.json`, and the
    /// default.
    Json,
    /// MessagePack in binary frames; a tick is an array of its fields in a fixed order. Subprotocol
    /// `tickwire.v1.msgpack`.
    MsgpackArray,
    /// MessagePack in binary frames; a tick is a map with the keys of the JSON object, `T` first,
    /// and with its time as a timestamp extension. The SDKs of Alpaca's stream read this encoding;
    /// it has no subprotocol.
    MsgpackMap,
}

impl Encoding {
    /// Number of encodings.
    pub const COUNT: usize = 3;
    /// The WebSocket subprotocol that selects [`Encoding::MsgpackArray`].
    pub const MSGPACK_SUBPROTOCOL: &'static str = "tickwire.v1.msgpack";

    /// Returns the WebSocket subprotocol that selects this encoding; `None` for
    /// [`Encoding::MsgpackMap`], which has none.
    #[must_use]
    pub const fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("tickwire.v1.json"),
            Self::MsgpackArray => Some(Self::MSGPACK_SUBPROTOCOL),
            Self::MsgpackMap => None,
        }
    }

    /// Returns the encoding that a WebSocket subprotocol selects; `None` if it is unknown.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        [Self::Json, Self::MsgpackArray]
            .into_iter()
            .find(|encoding| encoding.subprotocol() == Some(name))
    }

    /// Returns whether messages travel in binary frames; otherwise they travel in text frames.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::MsgpackArray | Self::MsgpackMap)
    }

    /// Appends a tick as one element of a message, without a separator.
    #[inline]
    pub fn write_tick(self, tick: &Tick, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::write_tick(tick, out),
            Self::MsgpackArray => array::write_tick(tick, out),
            Self::MsgpackMap => map::write_tick(tick, out),
        }
    }
}

impl Tick {
    /// Decodes a tick from one JSON object, such as a line of an NDJSON file.
    ///
    /// # Errors
    /// Fails if the object is not a valid tick. The error names the field that is wrong and what is
    /// allowed.
    pub fn from_json(text: &[u8]) -> Result<Self, DecodeError> {
        match serde_json::from_slice(text) {
            Ok(serde_json::Value::Object(element)) => json::read_tick(&element),
            Ok(other) => Err(DecodeError::message(json::mismatch("an object", &other))),
            Err(error) => Err(DecodeError::message(ValueError::Invalid(error.to_string()))),
        }
    }

    /// Appends the tick as a JSON object without its fields `T` and `S`, for answers in which the
    /// surrounding keys already say the kind and the symbol.
    pub fn write_json_without_symbol(&self, out: &mut Vec<u8>) {
        json::write_tick_without_symbol(self, out);
    }

    /// Appends the tick as one JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        json::write_tick(self, out);
    }
}

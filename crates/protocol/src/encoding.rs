//! How ticks and control elements are spelled.

use crate::{DecodeError, Tick, ValueError, json, map, msgpack};

/// How a tick is spelled. Control elements are maps in each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// JSON objects in text frames.
    Json,
    /// MessagePack arrays in binary frames, subprotocol `tickwire.v1.msgpack`.
    MsgpackArray,
    /// MessagePack maps in binary frames, as the SDKs of Alpaca's stream read them: the keys of the
    /// JSON objects, `T` first, times as the timestamp extension.
    MsgpackMap,
}

impl Encoding {
    /// How many encodings there are.
    pub const COUNT: usize = 3;
    /// The WebSocket subprotocol of [`Encoding::MsgpackArray`].
    pub const MSGPACK_SUBPROTOCOL: &'static str = "tickwire.v1.msgpack";

    /// The WebSocket subprotocol that asks for it; maps have none.
    #[must_use]
    pub const fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("tickwire.v1.json"),
            Self::MsgpackArray => Some(Self::MSGPACK_SUBPROTOCOL),
            Self::MsgpackMap => None,
        }
    }

    /// The encoding a WebSocket subprotocol asks for.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        [Self::Json, Self::MsgpackArray]
            .into_iter()
            .find(|encoding| encoding.subprotocol() == Some(name))
    }

    /// Whether messages travel in binary frames rather than in text frames.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::MsgpackArray | Self::MsgpackMap)
    }

    /// Appends one tick as an element, without separators.
    #[inline]
    pub fn write_tick(self, tick: &Tick, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::write_tick(tick, out),
            Self::MsgpackArray => msgpack::write_tick(tick, out),
            Self::MsgpackMap => map::write_tick(tick, out),
        }
    }
}

impl Tick {
    /// Reads one element from JSON, such as a line of an NDJSON file.
    ///
    /// # Errors
    /// Says what was wrong with which field.
    pub fn from_json(text: &[u8]) -> Result<Self, DecodeError> {
        match serde_json::from_slice(text) {
            Ok(serde_json::Value::Object(element)) => json::read_tick(&element),
            Ok(other) => Err(DecodeError::message(json::mismatch("an object", &other))),
            Err(error) => Err(DecodeError::message(ValueError::Invalid(error.to_string()))),
        }
    }

    /// Appends what it says of its symbol as a JSON object: the keys behind `T` and `S`, for where
    /// both are known.
    pub fn write_json_without_symbol(&self, out: &mut Vec<u8>) {
        json::write_values(self, out);
    }

    /// Appends it as one JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        json::write_tick(self, out);
    }
}

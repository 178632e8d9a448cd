//! Keys whose value has another type in a command than in an element.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of `pos`: a subscribe requests positions, an element reports one.
#[derive(Debug)]
pub(crate) enum PosField {
    /// Whether the subscriber wants positions.
    Requested(bool),
    /// A position in the hub.
    Position(u64),
}

impl Serialize for PosField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Requested(requested) => serializer.serialize_bool(*requested),
            Self::Position(position) => serializer.serialize_u64(*position),
        }
    }
}

impl<'de> Deserialize<'de> for PosField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PosVisitor)
    }
}

struct PosVisitor;

impl Visitor<'_> for PosVisitor {
    type Value = PosField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a position")
    }

    fn visit_bool<E>(self, requested: bool) -> Result<PosField, E> {
        Ok(PosField::Requested(requested))
    }

    fn visit_u64<E>(self, position: u64) -> Result<PosField, E> {
        Ok(PosField::Position(position))
    }
}

/// The value of `from`: a gap begins at a sequence number, a replay at a time.
#[derive(Debug)]
pub(crate) enum FromField {
    /// The sequence number of the first missing tick.
    Seq(u64),
    /// The start of a replay, not parsed yet.
    Time(String),
}

impl Serialize for FromField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Seq(seq) => serializer.serialize_u64(*seq),
            Self::Time(time) => serializer.serialize_str(time),
        }
    }
}

impl<'de> Deserialize<'de> for FromField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FromVisitor)
    }
}

struct FromVisitor;

impl Visitor<'_> for FromVisitor {
    type Value = FromField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a time")
    }

    fn visit_u64<E>(self, seq: u64) -> Result<FromField, E> {
        Ok(FromField::Seq(seq))
    }

    fn visit_str<E>(self, time: &str) -> Result<FromField, E> {
        Ok(FromField::Time(time.to_owned()))
    }
}

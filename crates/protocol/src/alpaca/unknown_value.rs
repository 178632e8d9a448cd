//! Values of keys that are not channels of the stock stream.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The form of a value under an unknown key.
///
/// SDKs also send the channels of Alpaca's other streams, as null or as an empty list. A list with
/// a string in it is a subscription that the stock stream cannot serve.
#[derive(PartialEq)]
pub(super) enum UnknownValue {
    Text,
    /// A list that contains a string.
    ListOfText,
    Other,
}

impl<'de> Deserialize<'de> for UnknownValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnknownValueVisitor)
    }
}

struct UnknownValueVisitor;

/// Implements visitor methods for types that are neither texts nor lists.
macro_rules! visit_other {
    ($($visit:ident: $value:ty,)*) => {
        $(fn $visit<E>(self, _value: $value) -> Result<UnknownValue, E> {
            Ok(UnknownValue::Other)
        })*
    };
}

impl<'de> Visitor<'de> for UnknownValueVisitor {
    type Value = UnknownValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    visit_other! {
        visit_bool: bool,
        visit_i64: i64,
        visit_u64: u64,
        visit_f64: f64,
        visit_bytes: &[u8],
    }

    fn visit_str<E>(self, _value: &str) -> Result<UnknownValue, E> {
        Ok(UnknownValue::Text)
    }

    fn visit_unit<E>(self) -> Result<UnknownValue, E> {
        Ok(UnknownValue::Other)
    }

    // A MessagePack extension.
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        value: D,
    ) -> Result<UnknownValue, D::Error> {
        IgnoredAny::deserialize(value).map(|IgnoredAny| UnknownValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UnknownValue, A::Error> {
        while let Some((IgnoredAny, IgnoredAny)) = map.next_entry()? {}
        Ok(UnknownValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<UnknownValue, A::Error> {
        let mut found = UnknownValue::Other;
        while let Some(entry) = list.next_element::<UnknownValue>()? {
            if entry == UnknownValue::Text {
                found = UnknownValue::ListOfText;
            }
        }
        Ok(found)
    }
}

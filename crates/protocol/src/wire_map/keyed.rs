//! Decodes structs from maps, key by key, so that an error can name the key it occurred in.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::{DecodeError, ValueError};

/// How deep the values of unknown keys may nest in MessagePack. They are skipped by recursion.
const DEPTH_MAX: usize = 64;
/// Characters of a serde error that are kept; the input of a peer can make it long.
const ERROR_CHARS_MAX: usize = 200;

/// A struct that is decoded from a map, key by key.
pub(crate) trait FromKeys: Default {
    /// Reads the value of `key` from `map`. Sets `current` to the key while it reads the value of a
    /// known one, and to `""` afterwards.
    fn read_value<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        current: &mut &'static str,
    ) -> Result<(), A::Error>;

    /// Decodes the whole map. An error names the key whose value is wrong.
    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, DecodeError> {
        let mut current = "";
        KeysVisitor { current: &mut current, target: PhantomData }
            .deserialize(deserializer)
            .map_err(|error| decode_error(current, &error))
    }
}

struct KeysVisitor<'a, T> {
    current: &'a mut &'static str,
    target: PhantomData<T>,
}

impl<'de, T: FromKeys> DeserializeSeed<'de> for KeysVisitor<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: FromKeys> Visitor<'de> for KeysVisitor<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut target = T::default();
        while let Some(key) = map.next_key::<String>()? {
            target.read_value(&key, &mut map, self.current)?;
        }
        Ok(target)
    }
}

/// Creates a deserializer of MessagePack from which the caller can learn how many bytes are left.
/// That works only through `Read`.
pub(crate) fn msgpack_deserializer(
    bytes: &[u8],
) -> rmp_serde::Deserializer<rmp_serde::decode::ReadReader<&[u8]>> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    deserializer
}

/// Converts an error of serde, whose text is shortened, into an error in `field`.
pub(crate) fn decode_error(field: &'static str, error: &impl fmt::Display) -> DecodeError {
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(ERROR_CHARS_MAX) {
        text.truncate(end);
    }
    DecodeError::field("", field, ValueError::Invalid(text))
}

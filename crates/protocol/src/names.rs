//! Which symbols of which channels.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Channel, PerChannel, Symbol};

/// Symbols of one channel, and perhaps every symbol of it (`"*"`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// `"*"`: every symbol.
    pub all: bool,
    /// Symbols by name.
    pub symbols: Vec<Symbol>,
}

impl Selection {
    /// Whether nothing is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.symbols.is_empty()
    }

    /// How many names there are, `"*"` counted as one.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.all) + self.symbols.len()
    }

    /// The names, `"*"` first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.all.then_some("*").into_iter().chain(self.symbols.iter().map(Symbol::as_str))
    }

    /// Adds `"*"` or a symbol by name.
    ///
    /// # Errors
    /// If the name is not a symbol.
    pub fn add(&mut self, name: &str) -> Result<(), crate::ValueError> {
        if name == "*" {
            self.all = true;
        } else {
            self.symbols.push(Symbol::new(name)?);
        }
        Ok(())
    }
}

/// Which symbols of which channels.
pub type SubscriptionSet = PerChannel<Selection>;

impl SubscriptionSet {
    /// How many names there are in all channels.
    #[must_use]
    pub fn total(&self) -> usize {
        self.iter().map(|(_, selection)| selection.len()).sum()
    }
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for name in self.iter() {
            list.serialize_element(name)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SelectionVisitor)
    }
}

struct SelectionVisitor;

impl<'de> Visitor<'de> for SelectionVisitor {
    type Value = Selection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of symbols")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Selection, A::Error> {
        let mut selection = Selection::default();
        while let Some(NameOf(name)) = list.next_element()? {
            match name {
                Some(symbol) => selection.symbols.push(symbol),
                None => selection.all = true,
            }
        }
        Ok(selection)
    }
}

/// A symbol, or `None` for `"*"`; read without allocating.
struct NameOf(Option<Symbol>);

impl<'de> Deserialize<'de> for NameOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = NameOf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a symbol or \"*\"")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<NameOf, E> {
                if name == "*" {
                    return Ok(NameOf(None));
                }
                Symbol::new(name).map(|symbol| NameOf(Some(symbol))).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// What a map by channel leaves out.
trait Nothing {
    fn is_nothing(&self) -> bool;
}

impl Nothing for u64 {
    fn is_nothing(&self) -> bool {
        *self == 0
    }
}

impl Nothing for Selection {
    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<V: Serialize + Nothing> Serialize for PerChannel<V> {
    /// A map of the channels that have something.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = || self.iter().filter(|(_, value)| !value.is_nothing());
        let mut map = serializer.serialize_map(Some(used().count()))?;
        for (channel, value) in used() {
            map.serialize_entry(channel.name(), value)?;
        }
        map.end()
    }
}

impl<'de, V: Deserialize<'de> + Nothing + Default> Deserialize<'de> for PerChannel<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PerChannelVisitor(PhantomData))
    }
}

struct PerChannelVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de> + Nothing + Default> Visitor<'de> for PerChannelVisitor<V> {
    type Value = PerChannel<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map by channel")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PerChannel<V>, A::Error> {
        let mut values = PerChannel::default();
        while let Some(name) = map.next_key::<String>()? {
            match Channel::from_name(&name) {
                Some(channel) => values[channel] = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

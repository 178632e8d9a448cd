//! Which symbols of which channels.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
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
pub type Names = PerChannel<Selection>;

impl Names {
    /// How many names there are in all channels.
    #[must_use]
    pub fn total(&self) -> usize {
        self.iter().map(|(_, selection)| selection.len()).sum()
    }
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        if self.all {
            list.serialize_element("*")?;
        }
        for symbol in &self.symbols {
            list.serialize_element(symbol)?;
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

impl Serialize for PerChannel<u64> {
    /// A map of the channels that are not zero.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = || self.iter().filter(|(_, count)| **count > 0);
        let mut map = serializer.serialize_map(Some(used().count()))?;
        for (channel, count) in used() {
            map.serialize_entry(channel.name(), count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for PerChannel<u64> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut counts = Self::default();
        for (name, count) in map {
            if let Some(channel) = Channel::from_name(&name) {
                counts[channel] = count;
            }
        }
        Ok(counts)
    }
}

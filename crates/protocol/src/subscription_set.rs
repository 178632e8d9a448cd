//! Sets of subscriptions: which symbols of which channels.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PerChannel, Symbol, ValueError};

/// The name that subscribes to every symbol of a channel.
const WILDCARD: &str = "*";

/// The names that are selected in one channel. A *name* is a symbol, or `"*"` for every symbol.
///
/// On the wire it is an array of strings. A subscriber may select symbols and `"*"` together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Whether `"*"` is selected: every symbol of the channel, also those that have not ticked yet.
    pub all: bool,
    /// The symbols that are selected by name.
    pub symbols: Vec<Symbol>,
}

impl Selection {
    /// Returns whether nothing is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.symbols.is_empty()
    }

    /// Returns the number of names, counting `"*"` as one.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.all) + self.symbols.len()
    }

    /// Returns the names as they stand on the wire, `"*"` first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.all.then_some(WILDCARD).into_iter().chain(self.symbols.iter().map(Symbol::as_str))
    }

    /// Adds a name: a symbol or `"*"`. A symbol that is already selected is added a second time.
    ///
    /// # Errors
    /// Fails if the name is neither `"*"` nor a valid [`Symbol`].
    pub fn add(&mut self, name: &str) -> Result<(), ValueError> {
        if name == WILDCARD {
            self.all = true;
        } else {
            self.symbols.push(Symbol::new(name)?);
        }
        Ok(())
    }
}

/// The names that are selected in each channel.
///
/// On the wire it is a map from channel names to arrays of names, without empty channels:
/// `{"trades":["AAPL"],"bars":["*"]}`.
pub type SubscriptionSet = PerChannel<Selection>;

impl SubscriptionSet {
    /// Returns the number of names in all channels together, counting each `"*"` as one.
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
        while let Some(name) = list.next_element()? {
            match name {
                Name::Symbol(symbol) => selection.symbols.push(symbol),
                Name::Wildcard => selection.all = true,
            }
        }
        Ok(selection)
    }
}

/// One name of a selection. Decoding it allocates nothing.
enum Name {
    Symbol(Symbol),
    Wildcard,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a symbol or \"*\"")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                match name {
                    WILDCARD => Ok(Name::Wildcard),
                    _ => Symbol::new(name).map(Name::Symbol).map_err(E::custom),
                }
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

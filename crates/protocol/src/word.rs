//! Enums that are words on the wire, such as `"every"` and `"latest"`.

use std::fmt;

use serde::de::{Error, Visitor};

/// Implements `name()`, `Serialize` and `Deserialize` for an enum, given the word of each variant.
///
/// Serde's derive macros are not used, because they would accept a number from MessagePack as the
/// index of a variant.
macro_rules! wire_words {
    ($vis:vis $type:ident { $($variant:ident = $word:literal,)+ }) => {
        impl $type {
            /// Returns the word that stands for this value on the wire.
            #[must_use]
            $vis const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const WORDS: &[(&str, $type)] = &[$(($word, $type::$variant)),+];
                deserializer.deserialize_str(crate::word::WordVisitor(WORDS))
            }
        }
    };
}

pub(crate) use wire_words;

/// Decodes a string that must be one of these words into the value paired with it.
pub(crate) struct WordVisitor<V: 'static>(pub(crate) &'static [(&'static str, V)]);

impl<V: Copy> Visitor<'_> for WordVisitor<V> {
    type Value = V;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.len() - 1;
        for (index, (word, _)) in self.0.iter().enumerate() {
            let separator = if index == 0 {
                ""
            } else if index == last {
                " or "
            } else {
                ", "
            };
            write!(f, "{separator}{word:?}")?;
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V, E> {
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let expected: &dyn serde::de::Expected = &self;
            E::custom(format_args!("{:?}: expected {expected}", crate::error::excerpt(text)))
        })
    }
}

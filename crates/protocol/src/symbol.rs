//! Symbols: the names of instruments.

use std::fmt;
use std::str::FromStr;

use crate::error::excerpt;
use crate::{SYMBOL_BYTES_MAX, ValueError};

/// The name of an instrument, such as `AAPL` or `BRK.B`: 1 to 24 characters of `A-Z 0-9 . _ / -`.
///
/// It is stored inline and is `Copy`, because it is the key of every look-up on the tick path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol {
    // Invariant: bytes[len..] are zero, so that the derived comparisons order symbols as text.
    bytes: [u8; SYMBOL_BYTES_MAX],
    len: u8,
}

impl Symbol {
    /// Creates a symbol.
    ///
    /// # Errors
    /// Fails if the text is empty, longer than [`SYMBOL_BYTES_MAX`], or contains a character
    /// outside `A-Z 0-9 . _ / -`.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let allowed = |b: u8| {
            b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'/' | b'-')
        };
        let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        if text.is_empty() || text.len() > SYMBOL_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(ValueError::Invalid(format!(
                "symbol {:?}: expected 1 to {SYMBOL_BYTES_MAX} of A-Z 0-9 . _ / -",
                excerpt(text)
            )));
        }
        let mut bytes = [0; SYMBOL_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len })
    }

    /// Returns the symbol as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// Returns the bytes of the text, all of them ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Symbol {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

impl serde::Serialize for Symbol {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Symbol {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SymbolVisitor;

        impl serde::de::Visitor<'_> for SymbolVisitor {
            type Value = Symbol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a symbol")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Symbol, E> {
                Symbol::new(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(SymbolVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_real_markets_are_accepted() {
        for text in ["A", "AAPL", "BRK.B", "BTC/USD", "SPY_251219-C", "ABCDEFGHIJKLMNOPQRSTUVWX"] {
            assert_eq!(Symbol::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn malformed_symbols_are_rejected() {
        for text in ["", "aapl", "AA PL", "*", "ABCDEFGHIJKLMNOPQRSTUVWXY", "É"] {
            assert!(Symbol::new(text).is_err(), "{text}");
        }
    }
}

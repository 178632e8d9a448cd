//! Names of instruments and of the markets they come from.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::{SYMBOL_BYTES_MAX, ValueError};

/// The name of an instrument, such as `AAPL` or `BRK.B`: `[A-Z0-9._/-]{1,24}`.
///
/// Kept inline and `Copy`, since it is the key of every lookup on the tick path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol {
    // Invariant: bytes[len..] are zero, so that derived comparisons agree with those of the text.
    bytes: [u8; SYMBOL_BYTES_MAX],
    len: u8,
}

impl Symbol {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// If it is empty, too long or holds a character outside `[A-Z0-9._/-]`.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let allowed = |b: u8| {
            b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'/' | b'-')
        };
        let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        if text.is_empty() || text.len() > SYMBOL_BYTES_MAX || !text.bytes().all(allowed) {
            let shown: String = text.chars().take(32).collect();
            return Err(ValueError::Invalid(format!(
                "symbol {shown:?}: expected 1 to {SYMBOL_BYTES_MAX} of A-Z 0-9 . _ / -"
            )));
        }
        let mut bytes = [0; SYMBOL_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// The name's bytes, all ASCII.
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
        struct NameVisitor;

        impl serde::de::Visitor<'_> for NameVisitor {
            type Value = Symbol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a symbol")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Symbol, E> {
                Symbol::new(name).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// The name of a market, such as `main`: `[a-z0-9_-]{1,24}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feed(ecow::EcoString);

impl Feed {
    /// The feed that is meant when none is named.
    pub const DEFAULT: &str = "main";

    /// Checks and takes a name.
    ///
    /// # Errors
    /// If it is empty, too long or holds a character outside `[a-z0-9_-]`.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        if text.is_empty() || text.len() > SYMBOL_BYTES_MAX || !text.bytes().all(allowed) {
            let shown: String = text.chars().take(32).collect();
            return Err(ValueError::Invalid(format!(
                "feed {shown:?}: expected 1 to {SYMBOL_BYTES_MAX} of a-z 0-9 _ -"
            )));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl Borrow<str> for Feed {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Feed {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_real_markets_are_taken() {
        for text in ["A", "AAPL", "BRK.B", "BTC/USD", "SPY_251219-C", "ABCDEFGHIJKLMNOPQRSTUVWX"] {
            assert_eq!(Symbol::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_symbol_is_refused() {
        for text in ["", "aapl", "AA PL", "*", "ABCDEFGHIJKLMNOPQRSTUVWXY", "É"] {
            assert!(Symbol::new(text).is_err(), "{text}");
        }
        assert!(Feed::new("Main").is_err());
    }
}

//! Short strings that pass through untouched.

use std::fmt;

use ecow::EcoString;

use crate::{CONDITIONS_MAX, TEXT_BYTES_MAX, ValueError};

/// A string of at most 64 bytes: an exchange, a tape, a message. Inline up to 15 bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(EcoString);

impl Text {
    /// Takes a string.
    ///
    /// # Errors
    /// If it is longer than 64 bytes.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.len() > TEXT_BYTES_MAX {
            let (value, limit) = (text.len() as u64, TEXT_BYTES_MAX as u64);
            return Err(ValueError::TooLarge { value, limit });
        }
        Ok(Self(text.into()))
    }

    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes kept outside of this value.
    pub(crate) fn heap_bytes(&self) -> usize {
        heap_bytes(&self.0)
    }
}

fn heap_bytes(text: &EcoString) -> usize {
    if text.len() > EcoString::INLINE_LIMIT { text.len() } else { 0 }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The condition codes of a tick, in order: at most 16 of at most 64 bytes each.
///
/// All of them share one string, each behind a character that holds its length: real ticks have up
/// to four one-letter codes, which then need no allocation.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Conditions(EcoString);

impl Conditions {
    /// Takes condition codes in order.
    ///
    /// # Errors
    /// If there are more than 16, or one is longer than 64 bytes.
    pub fn new<'a>(codes: impl IntoIterator<Item = &'a str>) -> Result<Self, ValueError> {
        let mut conditions = Self::default();
        for (index, code) in codes.into_iter().enumerate() {
            if index == CONDITIONS_MAX {
                let limit = CONDITIONS_MAX as u64;
                return Err(ValueError::TooLarge { value: limit + 1, limit });
            }
            conditions.push(code)?;
        }
        Ok(conditions)
    }

    /// Adds one; the caller has checked that there are not too many.
    pub(crate) fn push(&mut self, code: &str) -> Result<(), ValueError> {
        let length = u8::try_from(code.len()).unwrap_or(u8::MAX);
        if code.len() > TEXT_BYTES_MAX {
            let (value, limit) = (code.len() as u64, TEXT_BYTES_MAX as u64);
            return Err(ValueError::TooLarge { value, limit });
        }
        self.0.push(char::from(length));
        self.0.push_str(code);
        Ok(())
    }

    /// The codes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            let length = usize::from(*rest.as_bytes().first()?);
            let (code, tail) = rest[1..].split_at(length);
            rest = tail;
            Some(code)
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length of all codes together with their length bytes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Bytes kept outside of this value.
    pub(crate) fn heap_bytes(&self) -> usize {
        heap_bytes(&self.0)
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_keep_order_and_empty_codes() {
        let long = "x".repeat(TEXT_BYTES_MAX);
        let codes = ["@", "", "4", long.as_str(), "é"];
        let conditions = Conditions::new(codes).unwrap();
        assert_eq!(conditions.iter().collect::<Vec<_>>(), codes);
        assert_eq!(conditions.len(), 5);
        assert!(Conditions::default().is_empty());
    }

    #[test]
    fn too_many_or_too_long_conditions_are_refused() {
        assert!(Conditions::new(std::iter::repeat_n("@", 16)).is_ok());
        assert!(Conditions::new(std::iter::repeat_n("@", 17)).is_err());
        assert!(Conditions::new(["x".repeat(65).as_str()]).is_err());
        assert!(Text::new(&"x".repeat(65)).is_err());
    }
}

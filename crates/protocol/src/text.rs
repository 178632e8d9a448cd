//! Short strings inside ticks, which the hub passes through unchanged.

use std::fmt;

use ecow::EcoString;

use crate::{CONDITIONS_MAX, TEXT_BYTES_MAX, ValueError};

/// A string inside a tick, such as an exchange, a tape or a status message: at most
/// [`TEXT_BYTES_MAX`] bytes of UTF-8. Strings of up to 15 bytes are stored inline.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(EcoString);

impl Text {
    /// Creates a text.
    ///
    /// # Errors
    /// Fails if the string is longer than [`TEXT_BYTES_MAX`].
    pub fn new(text: &str) -> Result<Self, ValueError> {
        ValueError::check_len(text.len(), TEXT_BYTES_MAX, "bytes")?;
        Ok(Self(text.into()))
    }

    /// Returns the string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the bytes that are allocated on the heap for this value.
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

/// The condition codes of a tick, in order: at most [`CONDITIONS_MAX`] codes of at most
/// [`TEXT_BYTES_MAX`] bytes each.
///
/// All codes share one string, in which each code follows a character that holds its length. Real
/// ticks have up to four codes of one letter, which are therefore stored without an allocation.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Conditions(EcoString);

impl Conditions {
    /// Creates a list of condition codes, in the order given.
    ///
    /// # Errors
    /// Fails if there are more than [`CONDITIONS_MAX`] codes, or if one is longer than
    /// [`TEXT_BYTES_MAX`].
    pub fn new<'a>(codes: impl IntoIterator<Item = &'a str>) -> Result<Self, ValueError> {
        let mut conditions = Self::default();
        for (index, code) in codes.into_iter().enumerate() {
            Self::check_count(index + 1)?;
            conditions.push(code)?;
        }
        Ok(conditions)
    }

    /// Returns an error if a list may not have `count` codes.
    pub(crate) fn check_count(count: usize) -> Result<(), ValueError> {
        ValueError::check_len(count, CONDITIONS_MAX, "conditions")
    }

    /// Appends a code. The caller has checked the number of codes ([`Self::check_count`]).
    pub(crate) fn push(&mut self, code: &str) -> Result<(), ValueError> {
        ValueError::check_len(code.len(), TEXT_BYTES_MAX, "bytes")?;
        let length = u8::try_from(code.len()).unwrap_or(u8::MAX);
        self.0.push(char::from(length));
        self.0.push_str(code);
        Ok(())
    }

    /// Returns the codes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            let length = usize::from(*rest.as_bytes().first()?);
            let (code, tail) = rest[1..].split_at(length);
            rest = tail;
            Some(code)
        })
    }

    /// Returns the number of codes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Returns whether there are no codes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the length of all codes together, in bytes, including one length byte for each.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Returns the bytes that are allocated on the heap for this value.
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
    fn too_many_and_too_long_conditions_are_rejected() {
        assert!(Conditions::new(std::iter::repeat_n("@", 16)).is_ok());
        assert!(Conditions::new(std::iter::repeat_n("@", 17)).is_err());
        assert!(Conditions::new(["x".repeat(65).as_str()]).is_err());
        assert!(Text::new(&"x".repeat(65)).is_err());
    }
}

//! Feeds: the markets that a hub serves, and their state.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use ecow::EcoString;

use crate::error::excerpt;
use crate::word::wire_words;
use crate::{SYMBOL_BYTES_MAX, ValueError};

/// The name of a feed, such as `main`: 1 to 24 characters of `a-z 0-9 _ -`.
///
/// A feed is one market of a hub. Publishers publish to a feed, and the topics of different feeds
/// are independent. Names of up to 15 bytes are stored inline.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feed(EcoString);

impl Feed {
    /// The feed that a hub serves unless it is configured otherwise.
    pub const DEFAULT: &str = "main";

    /// Creates a feed name.
    ///
    /// # Errors
    /// Fails if the text is empty, longer than [`SYMBOL_BYTES_MAX`], or contains a character
    /// outside `a-z 0-9 _ -`.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        if text.is_empty() || text.len() > SYMBOL_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(ValueError::Invalid(format!(
                "feed {:?}: expected 1 to {SYMBOL_BYTES_MAX} of a-z 0-9 _ -",
                excerpt(text)
            )));
        }
        Ok(Self(text.into()))
    }

    /// Returns the name.
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

/// The state of a feed, or of one publisher's source.
///
/// See `docs/protocol/subscriber.md`, section "Feed state and heartbeats".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    /// Ticks arrive; `"live"` on the wire.
    Live,
    /// A publisher is connected, but no ticks arrive; `"stale"` on the wire.
    Stale,
    /// No publisher is connected, or none has a source; `"down"` on the wire.
    Down,
}

wire_words!(pub FeedState { Live = "live", Stale = "stale", Down = "down", });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_names_are_lower_case_and_of_limited_length() {
        for text in ["main", "sip-15m", "a", "abcdefghijklmnopqrstuvwx"] {
            assert_eq!(Feed::new(text).unwrap().as_str(), text);
        }
        for text in ["", "Main", "a b", "abcdefghijklmnopqrstuvwxy"] {
            assert!(Feed::new(text).is_err(), "{text}");
        }
    }
}

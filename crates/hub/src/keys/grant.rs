//! What somebody may do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tickwire_protocol::{Names, Selection, Symbol};

use super::file::Key;

/// What a key is for. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Subscribe and ask.
    Read,
    /// Publish ticks.
    Publish,
    /// Drain the hub, and see who is connected.
    Admin,
}

impl Role {
    /// All of them, from the least.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Admin];

    /// The word in the file and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }
}

/// What somebody may do, and as whom.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    /// Somebody without a key, or with any key where none is needed.
    Anyone(Role),
    /// The holder of the publishers' or the administrators' token.
    Token(Role),
    /// The holder of a key.
    Key(Arc<Key>),
}

impl Grant {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Anyone(role) | Self::Token(role) => *role,
            Self::Key(key) => key.role,
        }
    }

    /// Whether this is the right of somebody who has shown nothing that counts.
    pub(crate) const fn is_anyones(&self) -> bool {
        matches!(self, Self::Anyone(_))
    }

    pub(crate) fn may_read(&self, view: &str) -> bool {
        self.has_feed(view)
    }

    pub(crate) fn may_publish(&self, feed: &str) -> bool {
        self.role() >= Role::Publish && self.has_feed(feed)
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.role() >= Role::Admin
    }

    fn has_feed(&self, name: &str) -> bool {
        match self {
            Self::Key(key) => {
                let feeds = key.feeds.as_deref();
                feeds.is_none_or(|feeds| feeds.iter().any(|feed| feed.as_str() == name))
            }
            Self::Anyone(_) | Self::Token(_) => true,
        }
    }

    /// Whether [`Grant::check_names`] could refuse anything.
    pub(crate) fn limits_names(&self) -> bool {
        match self {
            Self::Key(key) => key.symbols.is_some() || key.symbols_max.is_some(),
            Self::Anyone(_) | Self::Token(_) => false,
        }
    }

    /// Whether names may be subscribed to, where `total_after` are those of trades and quotes there would
    /// be then; if not, what is allowed.
    pub(crate) fn check_names(&self, adds: &Names, total_after: usize) -> Result<(), String> {
        let Self::Key(key) = self else { return Ok(()) };
        if let Some(allowed) = &key.symbols
            && let Some(name) = adds.iter().find_map(|(_, some)| not_among(allowed, some))
        {
            let symbols: Vec<_> = allowed.iter().take(SYMBOLS_SHOWN).map(Symbol::as_str).collect();
            let more = if allowed.len() > SYMBOLS_SHOWN { ", …" } else { "" };
            let (key, symbols) = (&key.name, symbols.join(", "));
            return Err(format!("key {key} may not have {name}; its symbols: {symbols}{more}"));
        }
        match key.symbols_max {
            Some(most) if total_after > most => Err(format!(
                "key {} may have {most} names of trades and quotes; these would be {total_after}",
                key.name
            )),
            _ => Ok(()),
        }
    }
}

/// Symbols named in an error, at the most.
const SYMBOLS_SHOWN: usize = 20;

/// The first name that is none of the symbols.
fn not_among<'a>(allowed: &[Symbol], selection: &'a Selection) -> Option<&'a str> {
    if selection.all {
        return Some("*");
    }
    // `allowed` is sorted: a key with thousands of symbols must not make a command of thousands slow.
    let strange = |symbol: &&Symbol| allowed.binary_search(symbol).is_err();
    selection.symbols.iter().find(strange).map(Symbol::as_str)
}

//! What is wanted by anybody at all, told as changes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tickwire_protocol::{Channel, Symbol};

use super::FeedId;

/// What sessions may want: a symbol of a channel, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Want {
    /// Of which feed.
    pub feed: FeedId,
    /// Of which channel.
    pub channel: Channel,
    /// `None` is `"*"`.
    pub symbol: Option<Symbol>,
}

/// What is wanted now and was not, or was and is not, since somebody has looked.
///
/// What changes back is not in it, so it never holds more than was wanted then and is wanted now.
#[derive(Debug, Default)]
pub struct DemandChanges(HashMap<Want, bool>);

impl DemandChanges {
    /// Notes that something has come to be wanted by somebody, or is wanted by nobody any more.
    pub fn note(&mut self, want: Want, wanted: bool) {
        match self.0.entry(want) {
            Entry::Vacant(new) => _ = new.insert(wanted),
            Entry::Occupied(before) => _ = before.remove(),
        }
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, in no order: what, and whether it is wanted now.
    pub fn iter(&self) -> impl Iterator<Item = (Want, bool)> + '_ {
        self.0.iter().map(|(want, wanted)| (*want, *wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_back_is_no_change() {
        let want = |symbol| Want { feed: FeedId(0), channel: Channel::Trades, symbol };
        let (all, named) = (want(None), want(Some(Symbol::new("AAPL").unwrap())));
        let mut changes = DemandChanges::default();
        assert!(changes.is_empty());
        changes.note(all, true);
        changes.note(named, false);
        changes.note(all, false);
        assert_eq!(changes.iter().collect::<Vec<_>>(), [(named, false)]);
        changes.note(named, true);
        assert!(changes.is_empty());
    }
}

//! The symbols that a command watches.

use std::collections::BTreeSet;

use tickwire_client::Event;
use tickwire_protocol::Symbol;

/// The symbols that the command has subscribed to. Ticks of others are ignored, since a hub must
/// not fill a table or a file with symbols of its choice.
#[derive(Debug)]
pub(super) enum Watched {
    All,
    Symbols(BTreeSet<Symbol>),
}

impl Watched {
    /// Returns the symbols with these names; `*` stands for all. Other invalid names are left out.
    pub(super) fn new(names: &[String]) -> Self {
        if names.iter().any(|name| name == "*") {
            return Self::All;
        }
        Self::Symbols(names.iter().filter_map(|name| Symbol::new(name).ok()).collect())
    }

    /// Returns the symbols that are known from the start: none if all are watched.
    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol> + '_ {
        let symbols = match self {
            Self::All => None,
            Self::Symbols(symbols) => Some(symbols),
        };
        symbols.into_iter().flatten().copied()
    }

    /// Returns whether an event concerns a watched symbol, or no symbol at all.
    pub(super) fn covers(&self, event: &Event) -> bool {
        let symbol = match event {
            Event::Tick { tick, .. } => tick.symbol,
            Event::Gap { topic, .. }
            | Event::Lagged { topic, .. }
            | Event::OutOfOrder { topic, .. } => topic.symbol,
            _ => return true,
        };
        match self {
            Self::All => true,
            Self::Symbols(symbols) => symbols.contains(&symbol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::watchlist::tests::{at, trade};

    #[test]
    fn only_events_of_watched_symbols_are_covered() {
        let names = ["AAPL", "MSFT"].map(str::to_owned);
        let watched = Watched::new(&names);
        let covers = |watched: &Watched, symbol| watched.covers(&trade(symbol, "1", 1, at(0)));
        assert!(covers(&watched, "AAPL") && covers(&watched, "MSFT"));
        assert!(!covers(&watched, "AAPLX"));
        let error = Event::Connected { epoch: String::new(), new_epoch: false };
        assert!(watched.covers(&error));
        assert!(covers(&Watched::new(&["AAPL".to_owned(), "*".to_owned()]), "AAPLX"));
    }
}

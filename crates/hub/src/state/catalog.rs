//! Which symbols have ticked, for people who search.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde::Serialize;
use tickwire_protocol::{Channel, Symbol};

use crate::fanout::FeedId;

/// Symbols by feed. The router writes, and only when a topic ticks for the first time; readers hold
/// the lock for a scan of the names, about 2 ms for 100,000 of them.
#[derive(Debug)]
pub(crate) struct Catalog(RwLock<Vec<BTreeMap<Symbol, Channels>>>);

/// A set of channels: bit `channel as u8`.
type Channels = u16;

/// Answer to a search.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SymbolPage {
    pub(crate) feed: String,
    /// Symbols of the feed, found or not.
    pub(crate) total: usize,
    pub(crate) symbols: Vec<SymbolEntry>,
}

/// A symbol and the channels it has ticked on.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SymbolEntry {
    pub(crate) symbol: Symbol,
    pub(crate) channels: Vec<&'static str>,
}

impl Catalog {
    pub(crate) fn new(feeds: usize) -> Self {
        Self(RwLock::new((0..feeds).map(|_| BTreeMap::new()).collect()))
    }

    pub(crate) fn add(&self, topics: &[(FeedId, Channel, Symbol)]) {
        let mut feeds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (feed, channel, symbol) in topics {
            *feeds[usize::from(feed.0)].entry(*symbol).or_default() |= 1 << (*channel as u8);
        }
    }

    /// Symbols that begin with `query`, then symbols that contain it; sorted within both.
    pub(crate) fn search(&self, feed: FeedId, name: &str, query: &str, limit: usize) -> SymbolPage {
        let query = query.to_ascii_uppercase();
        let feeds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let symbols = &feeds[usize::from(feed.0)];
        let begins = symbols.iter().filter(|(symbol, _)| symbol.as_str().starts_with(&query));
        let contains = symbols.iter().filter(|(symbol, _)| {
            let symbol = symbol.as_str();
            !symbol.starts_with(&query) && symbol.contains(&query)
        });
        let found = begins.chain(contains).take(limit);
        let entry = |(symbol, channels): (&Symbol, &Channels)| SymbolEntry {
            symbol: *symbol,
            channels: names(*channels),
        };
        let symbols_found = found.map(entry).collect();
        SymbolPage { feed: name.to_owned(), total: symbols.len(), symbols: symbols_found }
    }
}

fn names(channels: Channels) -> Vec<&'static str> {
    let set = |channel: &Channel| channels & (1 << (*channel as u8)) != 0;
    Channel::ALL.into_iter().filter(set).map(Channel::name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_that_begin_with_the_query_come_first() {
        let catalog = Catalog::new(1);
        let topics = ["GOOG", "AAPL", "AA", "SPAAC", "MSFT"]
            .map(|name| (FeedId(0), Channel::Quotes, Symbol::new(name).unwrap()));
        catalog.add(&topics);
        catalog.add(&[(FeedId(0), Channel::Trades, Symbol::new("AAPL").unwrap())]);
        let page = catalog.search(FeedId(0), "main", "aa", 2);
        let found: Vec<_> = page.symbols.iter().map(|entry| entry.symbol.as_str()).collect();
        assert_eq!((page.total, found), (5, vec!["AA", "AAPL"]));
        assert_eq!(page.symbols[1].channels, ["trades", "quotes"]);
        let page = catalog.search(FeedId(0), "main", "AA", 10);
        assert_eq!(page.symbols[2].symbol.as_str(), "SPAAC");
    }
}

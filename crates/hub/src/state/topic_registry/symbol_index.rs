//! Symbols in alphabetical order, for search.

use std::sync::{Mutex, PoisonError, RwLock};

use tickwire_protocol::{Symbol, UnixNanos};

use super::FirstTick;
use crate::fanout::FeedId;

/// The symbols of each feed that have ticked.
///
/// The router only appends to `new`, so a first tick never waits for a search: the next search
/// sorts the new symbols in.
#[derive(Debug)]
pub(super) struct SymbolIndex {
    /// Symbols added since the last search, with repetitions.
    new: Mutex<Vec<(FeedId, Symbol, FirstTick)>>,
    /// Sorted symbols by feed. The router never takes this lock.
    sorted: RwLock<Vec<SortedSymbols>>,
}

/// Sorted symbols, and the text of all of them. Searching one text is faster than searching each
/// symbol.
#[derive(Debug, Default)]
struct SortedSymbols {
    /// Each symbol once, with its first tick on any channel.
    symbols: Vec<(Symbol, FirstTick)>,
    /// The symbols in their order, each followed by [`SEPARATOR`].
    text: String,
    /// Offset in the text at which each symbol starts.
    starts: Vec<usize>,
}

/// Ends each symbol in [`SortedSymbols::text`]. No symbol contains it.
const SEPARATOR: char = '\n';

impl SymbolIndex {
    /// Creates an empty index for a number of feeds.
    pub(super) fn new(feeds: usize) -> Self {
        let sorted = (0..feeds).map(|_| SortedSymbols::default()).collect();
        Self { new: Mutex::default(), sorted: RwLock::new(sorted) }
    }

    /// Adds symbols with first ticks. Of a symbol that is added again, the earliest one counts.
    pub(super) fn push(&self, symbols: impl Iterator<Item = (FeedId, Symbol, FirstTick)>) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).extend(symbols);
    }

    /// Sorts in the symbols that were added since the last call.
    pub(super) fn merge(&self) {
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        if new.is_empty() {
            return;
        }
        let mut feeds = self.sorted.write().unwrap_or_else(PoisonError::into_inner);
        for (id, sorted) in (0..).map(FeedId).zip(&mut *feeds) {
            let new = new.iter().filter(|(feed, ..)| *feed == id);
            sorted.add(new.map(|(_, symbol, first)| (*symbol, *first)));
        }
    }

    /// Finds symbols of a feed: first those that start with `query`, then those that contain it,
    /// each group sorted; upper and lower case are the same. Also returns the number of symbols
    /// that an empty query would find without a limit. Symbols that had not ticked at the time
    /// `until`, and those that `may_read` refuses, are neither found nor counted.
    pub(super) fn search(
        &self,
        feed: FeedId,
        until: UnixNanos,
        query: &str,
        limit: usize,
        may_read: impl Fn(&Symbol) -> bool,
    ) -> (usize, Vec<Symbol>) {
        self.merge();
        let feeds = self.sorted.read().unwrap_or_else(PoisonError::into_inner);
        let sorted = &feeds[usize::from(feed.0)];
        let is_readable =
            |(symbol, first): &&(Symbol, FirstTick)| first.is_by(until) && may_read(symbol);
        let readable = || sorted.symbols.iter().filter(is_readable).map(|(symbol, _)| symbol);
        let total = readable().count();
        if query.is_empty() {
            return (total, readable().take(limit).copied().collect());
        }
        // A query with characters that no symbol has finds nothing.
        let Ok(query) = Symbol::new(&query.to_ascii_uppercase()) else {
            return (total, Vec::new());
        };
        let starts =
            |(symbol, _): &&(Symbol, FirstTick)| symbol.as_str().starts_with(query.as_str());
        let first = sorted.symbols.partition_point(|(symbol, _)| *symbol < query);
        let from_query = sorted.symbols[first..].iter().take_while(starts).filter(is_readable);
        let mut found: Vec<_> = from_query.map(|(symbol, _)| *symbol).take(limit).collect();
        let contains = sorted.containing(query.as_str());
        let contains = contains.filter(|entry| !starts(entry) && is_readable(entry));
        found.extend(contains.map(|(symbol, _)| *symbol).take(limit - found.len()));
        (total, found)
    }
}

impl SortedSymbols {
    fn add(&mut self, new: impl Iterator<Item = (Symbol, FirstTick)>) {
        let before = self.symbols.len();
        self.symbols.extend(new);
        if self.symbols.len() == before {
            return;
        }
        self.symbols.sort(); // fast where most are sorted already
        self.symbols.dedup_by_key(|(symbol, _)| *symbol); // keeps the earliest first tick
        self.text.clear();
        self.starts.clear();
        for (symbol, _) in &self.symbols {
            self.starts.push(self.text.len());
            self.text.push_str(symbol.as_str());
            self.text.push(SEPARATOR);
        }
    }

    /// Returns the symbols that contain a text, in their order, each once.
    fn containing(&self, part: &str) -> impl Iterator<Item = &(Symbol, FirstTick)> {
        let numbers = self
            .text
            .match_indices(part)
            .map(|(offset, _)| self.starts.partition_point(|start| *start <= offset) - 1);
        let mut last = None;
        let is_new = move |number: &usize| last.replace(*number) != Some(*number);
        numbers.filter(is_new).map(|number| &self.symbols[number])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(symbols: &[&str]) -> SymbolIndex {
        let index = SymbolIndex::new(2);
        index.push(symbols.iter().map(|name| (FeedId(0), symbol(name), FirstTick::BeforeHistory)));
        index
    }

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    fn found(index: &SymbolIndex, query: &str, limit: usize) -> Vec<String> {
        let (_, found) = index.search(FeedId(0), UnixNanos(0), query, limit, |_| true);
        found.iter().map(Symbol::to_string).collect()
    }

    #[test]
    fn symbols_that_start_with_the_query_come_first() {
        let index = index(&["GOOG", "AAPL", "AA", "SPAAC", "MSFT", "AAPL"]);
        assert_eq!(found(&index, "aa", 2), ["AA", "AAPL"]);
        assert_eq!(found(&index, "AA", 10), ["AA", "AAPL", "SPAAC"]);
        assert_eq!(found(&index, "", 3), ["AA", "AAPL", "GOOG"]);
        assert_eq!(index.search(FeedId(0), UnixNanos(0), "AA", 1, |_| true).0, 5);
        assert_eq!(index.search(FeedId(1), UnixNanos(0), "", 9, |_| true), (0, Vec::new()));
    }

    #[test]
    fn symbol_that_contains_the_query_twice_is_found_once() {
        let index = index(&["BABAB", "ABBA", "XABCAB", "B"]);
        assert_eq!(found(&index, "AB", 10), ["ABBA", "BABAB", "XABCAB"]);
        assert_eq!(found(&index, "BA", 10), ["BABAB", "ABBA"]);
    }

    #[test]
    fn symbols_of_later_searches_are_sorted_in() {
        let index = index(&["AAPL", "MSFT"]);
        assert_eq!(found(&index, "", 10), ["AAPL", "MSFT"]);
        index.push(
            ["GOOG", "MSFT"]
                .map(|name| (FeedId(0), symbol(name), FirstTick::BeforeHistory))
                .into_iter(),
        );
        assert_eq!(found(&index, "", 10), ["AAPL", "GOOG", "MSFT"]);
        assert_eq!(found(&index, "OO", 10), ["GOOG"]);
    }

    #[test]
    fn queries_that_no_symbol_can_contain_find_nothing() {
        let index = index(&["AAPL", "BRK.B"]);
        for query in ["\0\"<", "Ä", "AAPL AAPL", &"A".repeat(25)] {
            assert_eq!(found(&index, query, 10), Vec::<String>::new(), "{query:?}");
        }
        assert_eq!(found(&index, ".b", 10), ["BRK.B"]);
    }

    #[test]
    fn symbols_that_may_not_be_read_are_neither_found_nor_counted() {
        let index = index(&["AAPL", "AAL", "SPAA", "MSFT"]);
        let may_read = |symbol: &Symbol| symbol.as_str() != "AAPL";
        let (total, found) = index.search(FeedId(0), UnixNanos(0), "AA", 10, may_read);
        assert_eq!((total, found.len(), found[0].as_str()), (3, 2, "AAL"));
    }

    #[test]
    fn symbols_that_tick_later_are_neither_found_nor_counted() {
        let index = index(&["AAPL"]);
        for (name, time) in [("AAB", 7), ("SPAA", 9), ("AAB", 9), ("AAC", 9)] {
            index.push([(FeedId(0), symbol(name), FirstTick::At(UnixNanos(time)))].into_iter());
        }
        for (until, expected) in
            [(6, &["AAPL"][..]), (7, &["AAB", "AAPL"]), (9, &["AAB", "AAC", "AAPL", "SPAA"])]
        {
            for query in ["", "AA"] {
                let (total, found) = index.search(FeedId(0), UnixNanos(until), query, 10, |_| true);
                let names: Vec<_> = found.iter().map(Symbol::as_str).collect();
                assert_eq!((total, &names[..]), (expected.len(), expected), "{query:?} at {until}");
            }
        }
    }
}

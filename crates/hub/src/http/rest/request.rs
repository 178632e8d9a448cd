//! Parses the paths and queries of requests for last values.

use serde::Deserialize;
use tickwire_protocol::{Channel, Symbol, ValueError};

/// Maximum number of symbols in a request.
const SYMBOLS_MAX: usize = 1_000;

/// The kind of value that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Trade,
    Quote,
    Bar,
    Snapshot,
}

/// Where a request names its symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SymbolSelector {
    /// In the path: this one symbol.
    Path(String),
    /// In the query: `symbols=`.
    Query,
}

impl ValueKind {
    /// Returns the channels that carry values of this kind. Minute bars changed by late trades have
    /// a channel of their own.
    pub(super) const fn channels(self) -> &'static [Channel] {
        match self {
            Self::Trade => &[Channel::Trades],
            Self::Quote => &[Channel::Quotes],
            Self::Bar => &[Channel::Bars, Channel::UpdatedBars],
            Self::Snapshot => &[
                Channel::Trades,
                Channel::Quotes,
                Channel::Bars,
                Channel::UpdatedBars,
                Channel::DailyBars,
            ],
        }
    }

    /// Returns the key of a value in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Quote => "quote",
            Self::Bar => "bar",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Parses the part of a path after `/v2/stocks/`.
pub(super) fn parse_path(path: &str) -> Option<(ValueKind, SymbolSelector)> {
    let path = path.trim_end_matches('/');
    for (all, suffix, kind) in [
        ("trades/latest", "/trades/latest", ValueKind::Trade),
        ("quotes/latest", "/quotes/latest", ValueKind::Quote),
        ("bars/latest", "/bars/latest", ValueKind::Bar),
        ("snapshots", "/snapshot", ValueKind::Snapshot),
    ] {
        if path == all {
            return Some((kind, SymbolSelector::Query));
        }
        if let Some(symbol) = path.strip_suffix(suffix) {
            return Some((kind, SymbolSelector::Path(symbol.to_owned())));
        }
    }
    None
}

/// The query of a request. Other parameters are ignored.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct StockQuery {
    pub(super) feed: Option<String>,
    symbols: Option<String>,
}

impl StockQuery {
    /// Returns the listed symbols, sorted and without repetitions.
    ///
    /// # Errors
    /// If the list is missing or too long, or contains an invalid symbol.
    pub(super) fn symbols(&self) -> Result<Vec<Symbol>, String> {
        const EXPECTED: &str = "expected symbols separated by commas, such as symbols=AAPL,MSFT";
        let list = self.symbols.as_deref().unwrap_or_default();
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let symbols: Result<Vec<_>, ValueError> =
            names.take(SYMBOLS_MAX + 1).map(Symbol::new).collect();
        let mut symbols = symbols.map_err(|problem| format!("symbols: {problem}"))?;
        match symbols.len() {
            0 => return Err(format!("symbols: {EXPECTED}")),
            1..=SYMBOLS_MAX => {}
            _ => return Err(format!("symbols: at most {SYMBOLS_MAX} symbols are allowed")),
        }
        symbols.sort_unstable();
        symbols.dedup();
        Ok(symbols)
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;

    use super::*;

    #[test]
    fn paths_name_a_kind_of_value_and_its_symbols() {
        let one = |symbol: &str| SymbolSelector::Path(symbol.to_owned());
        for (path, kind, selector) in [
            ("trades/latest", ValueKind::Trade, SymbolSelector::Query),
            ("snapshots", ValueKind::Snapshot, SymbolSelector::Query),
            ("snapshots/", ValueKind::Snapshot, SymbolSelector::Query),
            ("BRK.B/quotes/latest", ValueKind::Quote, one("BRK.B")),
            ("BTC/USD/bars/latest/", ValueKind::Bar, one("BTC/USD")),
            ("AAPL/snapshot", ValueKind::Snapshot, one("AAPL")),
        ] {
            assert_eq!(parse_path(path), Some((kind, selector)), "{path}");
        }
        for path in ["", "bars", "AAPL/bars", "AAPL/snapshots", "trades/latest/AAPL", "latest"] {
            assert_eq!(parse_path(path), None, "{path}");
        }
    }

    #[test]
    fn symbols_are_sorted_and_without_repetitions() {
        let symbols = |query: &str| {
            let uri = format!("/v2/stocks/snapshots?{query}").parse().unwrap();
            let query =
                Query::<StockQuery>::try_from_uri(&uri).map_err(|error| error.body_text())?;
            let symbols = query.symbols()?;
            Ok::<_, String>(symbols.iter().map(Symbol::to_string).collect::<Vec<_>>())
        };
        assert_eq!(symbols("symbols=MSFT,AAPL&feed=iex&x=y").unwrap(), ["AAPL", "MSFT"]);
        assert_eq!(symbols("symbols=A%2CB%2C+A,,BTC%2FUSD").unwrap(), ["A", "B", "BTC/USD"]);
        let many = |count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("S{number}")).collect();
            symbols(&format!("symbols={}", names.join(",")))
        };
        assert_eq!(many(1_000).unwrap().len(), 1_000);
        assert_eq!(many(1_001).unwrap_err(), "symbols: at most 1000 symbols are allowed");
        for query in ["", "symbols=", "symbols=,", "feed=iex"] {
            assert!(symbols(query).unwrap_err().starts_with("symbols: expected"), "{query}");
        }
        assert!(symbols("symbols=A,b").unwrap_err().starts_with("symbols: symbol \"b\""));
        let twice = symbols("symbols=A&symbols=B").unwrap_err();
        assert!(twice.contains("duplicate field `symbols`"), "{twice}");
    }
}

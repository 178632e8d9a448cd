//! What is asked for, by path and query.

use serde::Deserialize;
use tickwire_protocol::{Channel, Symbol, ValueError};

/// Symbols of a request, at the most.
const SYMBOLS_MAX: usize = 1_000;

/// The paths there are.
pub(super) const PATHS: [&str; 8] = [
    "/v2/stocks/trades/latest?symbols=",
    "/v2/stocks/quotes/latest?symbols=",
    "/v2/stocks/bars/latest?symbols=",
    "/v2/stocks/snapshots?symbols=",
    "/v2/stocks/{symbol}/trades/latest",
    "/v2/stocks/{symbol}/quotes/latest",
    "/v2/stocks/{symbol}/bars/latest",
    "/v2/stocks/{symbol}/snapshot",
];

/// What is wanted of each symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Trade,
    Quote,
    Bar,
    Snapshot,
}

/// Of which symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// The one in the path.
    One(String),
    /// Those in the query.
    Listed,
}

impl Wanted {
    /// Where it is found. Minute bars that late trades have changed come on a channel of their own.
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

    /// The word for it, as the key in front of it has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Quote => "quote",
            Self::Bar => "bar",
            Self::Snapshot => "snapshot",
        }
    }
}

/// What the path behind `/v2/stocks/` means.
pub(super) fn in_path(path: &str) -> Option<(Wanted, Which)> {
    let path = path.trim_end_matches('/');
    for (listed, behind_symbol, wanted) in [
        ("trades/latest", "/trades/latest", Wanted::Trade),
        ("quotes/latest", "/quotes/latest", Wanted::Quote),
        ("bars/latest", "/bars/latest", Wanted::Bar),
        ("snapshots", "/snapshot", Wanted::Snapshot),
    ] {
        if path == listed {
            return Some((wanted, Which::Listed));
        }
        if let Some(symbol) = path.strip_suffix(behind_symbol) {
            return Some((wanted, Which::One(symbol.to_owned())));
        }
    }
    None
}

/// What the query says; what it says besides is passed over.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Asked {
    pub(super) feed: Option<String>,
    symbols: Option<String>,
}

impl Asked {
    /// The symbols it lists, each once.
    pub(super) fn symbols(&self) -> Result<Vec<Symbol>, String> {
        const EXPECTED: &str = "expected symbols with commas between, such as symbols=AAPL,MSFT";
        let list = self.symbols.as_deref().unwrap_or_default();
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let symbols: Result<Vec<_>, ValueError> =
            names.take(SYMBOLS_MAX + 1).map(Symbol::new).collect();
        let mut symbols = symbols.map_err(|problem| format!("symbols: {problem}"))?;
        match symbols.len() {
            0 => return Err(format!("symbols: {EXPECTED}")),
            1..=SYMBOLS_MAX => {}
            _ => return Err(format!("symbols: more than {SYMBOLS_MAX}, as many as are allowed")),
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
    fn paths_say_what_of_which() {
        let one = |symbol: &str| Which::One(symbol.to_owned());
        for (path, wanted, which) in [
            ("trades/latest", Wanted::Trade, Which::Listed),
            ("snapshots", Wanted::Snapshot, Which::Listed),
            ("snapshots/", Wanted::Snapshot, Which::Listed),
            ("BRK.B/quotes/latest", Wanted::Quote, one("BRK.B")),
            ("BTC/USD/bars/latest/", Wanted::Bar, one("BTC/USD")),
            ("AAPL/snapshot", Wanted::Snapshot, one("AAPL")),
        ] {
            assert_eq!(in_path(path), Some((wanted, which)), "{path}");
        }
        for path in ["", "bars", "AAPL/bars", "AAPL/snapshots", "trades/latest/AAPL", "latest"] {
            assert_eq!(in_path(path), None, "{path}");
        }
    }

    #[test]
    fn symbols_are_listed_once_and_in_order() {
        let symbols = |query: &str| {
            let uri = format!("/v2/stocks/snapshots?{query}").parse().unwrap();
            let asked = Query::<Asked>::try_from_uri(&uri).map_err(|error| error.body_text())?;
            let symbols = asked.symbols()?;
            Ok::<_, String>(symbols.iter().map(Symbol::to_string).collect::<Vec<_>>())
        };
        assert_eq!(symbols("symbols=MSFT,AAPL&feed=iex&x=y").unwrap(), ["AAPL", "MSFT"]);
        assert_eq!(symbols("symbols=A%2CB%2C+A,,BTC%2FUSD").unwrap(), ["A", "B", "BTC/USD"]);
        let many = |count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("S{number}")).collect();
            symbols(&format!("symbols={}", names.join(",")))
        };
        assert_eq!(many(1_000).unwrap().len(), 1_000);
        assert_eq!(many(1_001).unwrap_err(), "symbols: more than 1000, as many as are allowed");
        for query in ["", "symbols=", "symbols=,", "feed=iex"] {
            assert!(symbols(query).unwrap_err().starts_with("symbols: expected"), "{query}");
        }
        assert!(symbols("symbols=A,b").unwrap_err().starts_with("symbols: symbol \"b\""));
        let twice = symbols("symbols=A&symbols=B").unwrap_err();
        assert!(twice.contains("duplicate field `symbols`"), "{twice}");
    }
}

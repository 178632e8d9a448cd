//! The listed symbols: real tickers first, then generated ones.

use std::collections::HashSet;

use tickwire_protocol::Symbol;

/// Lines of `TICKER TAPE PRICE`, most active first. Prices are approximate start values of the
/// walk.
const TICKERS: &str = include_str!("tickers.txt");

/// Number of generated tickers, which have four letters.
const FOUR_LETTERS: usize = 26 * 26 * 26 * 26;
/// Step from one generated ticker to the next. It has no common factor with 26, so that every
/// ticker is visited once, in an order that looks random.
const STRIDE: usize = 274_177;

/// One listed instrument.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) symbol: Symbol,
    /// `A` for NYSE, `B` for the regional exchanges, `C` for Nasdaq.
    pub(super) tape: char,
    /// Price in dollars, if known.
    pub(super) price: Option<f64>,
}

/// Returns the first `count` listings. Symbols are unique.
pub(super) fn listings(count: usize) -> impl Iterator<Item = Listing> {
    let taken: HashSet<&str> = TICKERS.lines().map(ticker).collect();
    let made_up = (0..FOUR_LETTERS).filter_map(move |index| {
        let text = four_letters(index * STRIDE % FOUR_LETTERS);
        let free = !taken.contains(text.as_str());
        free.then(|| Listing { symbol: symbol(&text), tape: tape_of(index), price: None })
    });
    TICKERS.lines().map(real).chain(made_up).take(count)
}

fn ticker(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn real(line: &str) -> Listing {
    let mut parts = line.split(' ').skip(1);
    let tape = parts.next().and_then(|tape| tape.chars().next());
    Listing {
        symbol: symbol(ticker(line)),
        tape: tape.expect("every ticker has a tape"),
        price: parts.next().and_then(|price| price.parse().ok()),
    }
}

fn four_letters(mut number: usize) -> String {
    let mut letter = || {
        let letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26];
        number /= 26;
        char::from(letter)
    };
    (0..4).map(|_| letter()).collect()
}

fn tape_of(index: usize) -> char {
    ['C', 'A', 'C', 'B'][index % 4]
}

fn symbol(text: &str) -> Symbol {
    Symbol::new(text).expect("tickers are upper-case letters and dots")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundred_thousand_symbols_are_unique() {
        let symbols: HashSet<_> =
            listings(100_000).map(|listing| listing.symbol.to_string()).collect();
        assert_eq!(symbols.len(), 100_000);
    }

    #[test]
    fn real_tickers_come_first_with_tape_and_price() {
        assert!(TICKERS.lines().count() >= 300);
        for (line, listing) in TICKERS.lines().zip(listings(TICKERS.lines().count())) {
            assert_eq!(listing.symbol.as_str(), ticker(line));
            assert!(matches!(listing.tape, 'A' | 'B' | 'C'), "{line}");
            assert!(listing.price.is_some_and(|price| (0.05..5_000.0).contains(&price)), "{line}");
        }
    }
}

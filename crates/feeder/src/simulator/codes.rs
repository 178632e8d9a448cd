//! Exchange, condition and tape codes as the consolidated feeds use them.

use tickwire_protocol::{Conditions, Text};

use super::random::Random;

/// Exchanges with their share of 1,000 trades, counted over two days of one large stock. `D`
/// reports trades outside of exchanges and makes no quotes.
const EXCHANGES: [(&str, u64); 13] = [
    ("D", 307),
    ("T", 171),
    ("N", 145),
    ("K", 91),
    ("P", 79),
    ("Z", 70),
    ("B", 55),
    ("Y", 42),
    ("V", 22),
    ("J", 9),
    ("X", 5),
    ("A", 3),
    ("M", 1),
];

/// Rare sale conditions: extended hours, bunched, derivatively priced, contingent, average price,
/// next day, seller, market centre's official close and open.
const RARE: [&[&str]; 9] =
    [&["T"], &["B"], &["4"], &["7", "V"], &["W"], &["N"], &["R"], &["M"], &["Q", "O"]];

/// All codes as wire values, created once.
#[derive(Debug)]
pub(super) struct Codes {
    exchanges: Vec<Text>,
    rare: Vec<Conditions>,
    quote: Conditions,
    /// Conditions indexed by tape C, sweep and odd lot.
    sales: [[[Conditions; 2]; 2]; 2],
}

impl Codes {
    pub(super) fn new() -> Self {
        let sale = |nasdaq: usize, sweep: usize, odd: usize| {
            // A regular sale is "@" on tape C and blank on the others.
            let parts = [("@", nasdaq), ("F", sweep), ("I", odd)];
            conditions(parts.into_iter().filter(|part| part.1 == 1).map(|part| part.0))
        };
        let flags = [0, 1];
        Self {
            exchanges: EXCHANGES.iter().map(|(code, _)| text(code)).collect(),
            rare: RARE.iter().map(|codes| conditions(codes.iter().copied())).collect(),
            quote: conditions(["R"]),
            sales: flags.map(|nasdaq| flags.map(|sweep| flags.map(|odd| sale(nasdaq, sweep, odd)))),
        }
    }

    /// Chooses the exchange of a trade.
    pub(super) fn trade_exchange(&self, random: &mut Random) -> Text {
        self.exchange(0, random)
    }

    /// Chooses the exchange of one side of a quote.
    pub(super) fn quote_exchange(&self, random: &mut Random) -> Text {
        self.exchange(1, random)
    }

    /// Returns the code that reports trades outside of exchanges.
    pub(super) fn off_exchange(&self) -> Text {
        self.exchanges[0].clone()
    }

    fn exchange(&self, from: usize, random: &mut Random) -> Text {
        let shares = &EXCHANGES[from..];
        let mut left = random.below(shares.iter().map(|(_, share)| share).sum());
        let place = shares.iter().position(|&(_, share)| {
            let found = left < share;
            left = left.wrapping_sub(share);
            found
        });
        self.exchanges[from + place.unwrap_or_default()].clone()
    }

    /// Returns the conditions of a regular quote.
    pub(super) fn quote_conditions(&self) -> Conditions {
        self.quote.clone()
    }

    /// Chooses the conditions of a trade.
    pub(super) fn sale_conditions(
        &self,
        tape: &Text,
        odd_lot: bool,
        random: &mut Random,
    ) -> Conditions {
        if !odd_lot && random.chance(0.01) {
            return self.rare[random.index(self.rare.len())].clone();
        }
        let nasdaq = usize::from(tape.as_str() == "C");
        let sweep = usize::from(random.chance(0.35));
        self.sales[nasdaq][sweep][usize::from(odd_lot)].clone()
    }
}

/// Converts a code to a wire text.
pub(super) fn text(code: &str) -> Text {
    Text::new(code).expect("codes are short")
}

fn conditions<'a>(codes: impl IntoIterator<Item = &'a str>) -> Conditions {
    Conditions::new(codes).expect("codes are short and few")
}

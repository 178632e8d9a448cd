//! Bars as one would make them of a list of all trades, in the plainest way.

use std::collections::{BTreeMap, HashMap};

use tickwire_protocol::{Bar, Price, Symbol, Trade};

use super::{MINUTE, NEW_YORK_DAY};

/// A trade and what has become of it.
#[derive(Debug, Clone)]
pub(super) struct Sold {
    pub(super) symbol: &'static str,
    pub(super) time: u64,
    /// `None` once it was cancelled.
    pub(super) trade: Option<Trade>,
}

/// All bars: by symbol, whether it is a day, and start.
pub(super) struct Model {
    bars: BTreeMap<(Symbol, bool, u64), Option<Bar>>,
}

type Told = HashMap<(Symbol, bool, u64), Bar>;

const DAY: u64 = 24 * 60 * MINUTE;

/// Midnight of a time's day in New York, in a week without a change of clocks.
pub(super) fn day(time: u64) -> u64 {
    time - (time - NEW_YORK_DAY) % DAY
}

impl Model {
    /// In the order of arrival.
    pub(super) fn new(sold: &[Sold]) -> Self {
        let mut parts: BTreeMap<(Symbol, bool, u64), Vec<&Sold>> = BTreeMap::new();
        let mut days: HashMap<&str, u64> = HashMap::new();
        for sold in sold {
            let day = day(sold.time);
            let reached = days.entry(sold.symbol).or_insert(day);
            if day < *reached {
                continue;
            }
            *reached = day;
            let symbol = Symbol::new(sold.symbol).unwrap();
            parts.entry((symbol, false, sold.time - sold.time % MINUTE)).or_default().push(sold);
            parts.entry((symbol, true, day)).or_default().push(sold);
        }
        let bars = parts.into_iter().map(|(key, mut sold)| {
            sold.sort_by_key(|sold| sold.time);
            (key, bar(&sold, key.1))
        });
        Self { bars: bars.collect() }
    }

    pub(super) fn check_minutes(&self, told: &Told) {
        self.check(false, told);
    }

    pub(super) fn check_days(&self, told: &Told) {
        self.check(true, told);
    }

    fn check(&self, day: bool, told: &Told) {
        for (key, bar) in self.bars.iter().filter(|(key, _)| key.1 == day) {
            let told = told.get(key).filter(|bar| **bar != Bar::default());
            assert_eq!(told, bar.as_ref(), "{key:?}");
        }
        for key in told.keys().filter(|key| key.1 == day) {
            assert!(self.bars.contains_key(key), "no trades for {key:?}");
        }
    }
}

#[derive(PartialEq, Clone, Copy)]
enum Rule {
    Yes,
    First,
    No,
}

/// What a trade sets: open and close, high and low, volume. The table of `docs/bars.md`, read off anew.
fn rules(trade: &Trade, day: bool) -> (Rule, bool, bool) {
    let (mut prices, mut high_low, mut volume) = (Rule::Yes, true, true);
    for code in trade.conditions.iter() {
        let (price, extreme, counts) = match (code, day) {
            ("I" | "7" | "U", _) | ("T", true) | ("4" | "Z", false) => (Rule::No, false, true),
            ("B", _) if trade.tape.as_str() != "C" => (Rule::No, false, true),
            ("4" | "Z", true) => (Rule::First, true, true),
            ("M" | "Q", _) | ("9", false) => (Rule::No, false, false),
            ("9", true) => (Rule::Yes, true, false),
            _ => (Rule::Yes, true, true),
        };
        prices = match (prices, price) {
            (Rule::No, _) | (_, Rule::No) => Rule::No,
            (Rule::First, _) | (_, Rule::First) => Rule::First,
            _ => Rule::Yes,
        };
        high_low &= extreme;
        volume &= counts;
    }
    (prices, high_low, volume)
}

/// The bar of trades in the order of time.
fn bar(sold: &[&Sold], day: bool) -> Option<Bar> {
    let (mut open, mut close, mut high, mut low) = (None, None, None, None);
    let (mut volume, mut trades, mut weighted, mut weight) = (0, 0, 0_i128, 0_i128);
    for trade in sold.iter().filter_map(|sold| sold.trade.as_ref()) {
        let (prices, high_low, counts) = rules(trade, day);
        if prices != Rule::No && open.is_none() {
            open = Some(trade.price);
        }
        if prices == Rule::Yes || (prices == Rule::First && close.is_none()) {
            close = Some(trade.price);
        }
        if high_low {
            high = high.max(Some(trade.price));
            low = Some(low.map_or(trade.price, |low: Price| low.min(trade.price)));
        }
        if counts {
            volume += trade.size;
            trades += 1;
        }
        if high_low && counts {
            weighted += i128::from(trade.price.nanos()) * i128::from(trade.size);
            weight += i128::from(trade.size);
        }
    }
    if volume == 0 {
        return None;
    }
    let vwap = match weight {
        0 => 0,
        weight => (2 * weighted + weight) / (2 * weight),
    };
    let vwap = Price::from_nanos(i64::try_from(vwap).unwrap()).unwrap();
    Some(Bar { open: open?, high: high?, low: low?, close: close?, volume, trades, vwap })
}

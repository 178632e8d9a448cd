//! Computes bars from a list of all trades, in the simplest way.

use std::collections::{BTreeMap, HashMap};

use tickwire_protocol::{Bar, Price, Symbol, Trade};

use super::{BarKey, MINUTE, NEW_YORK_DAY};

/// A trade and its state after corrections.
#[derive(Debug, Clone)]
pub(super) struct Sold {
    pub(super) symbol: &'static str,
    pub(super) time: u64,
    /// `None` after a cancel.
    pub(super) trade: Option<Trade>,
}

/// The expected bars; `None` where no trade counts.
pub(super) struct Model {
    bars: BTreeMap<BarKey, Option<Bar>>,
}

type Bars = HashMap<BarKey, Bar>;

const DAY: u64 = 24 * 60 * MINUTE;

/// Returns midnight in New York of the day of a time, in a week without a clock change.
pub(super) fn day(time: u64) -> u64 {
    time - (time - NEW_YORK_DAY) % DAY
}

impl Model {
    /// Builds the bars of trades in order of arrival.
    pub(super) fn new(sold: &[Sold]) -> Self {
        let mut parts: BTreeMap<BarKey, Vec<&Sold>> = BTreeMap::new();
        let mut days: HashMap<&str, u64> = HashMap::new();
        for sold in sold {
            let day = day(sold.time);
            let reached = days.entry(sold.symbol).or_insert(day);
            if day < *reached {
                continue;
            }
            *reached = day;
            let symbol = Symbol::new(sold.symbol).unwrap();
            let minute = sold.time - sold.time % MINUTE;
            for (is_daily, start) in [(false, minute), (true, day)] {
                let key = BarKey { symbol, is_daily, start };
                parts.entry(key).or_default().push(sold);
            }
        }
        let bars = parts.into_iter().map(|(key, mut sold)| {
            sold.sort_by_key(|sold| sold.time);
            (key, bar(&sold, key.is_daily))
        });
        Self { bars: bars.collect() }
    }

    pub(super) fn check_minutes(&self, bars: &Bars) {
        self.check(false, bars);
    }

    pub(super) fn check_days(&self, bars: &Bars) {
        self.check(true, bars);
    }

    fn check(&self, is_daily: bool, bars: &Bars) {
        for (key, bar) in self.bars.iter().filter(|(key, _)| key.is_daily == is_daily) {
            let bars = bars.get(key).filter(|bar| **bar != Bar::default());
            assert_eq!(bars, bar.as_ref(), "{key:?}");
        }
        for key in bars.keys().filter(|key| key.is_daily == is_daily) {
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

/// Returns what a trade sets: open and close, high and low, volume. Written independently from the
/// table of `docs/bars.md`.
fn rules(trade: &Trade, day: bool) -> (Rule, bool, bool) {
    let mut prices = Rule::Yes;
    let mut high_low = true;
    let mut volume = true;
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

/// Returns the bar of trades that are sorted by time.
fn bar(sold: &[&Sold], day: bool) -> Option<Bar> {
    let mut open = None;
    let mut close = None;
    let mut high = None;
    let mut low = None;
    let mut volume = 0;
    let mut trades = 0;
    let mut weighted = 0_i128;
    let mut weight = 0_i128;
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

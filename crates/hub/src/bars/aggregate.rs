//! The running sums from which a bar is computed.

use tickwire_protocol::{Bar, Price};

use super::conditions::{HIGH_LOW, IF_FIRST, OPEN_CLOSE, VOLUME};

/// The fields of a trade that a bar depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sale {
    /// Event time in nanoseconds.
    pub(super) time: u64,
    /// Price in units of 1e-9.
    pub(super) price: i64,
    pub(super) size: u64,
}

/// A price and the event time of its trade in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) time: u64,
    pub(super) price: i64,
}

/// Sums over trades. Open and close depend on the order of event times and, among equal times, on
/// the order of arrival. Sums saturate instead of overflowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aggregate {
    /// Price of the earliest trade that may set the open.
    pub(super) open: Option<Timed>,
    /// Price of the latest trade that may set the close unconditionally.
    pub(super) close: Option<Timed>,
    /// Highest price in units of 1e-9; below [`Aggregate::low`] while no trade has set it.
    pub(super) high: i64,
    /// Lowest price in units of 1e-9.
    pub(super) low: i64,
    pub(super) volume: u64,
    pub(super) trades: u64,
    /// Sum of price times size over the trades that may set high and low and count as volume.
    pub(super) weighted: i128,
    /// Sum of the sizes of the same trades.
    pub(super) weight: u64,
}

impl Default for Aggregate {
    fn default() -> Self {
        Self {
            open: None,
            close: None,
            high: i64::MIN,
            low: i64::MAX,
            volume: 0,
            trades: 0,
            weighted: 0,
            weight: 0,
        }
    }
}

impl Aggregate {
    /// Adds a trade that arrived after all trades added so far.
    pub(super) fn add(&mut self, sale: Sale, effects: u8) {
        let timed = Timed { time: sale.time, price: sale.price };
        if effects & IF_FIRST != 0 && self.open.is_none_or(|open| sale.time < open.time) {
            self.open = Some(timed);
        }
        if effects & OPEN_CLOSE != 0 && self.close.is_none_or(|close| sale.time >= close.time) {
            self.close = Some(timed);
        }
        if effects & HIGH_LOW != 0 {
            self.high = self.high.max(sale.price);
            self.low = self.low.min(sale.price);
        }
        if effects & VOLUME != 0 {
            self.volume = self.volume.saturating_add(sale.size);
            self.trades = self.trades.saturating_add(1);
        }
        if effects & (HIGH_LOW | VOLUME) == HIGH_LOW | VOLUME {
            self.weighted = self.weighted.saturating_add(weighted(sale));
            self.weight = self.weight.saturating_add(sale.size);
        }
    }

    /// Subtracts a trade from the volume, the number of trades and the sums of the average price,
    /// as far as it counted there. Open, high, low and close stay: sums cannot tell which trade set
    /// them.
    pub(super) fn take_from_sums(&mut self, sale: Sale, effects: u8) {
        if effects & VOLUME != 0 {
            self.volume = self.volume.saturating_sub(sale.size);
            self.trades = self.trades.saturating_sub(1);
        }
        if effects & (HIGH_LOW | VOLUME) == HIGH_LOW | VOLUME && self.weight >= sale.size {
            self.weighted = self.weighted.saturating_sub(weighted(sale));
            self.weight -= sale.size;
        }
    }

    /// Adds the trades of another period.
    pub(super) fn merge(&mut self, other: &Self) {
        if let Some(theirs) = other.open
            && self.open.is_none_or(|ours| theirs.time < ours.time)
        {
            self.open = Some(theirs);
        }
        if let Some(theirs) = other.close
            && self.close.is_none_or(|ours| theirs.time >= ours.time)
        {
            self.close = Some(theirs);
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume = self.volume.saturating_add(other.volume);
        self.trades = self.trades.saturating_add(other.trades);
        self.weighted = self.weighted.saturating_add(other.weighted);
        self.weight = self.weight.saturating_add(other.weight);
    }

    /// Returns the bar, or `None` without prices or volume.
    pub(super) fn bar(&self) -> Option<Bar> {
        let open = self.open?;
        // If no trade set the close unconditionally, it equals the open.
        let close = self.close.unwrap_or(open);
        if self.high < self.low || self.volume == 0 {
            return None;
        }
        let price = |nanos| Price::from_nanos(nanos).unwrap_or_default();
        Some(Bar {
            open: price(open.price),
            high: price(self.high),
            low: price(self.low),
            close: price(close.price),
            volume: self.volume,
            trades: self.trades,
            vwap: price(self.vwap()),
        })
    }

    /// Returns the volume-weighted average price in units of 1e-9, rounded half up; zero if no
    /// trade counts.
    fn vwap(&self) -> i64 {
        let weight = i128::from(self.weight);
        if weight == 0 {
            return 0;
        }
        let doubled = self.weighted.saturating_mul(2).saturating_add(weight);
        let nearest = doubled.div_euclid(2 * weight);
        i64::try_from(nearest).unwrap_or(self.high).clamp(self.low, self.high)
    }
}

fn weighted(sale: Sale) -> i128 {
    i128::from(sale.price).saturating_mul(i128::from(sale.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u8 = OPEN_CLOSE | IF_FIRST | HIGH_LOW | VOLUME;

    fn of(sales: &[(u64, i64, u64, u8)]) -> Aggregate {
        let mut aggregate = Aggregate::default();
        for &(time, price, size, effects) in sales {
            aggregate.add(Sale { time, price, size }, effects);
        }
        aggregate
    }

    fn prices(aggregate: &Aggregate) -> [i64; 4] {
        let bar = aggregate.bar().unwrap();
        [bar.open, bar.high, bar.low, bar.close].map(Price::nanos)
    }

    #[test]
    fn open_and_close_follow_event_time_and_then_arrival() {
        let late = of(&[(5, 50, 1, ALL), (9, 90, 1, ALL), (2, 20, 1, ALL), (7, 70, 1, ALL)]);
        assert_eq!(prices(&late), [20, 90, 20, 90]);
        let same = of(&[(5, 1, 1, ALL), (5, 2, 1, ALL), (5, 3, 1, ALL)]);
        assert_eq!(prices(&same), [1, 3, 1, 3]);
    }

    #[test]
    fn trade_that_counts_only_as_the_first_leaves_a_later_close() {
        let first = IF_FIRST | HIGH_LOW | VOLUME;
        assert_eq!(prices(&of(&[(1, 10, 1, first), (2, 20, 1, first)])), [10, 20, 10, 10]);
        assert_eq!(prices(&of(&[(1, 10, 1, first), (2, 15, 1, ALL)])), [10, 15, 10, 15]);
        assert_eq!(prices(&of(&[(1, 15, 1, ALL), (2, 20, 1, first)])), [15, 20, 15, 15]);
    }

    #[test]
    fn there_is_no_bar_without_prices_or_volume() {
        assert_eq!(of(&[]).bar(), None);
        assert_eq!(of(&[(1, 10, 100, VOLUME)]).bar(), None);
        assert_eq!(of(&[(1, 10, 100, ALL & !VOLUME)]).bar(), None);
        assert_eq!(of(&[(1, 10, 0, ALL)]).bar(), None);
    }

    #[test]
    fn vwap_is_rounded_to_the_nearest_and_counts_only_trades_that_set_prices() {
        let vwap = |sales: &[_]| of(sales).bar().unwrap().vwap.nanos();
        assert_eq!(vwap(&[(1, 1, 2, ALL), (2, 2, 1, ALL)]), 1);
        assert_eq!(vwap(&[(1, 1, 1, ALL), (2, 2, 1, ALL)]), 2);
        assert_eq!(vwap(&[(1, 1, 1, ALL), (2, 2, 2, ALL)]), 2);
        assert_eq!(vwap(&[(1, -1, 1, ALL), (2, -2, 1, ALL)]), -1);
        assert_eq!(vwap(&[(1, 100, 5, ALL), (2, 900, 1_000, VOLUME)]), 100);
    }

    #[test]
    fn sums_stop_at_the_largest_number() {
        let top = Price::MAX.nanos();
        let huge: Vec<_> = (0..5_000).map(|time| (time, top, u64::MAX, ALL)).collect();
        let bar = of(&huge).bar().unwrap();
        assert_eq!((bar.volume, bar.vwap), (u64::MAX, Price::MAX));
    }

    #[test]
    fn merging_parts_is_the_same_as_taking_in_all() {
        let sales: Vec<_> =
            (0..60_u64).map(|n| (n / 2, i64::try_from(n * 37 % 41).unwrap(), n % 5, ALL)).collect();
        let mut before = of(&sales[..24]);
        let after = of(&sales[24..]);
        before.merge(&after);
        assert_eq!(before, of(&sales));
    }
}

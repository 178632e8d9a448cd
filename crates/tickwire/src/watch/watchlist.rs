//! The content of the table, without a terminal: events and times in, rows out.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tickwire_client::{Event, FeedState};
use tickwire_protocol::{Price, Quote, Symbol, Tick, TickData, Trade, UnixNanos};

/// Number of points of a sparkline, one for each second with a price.
pub(super) const SPARK_POINTS: usize = 24;

/// Event times further from now than this have no latency.
const NEAR: Duration = Duration::from_secs(60);

/// The time over which rates are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// The time at which an event arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Time since the start of the command.
    pub(super) elapsed: Duration,
    pub(super) unix: UnixNanos,
}

/// The row of a symbol.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) symbol: Symbol,
    /// The first price, from which the change is counted.
    first: Option<Price>,
    pub(super) last: Option<Price>,
    /// Direction of the last price that differed from the one before.
    pub(super) direction: Ordering,
    pub(super) last_size: u64,
    pub(super) bid: Option<(Price, u64)>,
    pub(super) ask: Option<(Price, u64)>,
    /// Shares traded since the start.
    pub(super) volume: u64,
    /// Number of live ticks (not from snapshots) since the program started.
    pub(super) ticks: u64,
    /// When the last tick arrived.
    updated: Option<Duration>,
    spark: VecDeque<Price>,
    spark_second: Option<u64>,
}

impl Row {
    fn new(symbol: Symbol) -> Self {
        Self {
            symbol,
            first: None,
            last: None,
            direction: Ordering::Equal,
            last_size: 0,
            bid: None,
            ask: None,
            volume: 0,
            ticks: 0,
            updated: None,
            spark: VecDeque::new(),
            spark_second: None,
        }
    }

    /// Returns the time since the last tick; `None` before the first one.
    pub(super) fn age(&self, elapsed: Duration) -> Option<Duration> {
        Some(elapsed.saturating_sub(self.updated?))
    }

    /// Returns the change since the first price, in percent.
    pub(super) fn change(&self) -> Option<f64> {
        let first = self.first?.as_f64();
        let last = self.last?.as_f64();
        (first != 0.0).then(|| (last - first) / first.abs() * 100.0)
    }

    /// Returns the last prices, oldest first.
    pub(super) fn spark(&self) -> impl ExactSizeIterator<Item = Price> + Clone {
        self.spark.iter().copied()
    }

    fn trade(&mut self, trade: &Trade, snapshot: bool, elapsed: Duration) {
        if let Some(before) = self.last
            && trade.price != before
        {
            self.direction = trade.price.cmp(&before);
        }
        self.first = self.first.or(Some(trade.price));
        self.last = Some(trade.price);
        self.last_size = trade.size;
        if !snapshot {
            self.volume += trade.size;
        }
        self.point(trade.price, elapsed);
    }

    fn quote(&mut self, quote: &Quote, elapsed: Duration) {
        let side = |price: Price, size| (price != Price::ZERO).then_some((price, size));
        self.bid = side(quote.bid, quote.bid_size);
        self.ask = side(quote.ask, quote.ask_size);
        // Without trades, the sparkline follows the middle of the quote.
        if let (None, Some((bid, _)), Some((ask, _))) = (self.last, self.bid, self.ask) {
            let middle = Price::from_nanos(bid.nanos() / 2 + ask.nanos() / 2);
            self.point(middle.unwrap_or(bid), elapsed);
        }
    }

    fn point(&mut self, price: Price, elapsed: Duration) {
        let second = Some(elapsed.as_secs());
        if self.spark_second == second {
            self.spark.pop_back();
        } else if self.spark.len() == SPARK_POINTS {
            self.spark.pop_front();
        }
        self.spark_second = second;
        self.spark.push_back(price);
    }
}

/// The order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortBy {
    /// By symbol.
    Symbol,
    /// Largest rise first.
    Change,
    /// Most shares first.
    Volume,
    /// Most ticks first.
    Activity,
}

impl SortBy {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Symbol => Self::Change,
            Self::Change => Self::Volume,
            Self::Volume => Self::Activity,
            Self::Activity => Self::Symbol,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Symbol => "symbol",
            Self::Change => "change",
            Self::Volume => "volume",
            Self::Activity => "activity",
        }
    }
}

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    Up,
    Down,
}

/// The content of the screen.
#[derive(Debug)]
pub(super) struct Watchlist {
    rows: BTreeMap<Symbol, Row>,
    pub(super) connection: Connection,
    pub(super) feed: Option<FeedState>,
    /// The delay of the view.
    pub(super) delay: Duration,
    /// The text of the last event that is not a tick.
    pub(super) notice: String,
    /// Live ticks since the start.
    pub(super) ticks: u64,
    pub(super) ticks_per_s: f64,
    /// Mean latency over the last window, of ticks whose event time is near now.
    pub(super) latency: Option<Duration>,
    window: Window,
}

/// Counts since the rates were last updated.
#[derive(Debug, Default)]
struct Window {
    since: Duration,
    ticks: u64,
    timed: u32,
    latency: Duration,
}

impl Watchlist {
    /// Creates a list with a row for each symbol. Others are added with their first tick.
    pub(super) fn new(symbols: impl IntoIterator<Item = Symbol>) -> Self {
        Self {
            rows: symbols.into_iter().map(|symbol| (symbol, Row::new(symbol))).collect(),
            connection: Connection::Up,
            feed: None,
            delay: Duration::ZERO,
            notice: String::new(),
            ticks: 0,
            ticks_per_s: 0.0,
            latency: None,
            window: Window::default(),
        }
    }

    pub(super) fn update(&mut self, event: &Event, now: Moment) {
        match event {
            Event::Tick { tick, snapshot } => return self.tick(tick, *snapshot, now),
            Event::Connected { .. } => self.connection = Connection::Up,
            Event::Disconnected { .. } => {
                self.connection = Connection::Down;
                self.feed = None;
            }
            Event::Feed { state, .. } => self.feed = Some(*state),
            Event::View { delay, .. } => self.delay = *delay,
            _ => {}
        }
        if let Some(notice) = super::format::notice(event) {
            self.notice = notice;
        }
    }

    fn tick(&mut self, tick: &Tick, snapshot: bool, now: Moment) {
        let row = self.rows.entry(tick.symbol).or_insert_with(|| Row::new(tick.symbol));
        row.updated = Some(now.elapsed);
        match &tick.data {
            TickData::Trade(trade) => row.trade(trade, snapshot, now.elapsed),
            TickData::Quote(quote) => row.quote(quote, now.elapsed),
            _ => {}
        }
        if snapshot {
            return;
        }
        row.ticks += 1;
        self.ticks += 1;
        self.window.ticks += 1;
        let due = tick.time + self.delay;
        let early = due.since(now.unix);
        let late = now.unix.since(due);
        if early < NEAR && late < NEAR {
            self.window.timed += 1;
            self.window.latency += late;
        }
    }

    /// Updates the rates when a window is over.
    pub(super) fn update_rates(&mut self, elapsed: Duration) {
        let length = elapsed.saturating_sub(self.window.since);
        if length < WINDOW {
            return;
        }
        self.ticks_per_s = self.window.ticks as f64 / length.as_secs_f64();
        self.latency = (self.window.timed > 0).then(|| self.window.latency / self.window.timed);
        self.window = Window { since: elapsed, ..Window::default() };
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the rows in order; equal rows are sorted by symbol.
    pub(super) fn sorted(&self, by: SortBy) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.values().collect();
        match by {
            SortBy::Symbol => {}
            SortBy::Change => {
                let change = |row: &Row| row.change().unwrap_or(f64::NEG_INFINITY);
                rows.sort_by(|a, b| change(b).total_cmp(&change(a)));
            }
            SortBy::Volume => rows.sort_by_key(|row| std::cmp::Reverse(row.volume)),
            SortBy::Activity => rows.sort_by_key(|row| std::cmp::Reverse(row.ticks)),
        }
        rows
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tickwire_protocol::Seq;

    pub(crate) fn at(millis: u64) -> Moment {
        let elapsed = Duration::from_millis(millis);
        Moment { elapsed, unix: UnixNanos(1_000_000_000_000) + elapsed }
    }

    fn event(symbol: &str, data: TickData, snapshot: bool, time: UnixNanos) -> Event {
        let symbol = Symbol::new(symbol).unwrap();
        Event::Tick { tick: Tick { symbol, seq: Seq(1), time, data }, snapshot }
    }

    pub(crate) fn trade(symbol: &str, price: &str, size: u64, now: Moment) -> Event {
        let price = price.parse().unwrap();
        let data = TickData::Trade(Trade { price, size, ..Trade::default() });
        event(symbol, data, false, now.unix)
    }

    pub(crate) fn quote(symbol: &str, bid: &str, ask: &str, now: Moment) -> Event {
        let bid = bid.parse().unwrap();
        let ask = ask.parse().unwrap();
        let data =
            TickData::Quote(Quote { bid, bid_size: 3, ask, ask_size: 4, ..Quote::default() });
        event(symbol, data, false, now.unix)
    }

    fn row(watchlist: &Watchlist) -> &Row {
        watchlist.sorted(SortBy::Symbol)[0]
    }

    #[test]
    fn trades_move_price_change_and_volume() {
        let mut watchlist = Watchlist::new([]);
        for (millis, price) in [(0, "100"), (10, "110"), (20, "110"), (30, "99")] {
            watchlist.update(&trade("A", price, 5, at(millis)), at(millis));
        }
        let row = row(&watchlist);
        assert_eq!(row.last.unwrap().to_string(), "99");
        assert_eq!((row.volume, row.ticks, row.direction), (20, 4, Ordering::Less));
        assert!((row.change().unwrap() + 1.0).abs() < 1e-9);
        assert_eq!(row.age(Duration::from_millis(130)), Some(Duration::from_millis(100)));
    }

    #[test]
    fn snapshot_fills_the_row_and_is_not_counted() {
        let mut watchlist = Watchlist::new([]);
        let data = TickData::Trade(Trade { size: 7, ..Trade::default() });
        watchlist.update(&event("A", data, true, UnixNanos(1)), at(0));
        assert_eq!((row(&watchlist).volume, row(&watchlist).ticks, watchlist.ticks), (0, 0, 0));
        assert_eq!(row(&watchlist).last_size, 7);
    }

    #[test]
    fn change_below_zero_has_the_sign_of_the_movement() {
        let mut watchlist = Watchlist::new([]);
        watchlist.update(&trade("A", "-40", 1, at(0)), at(0));
        watchlist.update(&trade("A", "-30", 1, at(1)), at(1));
        assert!((row(&watchlist).change().unwrap() - 25.0).abs() < 1e-9);
    }

    #[test]
    fn symbol_without_a_tick_has_a_row() {
        let names = ["A", "B"].map(|name| Symbol::new(name).unwrap());
        let mut watchlist = Watchlist::new(names);
        watchlist.update(&trade("B", "1", 1, at(0)), at(0));
        assert_eq!(watchlist.len(), 2);
        assert_eq!(row(&watchlist).symbol, names[0]);
        assert_eq!(row(&watchlist).age(Duration::from_secs(1)), None);
    }

    #[test]
    fn delay_of_the_view_is_no_latency() {
        let mut watchlist = Watchlist::new([]);
        let delay = Duration::from_secs(900);
        watchlist.update(&Event::View { view: "delayed_sip".to_owned(), delay }, at(0));
        watchlist.update(&trade("A", "1", 1, at(0)), at(900_020));
        watchlist.update_rates(Duration::from_secs(901));
        assert_eq!(watchlist.latency, Some(Duration::from_millis(20)));
    }

    #[test]
    fn side_without_a_price_is_empty() {
        let mut watchlist = Watchlist::new([]);
        watchlist.update(&quote("A", "0", "10.5", at(0)), at(0));
        assert_eq!(row(&watchlist).bid, None);
        assert_eq!(row(&watchlist).ask.unwrap().1, 4);
    }

    #[test]
    fn sparkline_keeps_one_price_a_second_and_is_bounded() {
        let mut watchlist = Watchlist::new([]);
        for millis in (0..60_000).step_by(500) {
            watchlist
                .update(&trade("A", &(millis / 500 + 1).to_string(), 1, at(millis)), at(millis));
        }
        let spark: Vec<String> = row(&watchlist).spark().map(|price| price.to_string()).collect();
        assert_eq!(spark.len(), SPARK_POINTS);
        assert_eq!(spark.last().map(String::as_str), Some("120"));
        assert_eq!(spark[SPARK_POINTS - 2], "118");
    }

    #[test]
    fn rates_are_over_the_last_window() {
        let mut watchlist = Watchlist::new([]);
        for millis in 0..100 {
            watchlist.update(&trade("A", "1", 1, at(millis)), at(millis + 20));
        }
        watchlist.update_rates(Duration::from_secs(1));
        assert!((watchlist.ticks_per_s - 100.0).abs() < 1e-9);
        assert_eq!(watchlist.latency, Some(Duration::from_millis(20)));
        watchlist.update_rates(Duration::from_secs(2));
        assert_eq!((watchlist.ticks_per_s, watchlist.latency), (0.0, None));
    }

    #[test]
    fn rows_are_sorted_by_the_chosen_column() {
        let mut watchlist = Watchlist::new([]);
        for (symbol, first, last, size) in
            [("A", "10", "9", 1), ("B", "10", "12", 2), ("C", "10", "10", 9)]
        {
            watchlist.update(&trade(symbol, first, size, at(0)), at(0));
            watchlist.update(&trade(symbol, last, size, at(0)), at(0));
        }
        watchlist.update(&trade("A", "9", 1, at(0)), at(0));
        let order =
            |by| -> String { watchlist.sorted(by).iter().map(|row| row.symbol.as_str()).collect() };
        assert_eq!(order(SortBy::Symbol), "ABC");
        assert_eq!(order(SortBy::Change), "BCA");
        assert_eq!(order(SortBy::Volume), "CBA");
        assert_eq!(order(SortBy::Activity), "ABC");
    }
}

//! Bars of chosen trades. The harness also serves the comparison with a model.

mod model;
mod random_trades;

use std::collections::HashMap;
use std::time::Duration;

use tickwire_protocol::{
    Bar, CancelError, Conditions, Correction, Price, Seq, Symbol, Text, Tick, TickData, Trade,
    UnixNanos,
};

use super::{BadState, BarConfig, BarMaker, CLOSE_DELAY, MINUTE, SECOND, Skipped, TradesAhead};
use crate::fanout::{FeedId, Numbered, TopicId};

const FEED: FeedId = FeedId(0);
/// 2018-01-02T14:30:00Z, the start of the regular session in New York.
const OPENING: u64 = 1_514_903_400 * SECOND;
const NEW_YORK_DAY: u64 = 1_514_869_200 * SECOND;

fn config(bytes_max: usize) -> BarConfig {
    BarConfig {
        time_zone: "America/New_York".to_owned(),
        session: "00:00-24:00".to_owned(),
        bytes_max,
        ahead_max: Duration::from_secs(5),
    }
}

/// A maker with a hub's numbering and clock, the bars it emitted, and the records of its turns.
struct Harness {
    maker: BarMaker,
    now: u64,
    /// The last bar of each minute and day. A bar and its updated bars share an entry.
    emitted: HashMap<BarKey, Bar>,
    /// The records that a hub would write.
    records: Vec<TurnRecord>,
}

/// Identifies a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct BarKey {
    symbol: Symbol,
    /// Whether this is a daily bar rather than that of a minute.
    is_daily: bool,
    start: u64,
}

/// The record of one turn.
struct TurnRecord {
    /// The ticks of the turn, then the emitted bars.
    ticks: Vec<Numbered>,
    /// Number of emitted bars at the end of `ticks`.
    made: usize,
    received: UnixNanos,
}

impl Harness {
    fn new(bytes_max: usize) -> Self {
        let maker = BarMaker::new(config(bytes_max)).unwrap();
        Self { maker, now: OPENING, emitted: HashMap::new(), records: Vec::new() }
    }

    /// Runs a turn with these ticks and returns the emitted bars.
    fn turn(&mut self, ticks: impl IntoIterator<Item = Tick>) -> Vec<Tick> {
        let mut record: Vec<_> = ticks.into_iter().map(numbered).collect();
        let mut bars = Vec::new();
        let mut from = record.clone();
        while self.maker.turn(&from, UnixNanos(self.now), &mut bars) {
            from.clear();
        }
        for (_, bar) in &bars {
            let (is_daily, made) = match &bar.data {
                TickData::Bar(made) | TickData::UpdatedBar(made) => (false, made),
                TickData::DailyBar(made) => (true, made),
                other => panic!("not a bar: {other:?}"),
            };
            let key = BarKey { symbol: bar.symbol, is_daily, start: bar.time.0 };
            self.emitted.insert(key, made.clone());
        }
        let bars: Vec<_> = bars.into_iter().map(|(_, bar)| bar).collect();
        record.extend(bars.iter().cloned().map(numbered));
        let received = UnixNanos(self.now);
        self.records.push(TurnRecord { ticks: record, made: bars.len(), received });
        bars
    }

    /// Advances the clock until every minute is closed.
    fn settle(&mut self) -> Vec<Tick> {
        self.now += MINUTE + CLOSE_DELAY;
        let bars = self.turn([]);
        assert!(!self.maker.has_open_minutes());
        bars
    }

    fn bar(&self, symbol: &str, is_daily: bool, start: u64) -> Option<&Bar> {
        self.emitted.get(&BarKey { symbol: Symbol::new(symbol).unwrap(), is_daily, start })
    }
}

/// Numbers a tick, with one topic for each channel of a symbol.
fn numbered(tick: Tick) -> Numbered {
    let symbol = u32::from(tick.symbol.as_bytes()[0]);
    let topic = TopicId(symbol * 10 + tick.channel() as u32);
    Numbered { topic, feed: FEED, tick }
}

fn tick(symbol: &str, time: u64, data: TickData) -> Tick {
    let symbol = Symbol::new(symbol).unwrap();
    Tick { symbol, seq: Seq(0), time: UnixNanos(time), data }
}

fn price(units: u64) -> Price {
    Price::from_nanos(i64::try_from(units).unwrap() * 10_000_000).unwrap()
}

fn trade(symbol: &str, time: u64, units: u64, size: u64) -> Tick {
    let data = Trade { id: time, price: price(units), size, ..Trade::default() };
    tick(symbol, time, TickData::Trade(data))
}

fn cancel(symbol: &str, time: u64, of: &Trade) -> Tick {
    let Trade { id, exchange, price, size, tape, .. } = of.clone();
    let action = Text::new("C").unwrap();
    let cancel = CancelError { id, exchange, price, size, action, tape };
    tick(symbol, time, TickData::CancelError(Box::new(cancel)))
}

fn correction(symbol: &str, time: u64, was: &Trade, is: &Trade) -> Tick {
    let correction = Correction {
        exchange: was.exchange.clone(),
        original_id: was.id,
        original_price: was.price,
        original_size: was.size,
        original_conditions: was.conditions.clone(),
        corrected_id: is.id,
        corrected_price: is.price,
        corrected_size: is.size,
        corrected_conditions: is.conditions.clone(),
        tape: was.tape.clone(),
    };
    tick(symbol, time, TickData::Correction(Box::new(correction)))
}

fn letters(bars: &[Tick]) -> String {
    bars.iter().map(|bar| bar.channel().letter()).collect()
}

#[test]
fn trade_of_the_next_minute_closes_the_previous_minute() {
    let mut harness = Harness::new(1 << 20);
    assert_eq!(
        letters(&harness.turn([trade("A", OPENING, 10, 5), trade("A", OPENING + 1, 12, 5)])),
        ""
    );
    let bars = harness.turn([trade("A", OPENING + MINUTE, 20, 1)]);
    assert_eq!(letters(&bars), "bd");
    let bar = harness.bar("A", false, OPENING).unwrap();
    assert_eq!(
        (bar.open, bar.high, bar.low, bar.close),
        (price(10), price(12), price(10), price(12))
    );
    assert_eq!((bar.volume, bar.trades, bar.vwap), (10, 2, price(11)));
    assert_eq!(harness.bar("A", true, NEW_YORK_DAY), Some(bar), "the day so far is that minute");
}

#[test]
fn clock_closes_a_minute_two_seconds_after_its_end() {
    let mut harness = Harness::new(1 << 20);
    harness.now += 59 * SECOND;
    harness.turn([trade("A", harness.now, 10, 5)]);
    harness.now += 3 * SECOND - 1;
    assert_eq!(letters(&harness.turn([])), "");
    harness.now += 1;
    assert_eq!(letters(&harness.turn([])), "bd");
    assert!(!harness.maker.has_open_minutes());
}

#[test]
fn clock_of_a_recording_is_that_of_its_trades() {
    let mut harness = Harness::new(1 << 20);
    harness.now += 5 * 365 * 24 * 3_600 * SECOND; // the trades are years old
    harness.turn([trade("A", OPENING, 10, 5), trade("B", OPENING + 61 * SECOND, 10, 5)]);
    harness.now += SECOND - 1;
    assert_eq!(letters(&harness.turn([])), "");
    harness.now += 1;
    let bars = harness.turn([]);
    assert_eq!((letters(&bars).as_str(), bars[0].symbol.as_str()), ("bd", "A"));
}

#[test]
fn trade_ahead_does_not_close_the_minutes_of_other_symbols() {
    let mut harness = Harness::new(1 << 20);
    let ahead = harness.now + 50 * MINUTE;
    harness.turn([trade("A", harness.now, 10, 5), trade("Z", ahead, 7, 1)]);
    assert_eq!(letters(&harness.turn([trade("A", harness.now + 1, 11, 5)])), "");
    let taken = harness.maker.take_ahead();
    let by = Duration::from_secs(50 * 60);
    let symbol = Symbol::new("Z").unwrap();
    assert_eq!(taken, [TradesAhead { feed: FEED, count: 1, symbol, by }]);
    assert_eq!(harness.maker.take_ahead(), []);
    harness.now += MINUTE + CLOSE_DELAY;
    let bars = harness.turn([]);
    assert_eq!((letters(&bars).as_str(), bars[0].symbol.as_str()), ("bd", "A"));
    harness.now = ahead + MINUTE + CLOSE_DELAY;
    let bars = harness.turn([]);
    assert_eq!((letters(&bars).as_str(), bars[0].symbol.as_str()), ("bd", "Z"));
}

#[test]
fn trades_ahead_are_reported_by_feed_with_the_one_furthest_ahead() {
    let mut harness = Harness::new(1 << 20);
    let at = |seconds: u64| OPENING + seconds * SECOND;
    harness.turn([trade("A", at(5), 10, 5), trade("B", at(6), 10, 5), trade("C", at(9), 10, 5)]);
    harness.turn([trade("D", at(7), 10, 5)]);
    let symbol = Symbol::new("C").unwrap();
    let by = Duration::from_secs(9);
    assert_eq!(harness.maker.take_ahead(), [TradesAhead { feed: FEED, count: 3, symbol, by }]);
}

#[test]
fn minutes_of_a_feed_that_is_always_ahead_are_closed_by_the_hubs_clock() {
    let mut harness = Harness::new(1 << 20);
    for second in 0..30 {
        harness.now = OPENING + second * SECOND;
        harness.turn([trade("A", harness.now + 10 * SECOND, 10, 5)]);
    }
    harness.now = OPENING + MINUTE + CLOSE_DELAY - 1;
    assert_eq!(letters(&harness.turn([])), "");
    harness.now += 1;
    assert_eq!(letters(&harness.turn([])), "bd");
    assert_eq!(harness.bar("A", false, OPENING).unwrap().volume, 150);
}

#[test]
fn trade_ahead_does_not_end_the_day_of_its_symbol() {
    let mut harness = Harness::new(1 << 20);
    let midnight = NEW_YORK_DAY + 24 * 60 * MINUTE;
    harness.now = midnight - 30 * MINUTE;
    harness.turn([trade("N", midnight + SECOND, 20, 5)]);
    harness.turn([trade("A", harness.now, 10, 5), trade("A", midnight + SECOND, 20, 5)]);
    harness.turn([trade("A", harness.now + 1, 11, 5), trade("N", harness.now, 11, 5)]);
    assert_eq!(harness.maker.skipped(), Skipped { ahead: 2, ..Skipped::default() });
    harness.settle();
    assert_eq!(harness.bar("A", true, NEW_YORK_DAY).unwrap().volume, 10);
    assert_eq!(harness.bar("N", true, NEW_YORK_DAY).unwrap().volume, 5);
    // A feed that is always ahead begins its day late, but begins it.
    harness.now = midnight + MINUTE;
    harness.turn([trade("A", harness.now + 10 * SECOND, 30, 1)]);
    harness.settle();
    assert_eq!(harness.bar("A", true, midnight).unwrap().volume, 1);
}

#[test]
fn restored_clock_is_not_further_ahead_than_allowed() {
    let lenient = BarConfig { ahead_max: Duration::from_secs(3_600), ..config(1 << 20) };
    let mut harness = Harness { maker: BarMaker::new(lenient).unwrap(), ..Harness::new(1 << 20) };
    harness.turn([trade("A", OPENING, 10, 5), trade("Z", OPENING + 50 * SECOND, 7, 1)]);
    let mut saved = Vec::new();
    harness.maker.save_state(&mut saved);
    harness.maker = BarMaker::restore_state(config(1 << 20), &saved, &[FEED]).unwrap();
    harness.now += 20 * SECOND;
    assert_eq!(letters(&harness.turn([])), "", "the clock was 50 s ahead");
    harness.now += 37 * SECOND;
    assert_eq!(letters(&harness.turn([])), "bdbd");
}

#[test]
fn late_trades_of_a_turn_make_one_updated_bar() {
    let mut harness = Harness::new(1 << 20);
    harness.turn([trade("A", OPENING + 5, 10, 5), trade("A", OPENING + MINUTE, 20, 1)]);
    let late = [trade("A", OPENING + 3, 9, 1), trade("A", OPENING + 7, 11, 1)];
    assert_eq!(letters(&harness.turn(late)), "ud");
    let bar = harness.bar("A", false, OPENING).unwrap();
    assert_eq!((bar.open, bar.close, bar.volume), (price(9), price(11), 7));
    assert_eq!(letters(&harness.turn([trade("A", OPENING + MINUTE + 1, 20, 1)])), "");
}

#[test]
fn bar_whose_only_trade_is_cancelled_becomes_zeros() {
    let mut harness = Harness::new(1 << 20);
    let only = trade("A", OPENING, 10, 5);
    harness.turn([only.clone()]);
    harness.settle();
    let TickData::Trade(sold) = &only.data else { panic!("not a trade") };
    assert_eq!(letters(&harness.turn([cancel("A", harness.now, sold)])), "ud");
    assert_eq!(harness.bar("A", false, OPENING), Some(&Bar::default()));
    assert_eq!(harness.bar("A", true, NEW_YORK_DAY), Some(&Bar::default()));
    assert_eq!(
        letters(&harness.turn([cancel("A", harness.now, sold)])),
        "",
        "the trade is already cancelled"
    );
    assert_eq!(harness.maker.skipped(), Skipped { unmatched: 1, ..Skipped::default() });
}

#[test]
fn kind_of_bar_that_the_feed_publishes_is_not_made() {
    for (data, left) in
        [(TickData::Bar(Bar::default()), "d"), (TickData::DailyBar(Bar::default()), "b")]
    {
        let mut harness = Harness::new(1 << 20);
        harness.turn([trade("A", OPENING, 10, 5), tick("B", OPENING, data)]);
        assert_eq!(letters(&harness.turn([trade("A", OPENING + MINUTE, 10, 5)])), left);
    }
}

#[test]
fn trades_of_earlier_days_and_of_the_future_make_no_bars() {
    let mut harness = Harness::new(1 << 20);
    harness.turn([trade("A", OPENING, 10, 5), trade("A", NEW_YORK_DAY - 1, 10, 5)]);
    harness.turn([trade("A", harness.now + 3_601 * SECOND, 10, 5)]);
    assert_eq!(harness.maker.skipped(), Skipped { earlier_day: 1, ahead: 1, unmatched: 0 });
    assert_eq!(letters(&harness.settle()), "bd");
}

#[test]
fn new_day_begins_at_midnight_of_the_zone() {
    let mut harness = Harness::new(1 << 20);
    let midnight = NEW_YORK_DAY + 24 * 60 * MINUTE;
    harness.now = midnight;
    harness.turn([trade("A", midnight - 1, 10, 5)]);
    assert_eq!(letters(&harness.turn([trade("A", midnight, 20, 5)])), "bd");
    harness.settle();
    assert_eq!(harness.bar("A", true, NEW_YORK_DAY).unwrap().close, price(10));
    assert_eq!(harness.bar("A", true, midnight).unwrap().open, price(20));
}

#[test]
fn prices_outside_the_session_are_not_in_the_daily_bar() {
    let session = BarConfig { session: "09:31-16:00".to_owned(), ..config(1 << 20) };
    let mut harness = Harness { maker: BarMaker::new(session).unwrap(), ..Harness::new(1 << 20) };
    harness.now += MINUTE;
    harness.turn([trade("A", OPENING, 10, 5), trade("A", OPENING + MINUTE, 20, 5)]);
    harness.settle();
    assert_eq!(harness.bar("A", false, OPENING).unwrap().open, price(10));
    let day = harness.bar("A", true, NEW_YORK_DAY).unwrap();
    assert_eq!((day.open, day.low, day.volume), (price(20), price(20), 10));
}

#[test]
fn minutes_beyond_the_limit_are_closed_in_further_turns() {
    let mut harness = Harness::new(1 << 30);
    let trades = (0..10_000_u32).map(|number| {
        let tick = trade(&format!("S{number}"), OPENING, 10, 1);
        Numbered { topic: TopicId(number), feed: FEED, tick }
    });
    harness.maker.turn(&trades.collect::<Vec<_>>(), UnixNanos(harness.now), &mut Vec::new());
    let now = UnixNanos(harness.now + MINUTE + CLOSE_DELAY);
    for expected in [(4_096, true), (4_096, true), (1_808, false)] {
        let mut bars = Vec::new();
        let more = harness.maker.turn(&[], now, &mut bars);
        assert_eq!((bars.len() / 2, more), expected);
    }
}

//! Random trades, late ones, cancels and corrections against a model that knows every trade.

mod model;

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tickwire_protocol::{
    Bar, CancelError, Conditions, Correction, Price, Seq, Symbol, Text, Tick, TickData, Trade,
    UnixNanos,
};

use super::{BadState, BarConfig, BarMaker, CLOSE_DELAY, MINUTE, SECOND, Skipped};
use crate::fanout::{FeedId, Numbered, TopicId};
use crate::seeded::random;
use model::{Model, Sold};

const FEED: FeedId = FeedId(0);
/// 2018-01-02T14:30:00Z, the beginning of a session in New York.
const OPENING: u64 = 1_514_903_400 * SECOND;
const NEW_YORK_DAY: u64 = 1_514_869_200 * SECOND;

fn config(bytes_max: usize) -> BarConfig {
    let (time_zone, session) = ("America/New_York".to_owned(), "00:00-24:00".to_owned());
    BarConfig { time_zone, session, bytes_max }
}

/// A maker with the numbering of a hub around it, and what it has told last.
struct Rig {
    maker: BarMaker,
    now: u64,
    /// The last bar of each minute and day: `b` and `u` are the same minute.
    told: HashMap<(Symbol, bool, u64), Bar>,
    /// What the hub would have recorded, turn by turn: ticks, how many of these are bars it made, time.
    records: Vec<(Vec<Numbered>, usize, UnixNanos)>,
}

impl Rig {
    fn new(bytes_max: usize) -> Self {
        let maker = BarMaker::new(config(bytes_max)).unwrap();
        Self { maker, now: OPENING, told: HashMap::new(), records: Vec::new() }
    }

    /// A turn with these ticks; returns the bars it led to.
    fn turn(&mut self, ticks: impl IntoIterator<Item = Tick>) -> Vec<Tick> {
        let mut record: Vec<_> = ticks.into_iter().map(numbered).collect();
        let mut bars = Vec::new();
        let mut from = record.clone();
        while self.maker.turn(&from, UnixNanos(self.now), &mut bars) {
            from.clear();
        }
        for (_, bar) in &bars {
            let (day, made) = match &bar.data {
                TickData::Bar(made) | TickData::UpdatedBar(made) => (false, made),
                TickData::DailyBar(made) => (true, made),
                other => panic!("not a bar: {other:?}"),
            };
            self.told.insert((bar.symbol, day, bar.time.0), made.clone());
        }
        let bars: Vec<_> = bars.into_iter().map(|(_, bar)| bar).collect();
        record.extend(bars.iter().cloned().map(numbered));
        self.records.push((record, bars.len(), UnixNanos(self.now)));
        bars
    }

    /// Lets the clock go on until every minute is closed.
    fn settle(&mut self) -> Vec<Tick> {
        self.now += MINUTE + CLOSE_DELAY;
        let bars = self.turn([]);
        assert!(!self.maker.has_open_minutes());
        bars
    }

    fn told(&self, symbol: &str, day: bool, time: u64) -> Option<&Bar> {
        self.told.get(&(Symbol::new(symbol).unwrap(), day, time))
    }
}

/// With the topic a hub might give it: one for each channel of a symbol.
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
fn a_trade_of_the_next_minute_closes_the_one_before() {
    let mut rig = Rig::new(1 << 20);
    assert_eq!(
        letters(&rig.turn([trade("A", OPENING, 10, 5), trade("A", OPENING + 1, 12, 5)])),
        ""
    );
    let bars = rig.turn([trade("A", OPENING + MINUTE, 20, 1)]);
    assert_eq!(letters(&bars), "bd");
    let bar = rig.told("A", false, OPENING).unwrap();
    assert_eq!(
        (bar.open, bar.high, bar.low, bar.close),
        (price(10), price(12), price(10), price(12))
    );
    assert_eq!((bar.volume, bar.trades, bar.vwap), (10, 2, price(11)));
    assert_eq!(rig.told("A", true, NEW_YORK_DAY), Some(bar), "the day so far is that minute");
}

#[test]
fn the_clock_closes_a_minute_two_seconds_after_its_end() {
    let mut rig = Rig::new(1 << 20);
    rig.turn([trade("A", OPENING + 59 * SECOND, 10, 5)]);
    rig.now += 3 * SECOND - 1;
    assert_eq!(letters(&rig.turn([])), "");
    rig.now += 1;
    assert_eq!(letters(&rig.turn([])), "bd");
    assert!(!rig.maker.has_open_minutes());
}

#[test]
fn the_clock_of_a_recording_is_that_of_its_trades() {
    let mut rig = Rig::new(1 << 20);
    rig.now += 5 * 365 * 24 * 3_600 * SECOND; // the trades are years old
    rig.turn([trade("A", OPENING, 10, 5), trade("B", OPENING + 61 * SECOND, 10, 5)]);
    rig.now += SECOND - 1;
    assert_eq!(letters(&rig.turn([])), "");
    rig.now += 1;
    let bars = rig.turn([]);
    assert_eq!((letters(&bars).as_str(), bars[0].symbol.as_str()), ("bd", "A"));
}

#[test]
fn late_trades_of_a_turn_make_one_updated_bar() {
    let mut rig = Rig::new(1 << 20);
    rig.turn([trade("A", OPENING + 5, 10, 5), trade("A", OPENING + MINUTE, 20, 1)]);
    let late = [trade("A", OPENING + 3, 9, 1), trade("A", OPENING + 7, 11, 1)];
    assert_eq!(letters(&rig.turn(late)), "ud");
    let bar = rig.told("A", false, OPENING).unwrap();
    assert_eq!((bar.open, bar.close, bar.volume), (price(9), price(11), 7));
    assert_eq!(letters(&rig.turn([trade("A", OPENING + MINUTE + 1, 20, 1)])), "");
}

#[test]
fn a_bar_whose_only_trade_is_cancelled_becomes_zeros() {
    let mut rig = Rig::new(1 << 20);
    let only = trade("A", OPENING, 10, 5);
    rig.turn([only.clone()]);
    rig.settle();
    let TickData::Trade(sold) = &only.data else { panic!("not a trade") };
    assert_eq!(letters(&rig.turn([cancel("A", rig.now, sold)])), "ud");
    assert_eq!(rig.told("A", false, OPENING), Some(&Bar::default()));
    assert_eq!(rig.told("A", true, NEW_YORK_DAY), Some(&Bar::default()));
    assert_eq!(
        letters(&rig.turn([cancel("A", rig.now, sold)])),
        "",
        "there is nothing to take back"
    );
    assert_eq!(rig.maker.skipped(), Skipped { unmatched: 1, ..Skipped::default() });
}

#[test]
fn a_feed_that_sends_a_kind_of_bar_is_not_given_it() {
    for (data, left) in
        [(TickData::Bar(Bar::default()), "d"), (TickData::DailyBar(Bar::default()), "b")]
    {
        let mut rig = Rig::new(1 << 20);
        rig.turn([trade("A", OPENING, 10, 5), tick("B", OPENING, data)]);
        assert_eq!(letters(&rig.turn([trade("A", OPENING + MINUTE, 10, 5)])), left);
    }
}

#[test]
fn trades_of_earlier_days_and_of_the_future_make_no_bars() {
    let mut rig = Rig::new(1 << 20);
    rig.turn([trade("A", OPENING, 10, 5), trade("A", NEW_YORK_DAY - 1, 10, 5)]);
    rig.turn([trade("A", rig.now + 3_601 * SECOND, 10, 5)]);
    assert_eq!(rig.maker.skipped(), Skipped { earlier_day: 1, ahead: 1, unmatched: 0 });
    assert_eq!(letters(&rig.settle()), "bd");
}

#[test]
fn a_new_day_begins_at_midnight_of_the_zone() {
    let mut rig = Rig::new(1 << 20);
    let midnight = NEW_YORK_DAY + 24 * 60 * MINUTE;
    rig.now = midnight;
    rig.turn([trade("A", midnight - 1, 10, 5)]);
    assert_eq!(letters(&rig.turn([trade("A", midnight, 20, 5)])), "bd");
    rig.settle();
    assert_eq!(rig.told("A", true, NEW_YORK_DAY).unwrap().close, price(10));
    assert_eq!(rig.told("A", true, midnight).unwrap().open, price(20));
}

#[test]
fn prices_outside_the_session_do_not_make_the_day() {
    let session = BarConfig { session: "09:31-16:00".to_owned(), ..config(1 << 20) };
    let mut rig = Rig { maker: BarMaker::new(session).unwrap(), ..Rig::new(1 << 20) };
    rig.turn([trade("A", OPENING, 10, 5), trade("A", OPENING + MINUTE, 20, 5)]);
    rig.settle();
    assert_eq!(rig.told("A", false, OPENING).unwrap().open, price(10));
    let day = rig.told("A", true, NEW_YORK_DAY).unwrap();
    assert_eq!((day.open, day.low, day.volume), (price(20), price(20), 10));
}

#[test]
fn minutes_beyond_the_limit_are_closed_in_further_turns() {
    let mut rig = Rig::new(1 << 30);
    let trades = (0..10_000_u32).map(|number| {
        let tick = trade(&format!("S{number}"), OPENING, 10, 1);
        Numbered { topic: TopicId(number), feed: FEED, tick }
    });
    rig.maker.turn(&trades.collect::<Vec<_>>(), UnixNanos(rig.now), &mut Vec::new());
    let now = UnixNanos(rig.now + MINUTE + CLOSE_DELAY);
    for expected in [(4_096, true), (4_096, true), (1_808, false)] {
        let mut bars = Vec::new();
        let more = rig.maker.turn(&[], now, &mut bars);
        assert_eq!((bars.len() / 2, more), expected);
    }
}

const CODES: [&str; 14] = ["@", "F", "I", "T", "4", "Z", "B", "M", "Q", "9", "O", "6", "U", "7"];

/// The trades of some symbols as a feed might send them: mostly in order, some late, some in the same
/// instant, now and then a day later.
struct Market {
    random: StdRng,
    time: u64,
    sold: Vec<Sold>,
}

impl Market {
    fn trade(&mut self) -> Tick {
        let random = &mut self.random;
        self.time += match random.random_range(0..100) {
            0 => 13 * 3_600 * SECOND,
            1..5 => random.random_range(0..3 * MINUTE),
            5..30 => 0,
            _ => random.random_range(0..10 * SECOND),
        };
        let late = match random.random_range(0..10) {
            0 => random.random_range(0..10 * MINUTE),
            1..3 => random.random_range(0..5 * SECOND),
            _ => 0,
        };
        let symbol = ["A", "B", "C"][random.random_range(0..3)];
        let sold = self.some_trade();
        let time = self.time - late;
        self.sold.push(Sold { symbol, time, trade: Some(sold.clone()) });
        tick(symbol, time, TickData::Trade(sold))
    }

    fn some_trade(&mut self) -> Trade {
        let random = &mut self.random;
        let codes = random.random_range(0..3);
        let codes: Vec<_> =
            (0..codes).map(|_| CODES[random.random_range(0..CODES.len())]).collect();
        Trade {
            id: random.random_range(0..5_000),
            exchange: Text::new(["V", "Q", ""][random.random_range(0..3)]).unwrap(),
            price: price(random.random_range(90..110)),
            size: random.random_range(0..300),
            conditions: Conditions::new(codes).unwrap(),
            tape: Text::new(["A", "C", ""][random.random_range(0..3)]).unwrap(),
        }
    }

    /// A cancel or correction of an earlier trade.
    fn change(&mut self) -> Option<Tick> {
        let from = self.sold.len().saturating_sub(60);
        let index = self.random.random_range(from..self.sold.len().max(1));
        let is = (self.random.random_range(0..2) == 0).then(|| self.some_trade());
        let Sold { symbol, time, trade } = self.sold.get(index)?.clone();
        let was = trade.filter(|_| model::day(time) == model::day(self.time))?;
        // The newest of equal trades is meant; the others are left alone here.
        let same = |sold: &Sold| {
            sold.symbol == symbol && sold.trade.as_ref().is_some_and(|trade| trade.id == was.id)
        };
        if self.sold.iter().filter(|sold| same(sold)).count() > 1 {
            return None;
        }
        let is =
            is.map(|is| Trade { exchange: was.exchange.clone(), tape: was.tape.clone(), ..is });
        self.sold[index].trade.clone_from(&is);
        Some(match is {
            None => cancel(symbol, self.time, &was),
            Some(is) => correction(symbol, self.time, &was, &is),
        })
    }

    fn turn(&mut self, changes: bool) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for _ in 0..self.random.random_range(0..12) {
            ticks.push(self.trade());
            if changes && self.random.random_range(0..8) == 0 {
                ticks.extend(self.change());
            }
        }
        ticks
    }
}

fn market(random: &mut StdRng) -> Market {
    Market { random: StdRng::seed_from_u64(random.random()), time: OPENING, sold: Vec::new() }
}

/// Plays a market of so many turns to a maker, its hub's clock in step with the event times.
fn play(rig: &mut Rig, market: &mut Market, turns: usize, changes: bool) {
    for _ in 0..turns {
        let ticks = market.turn(changes);
        rig.now = market.time;
        rig.turn(ticks);
        if market.random.random_range(0..4) == 0 {
            rig.now += market.random.random_range(0..2 * MINUTE);
            market.time = rig.now;
            rig.turn([]);
        }
    }
}

#[test]
fn bars_equal_those_of_a_model_that_knows_every_trade() {
    let mut random = random();
    for _ in 0..60 {
        let (mut rig, mut market) = (Rig::new(usize::MAX), market(&mut random));
        play(&mut rig, &mut market, 80, true);
        rig.settle();
        let model = Model::new(&market.sold);
        model.check_minutes(&rig.told);
        model.check_days(&rig.told);
    }
}

#[test]
fn days_stay_exact_where_minutes_are_let_go() {
    let mut random = random();
    for _ in 0..60 {
        let (mut rig, mut market) = (Rig::new(3_000), market(&mut random));
        play(&mut rig, &mut market, 80, false);
        rig.settle();
        assert!(rig.maker.kept_bytes() <= 3_000, "{}", rig.maker.kept_bytes());
        Model::new(&market.sold).check_days(&rig.told);
    }
}

#[test]
fn a_maker_that_is_restored_and_follows_the_records_goes_on_in_the_same_way() {
    let mut random = random();
    for _ in 0..60 {
        let (mut rig, mut market) = (Rig::new(usize::MAX), market(&mut random));
        let before = random.random_range(0..40);
        play(&mut rig, &mut market, before, true);
        let mut saved = Vec::new();
        rig.maker.save_state(&mut saved);
        let recorded = rig.records.len();
        play(&mut rig, &mut market, random.random_range(0..40), true);
        let mut restored = BarMaker::restore_state(config(usize::MAX), &saved, &[FEED]).unwrap();
        for (ticks, made, received) in &rig.records[recorded..] {
            restored.follow(ticks, *made, *received);
        }
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        let now = UnixNanos(rig.now + MINUTE + CLOSE_DELAY);
        let next = [market.trade(), market.trade()].map(numbered);
        rig.maker.turn(&next, now, &mut theirs);
        restored.turn(&next, now, &mut ours);
        // What was closed without a bar is not in the records: its day may be told once more.
        theirs.retain(|(_, tick)| !matches!(tick.data, TickData::DailyBar(_)));
        ours.retain(|(_, tick)| !matches!(tick.data, TickData::DailyBar(_)));
        assert_eq!(ours, theirs);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        rig.maker.save_state(&mut expected);
        restored.save_state(&mut found);
        assert!(found == expected, "{:?}\n{:?}", restored, rig.maker);
    }
}

/// A hub that made no bars for a while, or now has other days, knows only some of what it once made bars of.
#[test]
fn recorded_bars_that_a_maker_cannot_explain_do_not_stop_it_and_those_of_a_publisher_do() {
    let mut random = random();
    let (mut rig, mut market) = (Rig::new(usize::MAX), market(&mut random));
    play(&mut rig, &mut market, 40, true);
    for (by_the_hub, letters_of_next) in [(true, "bd"), (false, "")] {
        let mut maker = BarMaker::new(config(usize::MAX)).unwrap();
        for (ticks, made, received) in &rig.records[20..] {
            maker.follow(ticks, if by_the_hub { *made } else { 0 }, *received);
        }
        let next = numbered(trade("NEW", market.time, 10, 5));
        let mut bars = Vec::new();
        maker.turn(&[next], UnixNanos(market.time), &mut bars);
        maker.turn(&[], UnixNanos(market.time + MINUTE + CLOSE_DELAY), &mut bars);
        bars.retain(|(_, bar)| bar.symbol.as_str() == "NEW");
        let bars: Vec<_> = bars.into_iter().map(|(_, bar)| bar).collect();
        assert_eq!(letters(&bars), letters_of_next);
    }
}

#[test]
fn a_damaged_state_is_refused_and_never_panics() {
    let mut random = random();
    let (mut rig, mut market) = (Rig::new(usize::MAX), market(&mut random));
    play(&mut rig, &mut market, 10, true);
    let mut saved = Vec::new();
    rig.maker.save_state(&mut saved);
    for length in 0..saved.len() {
        let cut = BarMaker::restore_state(config(1 << 20), &saved[..length], &[FEED]);
        assert!(matches!(cut, Err(BadState::Malformed | BadState::OtherDays)), "{length}");
    }
    for _ in 0..2_000 {
        let mut damaged = saved.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..damaged.len());
            damaged[at] = random.random();
        }
        if let Ok(mut maker) = BarMaker::restore_state(config(1 << 20), &damaged, &[FEED]) {
            maker.turn(
                &market.turn(true).into_iter().map(numbered).collect::<Vec<_>>(),
                UnixNanos(market.time),
                &mut Vec::new(),
            );
            maker.turn(&[], UnixNanos(market.time + 10 * MINUTE), &mut Vec::new());
            maker.save_state(&mut Vec::new());
        }
    }
}

#[test]
fn a_state_for_other_days_is_refused() {
    let mut saved = Vec::new();
    Rig::new(1 << 20).maker.save_state(&mut saved);
    let tokyo = BarConfig { time_zone: "Asia/Tokyo".to_owned(), ..config(1 << 20) };
    assert_eq!(BarMaker::restore_state(tokyo, &saved, &[FEED]).unwrap_err(), BadState::OtherDays);
    assert!(BarMaker::restore_state(config(1 << 20), &saved, &[FEED]).is_ok());
}

#[test]
fn feeds_may_have_other_numbers_after_a_restart() {
    let mut rig = Rig::new(1 << 20);
    rig.turn([trade("A", OPENING, 10, 5)]);
    let mut saved = Vec::new();
    rig.maker.save_state(&mut saved);
    let mut restored = BarMaker::restore_state(config(1 << 20), &saved, &[FeedId(7)]).unwrap();
    let mut bars = Vec::new();
    restored.turn(&[], UnixNanos(rig.now + MINUTE + CLOSE_DELAY), &mut bars);
    assert!(bars.len() == 2 && bars.iter().all(|(feed, _)| *feed == FeedId(7)), "{bars:?}");
    let unknown = BarMaker::restore_state(config(1 << 20), &saved, &[]);
    assert_eq!(unknown.unwrap_err(), BadState::Malformed);
}

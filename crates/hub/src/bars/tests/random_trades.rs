//! Compares bars with a model that knows every trade, under random trades, late trades, cancels and
//! corrections; and restores makers from their state.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tickwire_testkit::seeds;

use super::model::{Model, Sold};
use super::*;

const CODES: [&str; 14] = ["@", "F", "I", "T", "4", "Z", "B", "M", "Q", "9", "O", "6", "U", "7"];

/// Largest time by which a generated trade is ahead of the hub's clock.
const AHEAD_MAX: u64 = 30 * MINUTE;

/// Generates trades of three symbols as a feed might send them: mostly in order, some late, some
/// ahead of the hub's clock, some at the same instant, occasionally a day later.
struct TradeSource {
    random: StdRng,
    time: u64,
    sold: Vec<Sold>,
}

impl TradeSource {
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
        let ahead = match random.random_range(0..100) {
            0 => random.random_range(0..AHEAD_MAX),
            _ => 0,
        };
        let symbol = ["A", "B", "C"][random.random_range(0..3)];
        let sold = self.some_trade();
        // A trade ahead of the hub's clock and on another day makes no bars.
        let ahead = if model::day(self.time + ahead) == model::day(self.time) { ahead } else { 0 };
        let time = self.time - late + ahead;
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

    /// Returns a cancel or correction of an earlier trade, if one can be changed.
    fn change(&mut self) -> Option<Tick> {
        let from = self.sold.len().saturating_sub(60);
        let index = self.random.random_range(from..self.sold.len().max(1));
        let is = (self.random.random_range(0..2) == 0).then(|| self.some_trade());
        let Sold { symbol, time, trade } = self.sold.get(index)?.clone();
        let was = trade.filter(|_| model::day(time) == model::day(self.time))?;
        // Among equal trades the newest is meant; the model does not cover that case.
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

fn trade_source(random: &mut StdRng) -> TradeSource {
    TradeSource { random: StdRng::seed_from_u64(random.random()), time: OPENING, sold: Vec::new() }
}

/// Runs a number of turns with random trades, and with cancels and corrections if `changes`. The
/// hub's clock follows the event times.
fn play(harness: &mut Harness, source: &mut TradeSource, turns: usize, changes: bool) {
    for _ in 0..turns {
        let ticks = source.turn(changes);
        harness.now = source.time;
        harness.turn(ticks);
        if source.random.random_range(0..4) == 0 {
            harness.now += source.random.random_range(0..2 * MINUTE);
            source.time = harness.now;
            harness.turn([]);
        }
    }
}

#[test]
fn bars_equal_those_of_a_model_that_knows_every_trade() {
    let mut random = seeds!().rng();
    for _ in 0..60 {
        let mut harness = Harness::new(usize::MAX);
        let mut source = trade_source(&mut random);
        play(&mut harness, &mut source, 80, true);
        harness.now += AHEAD_MAX;
        harness.settle();
        let model = Model::new(&source.sold);
        model.check_minutes(&harness.emitted);
        model.check_days(&harness.emitted);
    }
}

#[test]
fn daily_bars_stay_exact_when_minutes_are_evicted() {
    let mut random = seeds!().rng();
    for _ in 0..60 {
        let mut harness = Harness::new(3_000);
        let mut source = trade_source(&mut random);
        play(&mut harness, &mut source, 80, false);
        harness.now += AHEAD_MAX;
        harness.settle();
        assert!(harness.maker.kept_bytes() <= 3_000, "{}", harness.maker.kept_bytes());
        Model::new(&source.sold).check_days(&harness.emitted);
    }
}

#[test]
fn maker_that_replays_the_records_after_a_restore_emits_the_same_bars() {
    let mut random = seeds!().rng();
    for _ in 0..60 {
        let mut harness = Harness::new(usize::MAX);
        let mut source = trade_source(&mut random);
        let before = random.random_range(0..40);
        play(&mut harness, &mut source, before, true);
        let mut saved = Vec::new();
        harness.maker.save_state(&mut saved);
        let recorded = harness.records.len();
        play(&mut harness, &mut source, random.random_range(0..40), true);
        let mut restored = BarMaker::restore_state(config(usize::MAX), &saved, &[FEED]).unwrap();
        for record in &harness.records[recorded..] {
            restored.replay(&record.ticks, record.made, record.received);
        }
        let mut theirs = Vec::new();
        let mut ours = Vec::new();
        let now = UnixNanos(harness.now + MINUTE + CLOSE_DELAY);
        let next = [source.trade(), source.trade()].map(numbered);
        harness.maker.turn(&next, now, &mut theirs);
        restored.turn(&next, now, &mut ours);
        // A minute that closed without a bar left no record, so its daily bar may be emitted again.
        theirs.retain(|(_, tick)| !matches!(tick.data, TickData::DailyBar(_)));
        ours.retain(|(_, tick)| !matches!(tick.data, TickData::DailyBar(_)));
        assert_eq!(ours, theirs);
        let mut expected = Vec::new();
        let mut found = Vec::new();
        harness.maker.save_state(&mut expected);
        restored.save_state(&mut found);
        assert!(found == expected, "{:?}\n{:?}", restored, harness.maker);
    }
}

/// Replays only the second half of a run's records, so that the maker would make other bars than
/// those in the records. If the records mark their bars as made by the hub, the maker still makes
/// the bars of a new trade. If the bars are a publisher's ticks, the maker makes none from then on.
#[test]
fn replay_of_other_bars_disables_bars_only_if_a_publisher_sent_them() {
    let mut random = seeds!().rng();
    let mut harness = Harness::new(usize::MAX);
    let mut source = trade_source(&mut random);
    play(&mut harness, &mut source, 40, true);
    for (by_the_hub, letters_of_next) in [(true, "bd"), (false, "")] {
        let mut maker = BarMaker::new(config(usize::MAX)).unwrap();
        for record in &harness.records[20..] {
            let made = if by_the_hub { record.made } else { 0 };
            maker.replay(&record.ticks, made, record.received);
        }
        let next = numbered(trade("NEW", source.time, 10, 5));
        let mut bars = Vec::new();
        maker.turn(&[next], UnixNanos(source.time), &mut bars);
        maker.turn(&[], UnixNanos(source.time + MINUTE + CLOSE_DELAY), &mut bars);
        bars.retain(|(_, bar)| bar.symbol.as_str() == "NEW");
        let bars: Vec<_> = bars.into_iter().map(|(_, bar)| bar).collect();
        assert_eq!(letters(&bars), letters_of_next);
    }
}

#[test]
fn damaged_state_is_rejected_without_a_panic() {
    let mut random = seeds!().rng();
    let mut harness = Harness::new(usize::MAX);
    let mut source = trade_source(&mut random);
    play(&mut harness, &mut source, 10, true);
    let mut saved = Vec::new();
    harness.maker.save_state(&mut saved);
    for length in 0..saved.len() {
        let cut = BarMaker::restore_state(config(1 << 20), &saved[..length], &[FEED]);
        assert!(matches!(cut, Err(BadState::Malformed | BadState::OtherCalendar)), "{length}");
    }
    for _ in 0..2_000 {
        let mut damaged = saved.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..damaged.len());
            damaged[at] = random.random();
        }
        if let Ok(mut maker) = BarMaker::restore_state(config(1 << 20), &damaged, &[FEED]) {
            maker.turn(
                &source.turn(true).into_iter().map(numbered).collect::<Vec<_>>(),
                UnixNanos(source.time),
                &mut Vec::new(),
            );
            maker.turn(&[], UnixNanos(source.time + 10 * MINUTE), &mut Vec::new());
            maker.save_state(&mut Vec::new());
        }
    }
}

#[test]
fn state_for_other_days_is_refused() {
    let mut saved = Vec::new();
    Harness::new(1 << 20).maker.save_state(&mut saved);
    let tokyo = BarConfig { time_zone: "Asia/Tokyo".to_owned(), ..config(1 << 20) };
    assert_eq!(
        BarMaker::restore_state(tokyo, &saved, &[FEED]).unwrap_err(),
        BadState::OtherCalendar
    );
    assert!(BarMaker::restore_state(config(1 << 20), &saved, &[FEED]).is_ok());
}

#[test]
fn feeds_may_have_other_numbers_after_a_restart() {
    let mut harness = Harness::new(1 << 20);
    harness.turn([trade("A", OPENING, 10, 5)]);
    let mut saved = Vec::new();
    harness.maker.save_state(&mut saved);
    let mut restored = BarMaker::restore_state(config(1 << 20), &saved, &[FeedId(7)]).unwrap();
    let mut bars = Vec::new();
    restored.turn(&[], UnixNanos(harness.now + MINUTE + CLOSE_DELAY), &mut bars);
    assert!(bars.len() == 2 && bars.iter().all(|(feed, _)| *feed == FeedId(7)), "{bars:?}");
    let unknown = BarMaker::restore_state(config(1 << 20), &saved, &[]);
    assert_eq!(unknown.unwrap_err(), BadState::Malformed);
}

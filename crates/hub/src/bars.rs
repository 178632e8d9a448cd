//! Bars of trades: minute, updated and daily ones, for feeds that do not supply them.
//!
//! Pure, as the fan-out core is: trades come in with `now`, bars come out, and the same input gives the
//! same bars. What counts for a bar is in `docs/bars.md`.
//!
//! A bar is a function of its trades, their event times and, where these are equal, their order of
//! arrival. While trades only come, sums are enough. To take a trade back its minute is summed again,
//! so the newest minutes keep their trades, as many as fit a limit in bytes; older minutes are folded
//! into one sum for the day.

mod aggregate;
mod calendar;
mod conditions;
mod derived;
mod feed;
mod follow;
mod replacing;
mod series;
mod state;
mod telling;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use tickwire_protocol::{Symbol, Tick, TickData, Trade, UnixNanos};

use crate::fanout::{FeedId, Numbered};
use conditions::Effects;
use feed::{FeedClock, Supplies};
use series::{Kept, Key, Place, Series};

pub(crate) use calendar::{Calendar, CalendarError};
pub use state::BadState;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// How long after its end a minute waits for trades, by the feed's clock.
const CLOSE_DELAY: u64 = 2 * SECOND;
/// How much later than the hub's clock the time of a trade may be.
const AHEAD_MAX: u64 = 3_600 * SECOND;
/// Minutes the clock closes in one turn at the most, so that a batch stays small.
const CLOSED_PER_TURN_MAX: usize = 4_096;
/// Trades looked at in one turn at the most, to find those that cancels and corrections name.
const LOOKS_PER_TURN_MAX: usize = 1 << 20;

/// What bars are to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarConfig {
    /// Time zone of the market's days, a name of the tz database.
    pub time_zone: String,
    /// The part of a day whose prices make the daily bar, such as `09:30-16:00`.
    pub session: String,
    /// Most bytes of trades and minutes kept for late trades, corrections and cancels.
    pub bytes_max: usize,
}

/// Makes bars.
#[derive(Debug)]
pub struct BarMaker {
    config: BarConfig,
    calendar: Calendar,
    feeds: Vec<FeedClock>,
    series: Vec<Series>,
    by_symbol: FxHashMap<(FeedId, Symbol), u32>,
    /// Series by topic of trades, so that a trade need not be looked up by its symbol.
    by_topic: Vec<u32>,
    /// Minutes that are kept, in the order in which they came up: series and start.
    kept: VecDeque<(u32, u64)>,
    kept_bytes: usize,
    /// Series to tell of at the end of the turn.
    touched: Vec<u32>,
    looks: usize,
    made: Vec<(FeedId, Tick)>,
    skipped: Skipped,
}

/// Ticks of publishers that bars could not take account of, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Trades of a day before the day that their symbol has reached.
    pub earlier_day: u64,
    /// Trades timed more than an hour ahead of the hub's clock.
    pub ahead: u64,
    /// Cancels and corrections of trades that are not kept.
    pub unmatched: u64,
}

/// No series: a topic that has had no trade yet.
const NONE: u32 = u32::MAX;

impl BarMaker {
    /// A maker of bars that has seen nothing. `None` if zone or session of the config are none, which
    /// the check of the hub's config has ruled out.
    #[must_use]
    pub fn new(config: BarConfig) -> Option<Self> {
        let calendar = Calendar::new(&config.time_zone, &config.session).ok()?;
        Some(Self {
            config,
            calendar,
            feeds: Vec::new(),
            series: Vec::new(),
            by_symbol: FxHashMap::default(),
            by_topic: Vec::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            touched: Vec::new(),
            looks: LOOKS_PER_TURN_MAX,
            made: Vec::new(),
            skipped: Skipped::default(),
        })
    }

    /// Takes the ticks of a turn and appends the bars they lead to, and those of minutes the clock
    /// closes. Says whether more minutes are due, which another turn has to close.
    pub fn turn(
        &mut self,
        ticks: &[Numbered],
        now: UnixNanos,
        out: &mut Vec<(FeedId, Tick)>,
    ) -> bool {
        for numbered in ticks {
            self.take(numbered, now);
        }
        self.tell();
        let more = self.close_due(now);
        self.forget();
        out.append(&mut self.made);
        more
    }

    /// Makes no bars of a feed from now on, as if it had sent some of each kind. Says whether that is
    /// new.
    pub fn leave_alone(&mut self, feed: FeedId) -> bool {
        let all = Supplies { minutes: true, days: true };
        std::mem::replace(&mut self.clock(feed).supplies, all) != all
    }

    /// Whether a minute is open, so that the clock may have to close it.
    #[must_use]
    pub fn has_open_minutes(&self) -> bool {
        self.feeds.iter().any(|feed| !feed.open.is_empty())
    }

    /// What bars could not take account of.
    #[must_use]
    pub const fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Bytes of trades and minutes that are kept.
    #[must_use]
    pub const fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    fn take(&mut self, numbered: &Numbered, now: UnixNanos) {
        let Numbered { feed, tick, .. } = numbered;
        match &tick.data {
            TickData::Trade(trade) => self.trade(numbered, trade, now),
            TickData::CancelError(cancel) => self.cancel(*feed, tick, cancel),
            TickData::Correction(correction) => self.correct(*feed, tick, correction),
            TickData::Bar(_) | TickData::UpdatedBar(_) => self.clock(*feed).supplies.minutes = true,
            TickData::DailyBar(_) => self.clock(*feed).supplies.days = true,
            TickData::Quote(_)
            | TickData::Status(_)
            | TickData::Luld(_)
            | TickData::Imbalance(_) => {}
        }
    }

    fn clock(&mut self, feed: FeedId) -> &mut FeedClock {
        let index = usize::from(feed.0);
        if index >= self.feeds.len() {
            self.feeds.resize_with(index + 1, FeedClock::default);
        }
        &mut self.feeds[index]
    }

    fn trade(&mut self, numbered: &Numbered, trade: &Trade, now: UnixNanos) {
        let time = numbered.tick.time.0;
        if time > now.0.saturating_add(AHEAD_MAX) {
            self.skipped.ahead += 1;
            return;
        }
        let clock = self.clock(numbered.feed);
        if clock.supplies == (Supplies { minutes: true, days: true }) {
            return;
        }
        if time > clock.newest {
            (clock.newest, clock.seen) = (time, now.0);
        }
        let id = self.series_of(numbered);
        let series = &mut self.series[id as usize];
        if time >= series.day.end {
            self.begin_day(id, time);
        } else if time < series.day.start {
            self.skipped.earlier_day += 1;
            return;
        }
        let series = &mut self.series[id as usize];
        let mut effects = Effects::of(&trade.conditions, &trade.tape);
        if !series.day.in_session(time) {
            effects = effects.outside_session();
        }
        let key = Key::new(trade.id, &trade.exchange, trade.price.nanos(), trade.size);
        let (place, before, after) = series.add(Kept { key, time, effects });
        self.kept_bytes = (self.kept_bytes + after).saturating_sub(before);
        self.placed(id, time - time % MINUTE, place);
    }

    /// Notes what follows from where a trade went.
    fn placed(&mut self, id: u32, start: u64, place: Place) {
        match place {
            Place::Open => {}
            Place::Opened => {
                self.keep(id, start);
                let feed = self.series[id as usize].feed;
                self.clock(feed).open.entry(start).or_default().push(id);
                self.touch(id);
            }
            Place::Late => self.touch(id),
            Place::LateOpened => {
                self.keep(id, start);
                self.touch(id);
            }
        }
    }

    fn keep(&mut self, id: u32, start: u64) {
        self.kept.push_back((id, start));
        self.kept_bytes += size_of::<(u32, u64)>();
    }

    fn series_of(&mut self, numbered: &Numbered) -> u32 {
        let topic = numbered.topic.0 as usize;
        match self.by_topic.get(topic) {
            // An epoch that begins again numbers its topics anew.
            Some(&id) if id != NONE && self.series[id as usize].is_of(numbered) => id,
            _ => {
                let id = self.find_or_begin(numbered);
                if topic >= self.by_topic.len() {
                    self.by_topic.resize(topic + 1, NONE);
                }
                self.by_topic[topic] = id;
                id
            }
        }
    }

    fn find_or_begin(&mut self, numbered: &Numbered) -> u32 {
        let Numbered { feed, tick, .. } = numbered;
        let next = u32::try_from(self.series.len()).expect("there are fewer series than topics");
        *self.by_symbol.entry((*feed, tick.symbol)).or_insert_with(|| {
            let day = self.calendar.day(tick.time.0);
            self.series.push(Series::new(*feed, tick.symbol, day));
            next
        })
    }

    /// Ends the day of a series: tells of what is left of it and lets go of its minutes.
    fn begin_day(&mut self, id: u32, time: u64) {
        let series = &mut self.series[id as usize];
        series.close_minute();
        self.tell_series(id);
        let series = &mut self.series[id as usize];
        for minute in &series.minutes {
            self.kept_bytes = self.kept_bytes.saturating_sub(minute.bytes());
        }
        let touched = series.touched;
        *series = Series::new(series.feed, series.symbol, self.calendar.day(time));
        series.touched = touched;
    }

    /// Closes minutes that have ended by their feed's clock. Says whether more are due.
    fn close_due(&mut self, now: UnixNanos) -> bool {
        let mut left = CLOSED_PER_TURN_MAX;
        for feed in 0..self.feeds.len() {
            while self.feeds[feed].is_due(now.0) {
                if left == 0 {
                    return true;
                }
                left = self.close_some(feed, left);
            }
        }
        false
    }

    /// Closes minutes of a feed's earliest bucket, so many at the most; returns what is left of that.
    fn close_some(&mut self, feed: usize, mut left: usize) -> usize {
        let Some(mut bucket) = self.feeds[feed].open.first_entry() else { return left };
        let start = *bucket.key();
        let waiting = bucket.get_mut();
        let from = waiting.len().saturating_sub(left);
        let ids = waiting.split_off(from);
        left -= ids.len();
        if waiting.is_empty() {
            bucket.remove();
        }
        for id in ids {
            let series = &mut self.series[id as usize];
            if series.open_minute() == Some(start) {
                series.close_minute();
                self.tell_series(id);
            }
        }
        left
    }

    /// Lets go of the oldest minutes until what is kept fits its limit.
    fn forget(&mut self) {
        for _ in 0..self.kept.len() {
            if self.kept_bytes <= self.config.bytes_max {
                return;
            }
            let Some((id, start)) = self.kept.pop_front() else { return };
            let (freed, remains) = self.series[id as usize].fold(start);
            self.kept_bytes = self.kept_bytes.saturating_sub(freed + size_of::<(u32, u64)>());
            if remains {
                self.keep(id, start);
            }
        }
    }
}

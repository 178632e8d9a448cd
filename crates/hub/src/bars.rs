//! Builds minute, updated and daily bars from trades, for feeds that do not publish bars
//! themselves.
//!
//! The entry point is [`BarMaker::turn`]: ticks and the time go in, bars come out. The module does
//! no I/O, and equal input gives equal bars. `docs/bars.md` has the rules.
//!
//! A bar is a function of its trades, their event times and, among equal times, their order of
//! arrival. Adding a trade only needs running sums. Removing one (a cancel or a correction) sums
//! its minute again, so the newest minutes keep their trades, up to a limit in bytes. Older minutes
//! are folded into one sum for the day.

mod aggregate;
mod ahead;
mod calendar;
mod conditions;
mod corrections;
mod emit;
mod feed;
mod replay;
mod series;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tickwire_protocol::{Symbol, Tick, TickData, Trade, UnixNanos};

use crate::fanout::{FeedId, Numbered};
use ahead::Ahead;
use conditions::Effects;
use feed::{FeedClock, SuppliedBars};
use series::{KeptTrade, Placement, Series, TradeKey};

pub use ahead::TradesAhead;
pub(crate) use calendar::{Calendar, CalendarError};
pub use state::BadState;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// Nanoseconds of the feed's clock that a minute waits for trades after its end.
const CLOSE_DELAY: u64 = 2 * SECOND;
/// Maximum number of minutes that the clock closes in one turn, so that a batch stays small.
const CLOSED_PER_TURN_MAX: usize = 4_096;
/// Maximum number of trades that one turn compares to find those that cancels and corrections refer
/// to.
const COMPARISONS_PER_TURN_MAX: usize = 1 << 20;

/// Settings of a [`BarMaker`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarConfig {
    /// Time zone of the market's days: a name of the tz database, such as `America/New_York`.
    pub time_zone: String,
    /// The part of the day whose prices form the daily bar, such as `09:30-16:00`.
    pub session: String,
    /// Maximum number of bytes of trades and minutes kept for late trades, corrections and cancels.
    pub bytes_max: usize,
    /// Time by which a trade may be ahead of the hub's clock and still advance its feed's clock.
    pub ahead_max: Duration,
}

/// Builds bars from the ticks of all feeds. See the module for its use.
#[derive(Debug)]
pub struct BarMaker {
    config: BarConfig,
    calendar: Calendar,
    feeds: Vec<FeedClock>,
    series: Vec<Series>,
    by_symbol: FxHashMap<(FeedId, Symbol), u32>,
    /// Series by topic of trades, so that a trade need not be looked up by its symbol.
    by_topic: Vec<u32>,
    /// Kept minutes in the order of their creation: series and start of the minute.
    kept: VecDeque<(u32, u64)>,
    kept_bytes: usize,
    /// Series that changed in this turn and may emit bars at its end.
    touched: Vec<u32>,
    /// Comparisons that cancels and corrections may still spend in this turn.
    comparisons_left: usize,
    made: Vec<(FeedId, Tick)>,
    skipped: Skipped,
    /// Trades ahead of the hub's clock since the last [`BarMaker::take_ahead`].
    ahead: Vec<TradesAhead>,
}

/// Numbers of ticks that had no effect on bars, since the maker was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Trades of a day before the current day of their symbol.
    pub earlier_day: u64,
    /// Trades more than an hour ahead of the hub's clock, or further ahead than
    /// [`BarConfig::ahead_max`] and on a later day.
    pub ahead: u64,
    /// Cancels and corrections that refer to a trade that is not kept.
    pub unmatched: u64,
}

/// The entry of `by_topic` for a topic that has no series, because it has had no trade yet.
const NONE: u32 = u32::MAX;

impl BarMaker {
    /// Creates a maker without history. Returns `None` if the config names no valid time zone or
    /// session; the check of the hub's config rules that out.
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
            comparisons_left: COMPARISONS_PER_TURN_MAX,
            made: Vec::new(),
            skipped: Skipped::default(),
            ahead: Vec::new(),
        })
    }

    /// Applies the ticks of a turn, received at time `now`, and appends the resulting bars to
    /// `out`, including those of minutes that the clock closes. Returns whether more minutes are
    /// due; another turn has to close them.
    pub fn turn(
        &mut self,
        ticks: &[Numbered],
        now: UnixNanos,
        out: &mut Vec<(FeedId, Tick)>,
    ) -> bool {
        for numbered in ticks {
            self.apply(numbered, now);
        }
        self.emit();
        let more = self.close_due(now);
        self.evict();
        out.append(&mut self.made);
        more
    }

    /// Stops making bars of a feed from now on, because its publisher sends bars itself or does not
    /// send every trade. Returns whether the hub made bars of any kind for the feed before.
    pub fn disable_bars(&mut self, feed: FeedId) -> bool {
        let all = SuppliedBars { minutes: true, days: true };
        std::mem::replace(&mut self.clock(feed).supplied, all) != all
    }

    /// Returns whether a minute is open, which the clock may have to close.
    #[must_use]
    pub fn has_open_minutes(&self) -> bool {
        self.feeds.iter().any(|feed| !feed.open.is_empty())
    }

    /// Returns the counts of ticks that had no effect on bars.
    #[must_use]
    pub const fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Returns the bytes of all kept trades and minutes.
    #[must_use]
    pub const fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    fn apply(&mut self, numbered: &Numbered, now: UnixNanos) {
        let Numbered { feed, tick, .. } = numbered;
        match &tick.data {
            TickData::Trade(trade) => self.trade(numbered, trade, now),
            TickData::CancelError(cancel) => self.cancel(*feed, tick, cancel),
            TickData::Correction(correction) => self.correct(*feed, tick, correction),
            TickData::Bar(_) | TickData::UpdatedBar(_) => self.clock(*feed).supplied.minutes = true,
            TickData::DailyBar(_) => self.clock(*feed).supplied.days = true,
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
        let ahead = self.note_if_ahead(numbered, now);
        if ahead == Ahead::TooFar {
            self.skipped.ahead += 1;
            return;
        }
        let clock = self.clock(numbered.feed);
        if clock.supplied == (SuppliedBars { minutes: true, days: true }) {
            return;
        }
        if ahead == Ahead::No && time > clock.newest {
            clock.newest = time;
            clock.seen = now.0;
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
        let key = TradeKey::new(trade.id, &trade.exchange, trade.price.nanos(), trade.size);
        let (placement, before, after) = series.add(KeptTrade { key, time, effects });
        self.kept_bytes = (self.kept_bytes + after).saturating_sub(before);
        self.on_placement(id, time - time % MINUTE, placement);
    }

    /// Records the consequences of where a trade was placed: a new minute to keep and to close, or
    /// a closed one to report again.
    fn on_placement(&mut self, id: u32, start: u64, placement: Placement) {
        match placement {
            Placement::Open => {}
            Placement::Opened => {
                self.keep(id, start);
                let feed = self.series[id as usize].feed;
                self.clock(feed).open.entry(start).or_default().push(id);
                self.touch(id);
            }
            Placement::Late => self.touch(id),
            Placement::LateOpened => {
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
            // A new epoch assigns new topic ids, so the series is checked against the tick.
            Some(&id) if id != NONE && self.series[id as usize].is_of(numbered) => id,
            _ => {
                let id = self.find_or_create(numbered);
                if topic >= self.by_topic.len() {
                    self.by_topic.resize(topic + 1, NONE);
                }
                self.by_topic[topic] = id;
                id
            }
        }
    }

    fn find_or_create(&mut self, numbered: &Numbered) -> u32 {
        let Numbered { feed, tick, .. } = numbered;
        let next = u32::try_from(self.series.len()).expect("there are fewer series than topics");
        *self.by_symbol.entry((*feed, tick.symbol)).or_insert_with(|| {
            let day = self.calendar.day(tick.time.0);
            self.series.push(Series::new(*feed, tick.symbol, day));
            next
        })
    }

    /// Ends the day of a series: emits its remaining bars and drops its minutes.
    fn begin_day(&mut self, id: u32, time: u64) {
        let series = &mut self.series[id as usize];
        series.close_minute();
        self.emit_series(id);
        let series = &mut self.series[id as usize];
        for minute in &series.minutes {
            self.kept_bytes = self.kept_bytes.saturating_sub(minute.bytes());
        }
        let touched = series.touched;
        *series = Series::new(series.feed, series.symbol, self.calendar.day(time));
        series.touched = touched;
    }

    /// Closes minutes that ended by their feed's clock, up to [`CLOSED_PER_TURN_MAX`]. Returns
    /// whether more are due.
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

    /// Closes at most `left` of the feed's open minutes with the earliest start time. Returns how
    /// many more minutes this turn may close.
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
                self.emit_series(id);
            }
        }
        left
    }

    /// Folds the oldest minutes into their days until the kept bytes fit their limit.
    fn evict(&mut self) {
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

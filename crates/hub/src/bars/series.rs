//! The current day of one symbol in one feed, by minutes.

use std::collections::VecDeque;

use tickwire_protocol::{Symbol, Text};

use super::MINUTE;
use super::aggregate::{Aggregate, Sale};
use super::calendar::Day;
use super::conditions::{Effects, IF_FIRST, OPEN_CLOSE};
use crate::fanout::{FeedId, Numbered};

/// Maximum number of trades of one minute that are kept for corrections.
const MINUTE_TRADES_MAX: usize = 1 << 16;

/// The current day of one symbol: its newest minutes one by one, older ones folded into one sum.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) feed: FeedId,
    pub(super) symbol: Symbol,
    pub(super) day: Day,
    /// Kept minutes in order of time. Only the last one may be open.
    pub(super) minutes: VecDeque<Minute>,
    /// Sum of the minutes that are no longer kept, by the rules of the day.
    pub(super) folded: Aggregate,
    /// End of the latest folded minute. A late trade whose minute is not kept and starts earlier is
    /// added to `folded`.
    pub(super) folded_until: u64,
    /// Sum of all minutes of the day except the open one.
    pub(super) closed: Aggregate,
    /// Whether `closed` changed in this turn.
    pub(super) day_changed: bool,
    /// Whether the last daily bar that was sent had prices.
    pub(super) day_reported: bool,
    /// Number of minutes with a pending bar.
    pub(super) pending: usize,
    /// Whether the series is in the maker's list of changed series.
    pub(super) touched: bool,
}

/// One minute of one symbol.
#[derive(Debug)]
pub(super) struct Minute {
    pub(super) start: u64,
    pub(super) open: bool,
    pub(super) pending: Pending,
    /// Whether the last bar that was sent had prices.
    pub(super) reported: bool,
    /// The trades in order of arrival; `None` if they exceeded [`MINUTE_TRADES_MAX`].
    pub(super) trades: Option<Vec<KeptTrade>>,
    /// Smallest and largest trade id in `trades`.
    pub(super) ids: (u64, u64),
    /// Sums by the rules of minute bars.
    pub(super) minute: Aggregate,
    /// Sums by the rules of daily bars.
    pub(super) day: Aggregate,
}

/// The bar of a minute that is to be sent at the end of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    Nothing,
    Closed,
    Updated,
}

/// The parts of a trade that are needed to remove it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeptTrade {
    pub(super) key: TradeKey,
    pub(super) time: u64,
    pub(super) effects: Effects,
}

/// Identifies the trade that a cancel or correction refers to. The id alone is not enough: some
/// sources assign none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TradeKey {
    pub(super) id: u64,
    /// The first eight bytes of the exchange's code.
    pub(super) exchange: [u8; 8],
    pub(super) price: i64,
    pub(super) size: u64,
}

impl TradeKey {
    pub(super) fn new(id: u64, exchange: &Text, price: i64, size: u64) -> Self {
        let mut code = [0; 8];
        for (to, from) in code.iter_mut().zip(exchange.as_str().bytes()) {
            *to = from;
        }
        Self { id, exchange: code, price, size }
    }
}

impl KeptTrade {
    pub(super) const fn sale(&self) -> Sale {
        Sale { time: self.time, price: self.key.price, size: self.key.size }
    }
}

/// Where [`Series::add`] placed a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// In the open minute.
    Open,
    /// In a new minute, which is now the open one.
    Opened,
    /// In a closed minute, or in the sum of minutes that are no longer kept.
    Late,
    /// In a new minute that is older than the newest one.
    LateOpened,
}

impl Minute {
    pub(super) fn new(start: u64, open: bool) -> Self {
        Self {
            start,
            open,
            pending: Pending::Nothing,
            reported: false,
            trades: Some(Vec::new()),
            ids: (u64::MAX, 0),
            minute: Aggregate::default(),
            day: Aggregate::default(),
        }
    }

    fn add(&mut self, kept: KeptTrade) {
        self.minute.add(kept.sale(), kept.effects.of_minute());
        self.day.add(kept.sale(), kept.effects.of_day());
        self.keep(kept);
    }

    /// Keeps a trade that the sums already contain.
    pub(super) fn keep(&mut self, kept: KeptTrade) {
        let Some(trades) = &mut self.trades else { return };
        if trades.len() == MINUTE_TRADES_MAX {
            self.trades = None;
            return;
        }
        trades.push(kept);
        self.ids = (self.ids.0.min(kept.key.id), self.ids.1.max(kept.key.id));
    }

    /// Returns the bytes that the minute occupies.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.trades.as_ref().map_or(0, Vec::capacity) * size_of::<KeptTrade>()
    }

    /// Recomputes the sums from the kept trades.
    fn recompute(&mut self) {
        self.minute = Aggregate::default();
        self.day = Aggregate::default();
        for kept in self.trades.iter().flatten() {
            self.minute.add(kept.sale(), kept.effects.of_minute());
            self.day.add(kept.sale(), kept.effects.of_day());
        }
    }
}

impl Series {
    pub(super) fn new(feed: FeedId, symbol: Symbol, day: Day) -> Self {
        Self {
            feed,
            symbol,
            day,
            minutes: VecDeque::new(),
            folded: Aggregate::default(),
            folded_until: 0,
            closed: Aggregate::default(),
            day_changed: false,
            day_reported: false,
            pending: 0,
            touched: false,
        }
    }

    /// Returns whether a tick has this symbol and feed.
    pub(super) fn is_of(&self, numbered: &Numbered) -> bool {
        self.feed == numbered.feed && self.symbol == numbered.tick.symbol
    }

    /// Adds a trade of this day. Returns where it was placed, and the size of its minute in bytes
    /// before and after.
    pub(super) fn add(&mut self, kept: KeptTrade) -> (Placement, usize, usize) {
        let start = kept.time - kept.time % MINUTE;
        let (index, placement) = match self.minutes.back() {
            Some(last) if last.start == start && last.open => {
                (self.minutes.len() - 1, Placement::Open)
            }
            Some(last) if last.start < start => self.open(start),
            None if start >= self.folded_until => self.open(start),
            _ => match self.minutes.binary_search_by_key(&start, |minute| minute.start) {
                Ok(index) => (index, Placement::Late),
                Err(_) if start < self.folded_until => {
                    self.folded.add(kept.sale(), kept.effects.of_day());
                    self.closed.add(kept.sale(), kept.effects.of_day());
                    self.day_changed = true;
                    return (Placement::Late, 0, 0);
                }
                Err(index) => {
                    self.minutes.insert(index, Minute::new(start, false));
                    (index, Placement::LateOpened)
                }
            },
        };
        let minute = &mut self.minutes[index];
        let before = match placement {
            Placement::Open | Placement::Late => minute.bytes(),
            Placement::Opened | Placement::LateOpened => 0,
        };
        minute.add(kept);
        let after = minute.bytes();
        if matches!(placement, Placement::Late | Placement::LateOpened) {
            self.closed.add(kept.sale(), kept.effects.of_day());
            self.mark_updated(index);
        }
        (placement, before, after)
    }

    /// Closes the open minute, if there is one, and opens the minute that begins at `start`.
    /// Returns its index.
    fn open(&mut self, start: u64) -> (usize, Placement) {
        self.close_minute();
        self.minutes.push_back(Minute::new(start, true));
        (self.minutes.len() - 1, Placement::Opened)
    }

    /// Closes the open minute, if there is one.
    pub(super) fn close_minute(&mut self) {
        if let Some(last) = self.minutes.back_mut().filter(|last| last.open) {
            last.open = false;
            last.pending = Pending::Closed;
            self.pending += 1;
            self.closed.merge(&last.day);
            self.day_changed = true;
        }
    }

    /// Returns the kept minute with this start, if there is one.
    pub(super) fn minute(&self, start: u64) -> Option<&Minute> {
        let index = self.minutes.binary_search_by_key(&start, |minute| minute.start).ok()?;
        self.minutes.get(index)
    }

    /// Returns the start of the open minute, if there is one.
    pub(super) fn open_minute(&self) -> Option<u64> {
        self.minutes.back().filter(|last| last.open).map(|last| last.start)
    }

    /// Marks a closed minute as changed, so that an updated bar is sent.
    fn mark_updated(&mut self, index: usize) {
        let minute = &mut self.minutes[index];
        if minute.pending == Pending::Nothing {
            minute.pending = Pending::Updated;
            self.pending += 1;
        }
        self.day_changed = true;
    }

    /// Searches the kept trades, newest first, and subtracts the comparisons from `budget`. Returns
    /// the index of the minute and of the trade within it, or `None` if the trade is not kept or
    /// the budget is exhausted.
    pub(super) fn find(&self, key: &TradeKey, budget: &mut usize) -> Option<(usize, usize)> {
        for (index, minute) in self.minutes.iter().enumerate().rev() {
            let Some(trades) = &minute.trades else { continue };
            if key.id < minute.ids.0 || key.id > minute.ids.1 {
                continue;
            }
            *budget = budget.checked_sub(trades.len())?;
            if let Some(at) = trades.iter().rposition(|kept| kept.key == *key) {
                return Some((index, at));
            }
        }
        None
    }

    /// Replaces the trade at a position that [`Series::find`] returned, or removes it if `by` is
    /// `None`.
    pub(super) fn replace(&mut self, (index, at): (usize, usize), by: Option<(TradeKey, Effects)>) {
        let minute = &mut self.minutes[index];
        let Some(trades) = &mut minute.trades else { return };
        match by {
            None => {
                trades.remove(at);
            }
            Some((key, effects)) => {
                let in_session = self.day.in_session(trades[at].time);
                let effects = if in_session { effects } else { effects.outside_session() };
                trades[at] = KeptTrade { key, effects, ..trades[at] };
                minute.ids = (minute.ids.0.min(key.id), minute.ids.1.max(key.id));
            }
        }
        minute.recompute();
        if !minute.open {
            self.sum_closed();
            self.mark_updated(index);
        }
    }

    /// Applies a correction or cancel to the folded sum: removes the original trade `was` and adds
    /// the corrected trade `is`, if there is one. Returns `false` if the sum cannot contain the
    /// original trade.
    pub(super) fn adjust(&mut self, was: (Sale, Effects), is: Option<(Sale, Effects)>) -> bool {
        let (sale, effects) = was;
        if self.folded.trades == 0 || self.folded.volume < sale.size {
            return false;
        }
        self.folded.take_from_sums(sale, effects.of_day());
        if let Some((sale, effects)) = is {
            // Folding lost the information whether it was the first or last trade.
            self.folded.add(sale, effects.of_day() & !(OPEN_CLOSE | IF_FIRST));
        }
        self.sum_closed();
        self.day_changed = true;
        true
    }

    /// Recomputes the sum of all minutes that are not open.
    pub(super) fn sum_closed(&mut self) {
        self.closed = self.folded;
        for minute in self.minutes.iter().filter(|minute| !minute.open) {
            self.closed.merge(&minute.day);
        }
    }

    /// Folds a minute into the day's sum. An open minute only drops its trades. Returns the freed
    /// bytes, and whether the minute still exists.
    pub(super) fn fold(&mut self, start: u64) -> (usize, bool) {
        let Ok(index) = self.minutes.binary_search_by_key(&start, |minute| minute.start) else {
            return (0, false);
        };
        let minute = &mut self.minutes[index];
        let before = minute.bytes();
        if minute.open {
            minute.trades = None;
            return (before - minute.bytes(), true);
        }
        self.folded.merge(&minute.day);
        self.folded_until = self.folded_until.max(start + MINUTE);
        self.minutes.remove(index);
        (before, false)
    }
}

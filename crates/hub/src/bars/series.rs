//! The trades of one symbol in one feed, by minutes.

use std::collections::VecDeque;

use tickwire_protocol::{Symbol, Text};

use super::MINUTE;
use super::aggregate::{Aggregate, Sale};
use super::calendar::Day;
use super::conditions::{Effects, IF_FIRST, OPEN_CLOSE};
use crate::fanout::{FeedId, Numbered};

/// Most trades of a minute that are kept for corrections.
const MINUTE_TRADES_MAX: usize = 1 << 16;

/// The day of one symbol so far: its newest minutes one by one, the older ones as one sum.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) feed: FeedId,
    pub(super) symbol: Symbol,
    pub(super) day: Day,
    /// In order of time. Only the last one may be open.
    pub(super) minutes: VecDeque<Minute>,
    /// The day's trades in minutes that are no longer kept, by the rules of the day.
    pub(super) folded: Aggregate,
    /// End of the latest minute in `folded`: what belongs to an unknown minute before it does too.
    pub(super) folded_until: u64,
    /// The day's trades but for those of the open minute.
    pub(super) closed: Aggregate,
    /// `closed` has changed in this turn.
    pub(super) day_changed: bool,
    /// The last daily bar sent had prices.
    pub(super) day_told: bool,
    /// Minutes to tell of at the end of the turn.
    pub(super) pending: usize,
    /// It is on the list of what the turn has touched.
    pub(super) touched: bool,
}

/// One minute of one symbol.
#[derive(Debug)]
pub(super) struct Minute {
    pub(super) start: u64,
    pub(super) open: bool,
    pub(super) pending: Pending,
    /// A bar with prices was sent.
    pub(super) told: bool,
    /// Its trades in the order of arrival; `None` if there were too many.
    pub(super) trades: Option<Vec<Kept>>,
    /// Smallest and largest id in `trades`.
    pub(super) ids: (u64, u64),
    /// By the rules of minutes.
    pub(super) minute: Aggregate,
    /// By the rules of days.
    pub(super) day: Aggregate,
}

/// What is to be told of a minute at the end of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    Nothing,
    Closed,
    Updated,
}

/// A trade, as much of it as is needed to take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) key: Key,
    pub(super) time: u64,
    pub(super) effects: Effects,
}

/// How a cancel or correction names a trade. Ids alone will not do: some sources give none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: u64,
    /// The first eight bytes of the exchange's code.
    pub(super) exchange: [u8; 8],
    pub(super) price: i64,
    pub(super) size: u64,
}

impl Key {
    pub(super) fn new(id: u64, exchange: &Text, price: i64, size: u64) -> Self {
        let mut code = [0; 8];
        for (to, from) in code.iter_mut().zip(exchange.as_str().bytes()) {
            *to = from;
        }
        Self { id, exchange: code, price, size }
    }
}

impl Kept {
    pub(super) const fn sale(&self) -> Sale {
        Sale { time: self.time, price: self.key.price, size: self.key.size }
    }
}

/// Where a trade went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the minute that is open.
    Open,
    /// Into a new minute, which is now the open one.
    Opened,
    /// Into a minute that had been closed, or among those that are no longer kept.
    Late,
    /// Into a minute that had no trades when others after it had.
    LateOpened,
}

impl Minute {
    pub(super) fn new(start: u64, open: bool) -> Self {
        Self {
            start,
            open,
            pending: Pending::Nothing,
            told: false,
            trades: Some(Vec::new()),
            ids: (u64::MAX, 0),
            minute: Aggregate::default(),
            day: Aggregate::default(),
        }
    }

    fn add(&mut self, kept: Kept) {
        self.minute.add(kept.sale(), kept.effects.of_minute());
        self.day.add(kept.sale(), kept.effects.of_day());
        self.keep(kept);
    }

    /// Remembers a trade that the sums hold.
    pub(super) fn keep(&mut self, kept: Kept) {
        let Some(trades) = &mut self.trades else { return };
        if trades.len() == MINUTE_TRADES_MAX {
            self.trades = None;
            return;
        }
        trades.push(kept);
        self.ids = (self.ids.0.min(kept.key.id), self.ids.1.max(kept.key.id));
    }

    /// Bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.trades.as_ref().map_or(0, Vec::capacity) * size_of::<Kept>()
    }

    /// Makes its sums anew from its trades.
    fn sum_again(&mut self) {
        (self.minute, self.day) = Default::default();
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
            day_told: false,
            pending: 0,
            touched: false,
        }
    }

    /// Whether a tick is of its symbol and feed.
    pub(super) fn is_of(&self, numbered: &Numbered) -> bool {
        self.feed == numbered.feed && self.symbol == numbered.tick.symbol
    }

    /// Takes in a trade of its day. Says where it went, and the bytes of its minute before and after.
    pub(super) fn add(&mut self, kept: Kept) -> (Place, usize, usize) {
        let start = kept.time - kept.time % MINUTE;
        let (index, place) = match self.minutes.back() {
            Some(last) if last.start == start && last.open => (self.minutes.len() - 1, Place::Open),
            Some(last) if last.start < start => self.begin(start),
            None if start >= self.folded_until => self.begin(start),
            _ => match self.minutes.binary_search_by_key(&start, |minute| minute.start) {
                Ok(index) => (index, Place::Late),
                Err(_) if start < self.folded_until => {
                    self.folded.add(kept.sale(), kept.effects.of_day());
                    self.closed.add(kept.sale(), kept.effects.of_day());
                    self.day_changed = true;
                    return (Place::Late, 0, 0);
                }
                Err(index) => {
                    self.minutes.insert(index, Minute::new(start, false));
                    (index, Place::LateOpened)
                }
            },
        };
        let minute = &mut self.minutes[index];
        let before = match place {
            Place::Open | Place::Late => minute.bytes(),
            Place::Opened | Place::LateOpened => 0,
        };
        minute.add(kept);
        let after = minute.bytes();
        if matches!(place, Place::Late | Place::LateOpened) {
            self.closed.add(kept.sale(), kept.effects.of_day());
            self.changed(index);
        }
        (place, before, after)
    }

    fn begin(&mut self, start: u64) -> (usize, Place) {
        self.close_minute();
        self.minutes.push_back(Minute::new(start, true));
        (self.minutes.len() - 1, Place::Opened)
    }

    /// Closes the open minute, if one is.
    pub(super) fn close_minute(&mut self) {
        if let Some(last) = self.minutes.back_mut().filter(|last| last.open) {
            last.open = false;
            last.pending = Pending::Closed;
            self.pending += 1;
            self.closed.merge(&last.day);
            self.day_changed = true;
        }
    }

    /// A minute that is kept.
    pub(super) fn minute(&self, start: u64) -> Option<&Minute> {
        let index = self.minutes.binary_search_by_key(&start, |minute| minute.start).ok()?;
        self.minutes.get(index)
    }

    /// Start of the open minute.
    pub(super) fn open_minute(&self) -> Option<u64> {
        self.minutes.back().filter(|last| last.open).map(|last| last.start)
    }

    /// A minute that was closed holds something else now.
    fn changed(&mut self, index: usize) {
        let minute = &mut self.minutes[index];
        if minute.pending == Pending::Nothing {
            minute.pending = Pending::Updated;
            self.pending += 1;
        }
        self.day_changed = true;
    }

    /// Looks for a trade among those kept, the newest first, and counts the trades looked at down
    /// from `looks`. Says in which minute it is, and where there.
    pub(super) fn find(&self, key: &Key, looks: &mut usize) -> Option<(usize, usize)> {
        for (index, minute) in self.minutes.iter().enumerate().rev() {
            let Some(trades) = &minute.trades else { continue };
            if key.id < minute.ids.0 || key.id > minute.ids.1 {
                continue;
            }
            *looks = looks.checked_sub(trades.len())?;
            if let Some(at) = trades.iter().rposition(|kept| kept.key == *key) {
                return Some((index, at));
            }
        }
        None
    }

    /// Puts another trade in the place of one that was found, or none.
    pub(super) fn replace(&mut self, (index, at): (usize, usize), by: Option<(Key, Effects)>) {
        let minute = &mut self.minutes[index];
        let Some(trades) = &mut minute.trades else { return };
        match by {
            None => {
                trades.remove(at);
            }
            Some((key, effects)) => {
                let in_session = self.day.in_session(trades[at].time);
                let effects = if in_session { effects } else { effects.outside_session() };
                trades[at] = Kept { key, effects, ..trades[at] };
                minute.ids = (minute.ids.0.min(key.id), minute.ids.1.max(key.id));
            }
        }
        minute.sum_again();
        if !minute.open {
            self.sum_closed();
            self.changed(index);
        }
    }

    /// Adjusts the sums of what is no longer kept: a trade in there is another one now, or none.
    /// Says whether it can have been in there.
    pub(super) fn adjust(&mut self, was: (Sale, Effects), is: Option<(Sale, Effects)>) -> bool {
        let (sale, effects) = was;
        if self.folded.trades == 0 || self.folded.volume < sale.size {
            return false;
        }
        self.folded.take_from_sums(sale, effects.of_day());
        if let Some((sale, effects)) = is {
            // Whether it was the first or last trade is not known any more.
            self.folded.add(sale, effects.of_day() & !(OPEN_CLOSE | IF_FIRST));
        }
        self.sum_closed();
        self.day_changed = true;
        true
    }

    /// Sums all minutes that are not open.
    pub(super) fn sum_closed(&mut self) {
        self.closed = self.folded;
        for minute in self.minutes.iter().filter(|minute| !minute.open) {
            self.closed.merge(&minute.day);
        }
    }

    /// Lets go of a minute; only its part of the day remains. An open one only loses its trades.
    /// Says how many bytes that frees, and whether the minute is still there.
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

//! Trades whose time is ahead of the hub's clock.
//!
//! A publisher's clock may be wrong, and a single trade may carry a wrong time. Such a trade must
//! not close the minutes of other symbols, nor end the day of its own symbol.

use std::time::Duration;

use tickwire_protocol::{Symbol, UnixNanos};

use super::BarMaker;
use crate::fanout::{FeedId, Numbered};

/// Time by which a trade may be ahead of the hub's clock and still count for bars.
const COUNTED_MAX: Duration = Duration::from_secs(3_600);

/// Trades of one feed that were further ahead of the hub's clock than
/// [`ahead_max`](super::BarConfig::ahead_max).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradesAhead {
    /// Their feed.
    pub feed: FeedId,
    /// Their number.
    pub count: u64,
    /// Symbol of the trade that was furthest ahead.
    pub symbol: Symbol,
    /// Time by which that trade was ahead.
    pub by: Duration,
}

/// How far a trade is ahead of the hub's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// At most by the time allowed in the config.
    No,
    /// Further, but still counted for the bars of its symbol.
    Yes,
    /// By more than [`COUNTED_MAX`], or on a later day: it would end the day of its symbol.
    TooFar,
}

impl BarMaker {
    /// Returns the trades that were ahead of the hub's clock since the last call, by feed.
    pub fn take_ahead(&mut self) -> Vec<TradesAhead> {
        std::mem::take(&mut self.ahead)
    }

    /// Returns whether a trade is ahead of the hub's clock, and records it if it is.
    pub(super) fn note_if_ahead(&mut self, trade: &Numbered, now: UnixNanos) -> Ahead {
        let by = trade.tick.time.since(now);
        if by <= self.config.ahead_max {
            return Ahead::No;
        }
        let symbol = trade.tick.symbol;
        match self.ahead.iter_mut().find(|noted| noted.feed == trade.feed) {
            None => self.ahead.push(TradesAhead { feed: trade.feed, count: 1, symbol, by }),
            Some(noted) => {
                noted.count += 1;
                if by > noted.by {
                    (noted.symbol, noted.by) = (symbol, by);
                }
            }
        }
        let is_today = trade.tick.time.0 < self.calendar.day(now.0).end;
        if is_today && by <= COUNTED_MAX { Ahead::Yes } else { Ahead::TooFar }
    }
}

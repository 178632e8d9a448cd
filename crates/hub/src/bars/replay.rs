//! Rebuilds the state of bars from the records of an earlier run.

use tickwire_protocol::{Bar, Channel, Tick, TickData, UnixNanos};

use super::BarMaker;
use crate::fanout::{FeedId, Numbered};

impl BarMaker {
    /// Applies a recorded batch without emitting bars. The last `made` ticks of the batch are the
    /// bars that the earlier run emitted. They may differ from those this maker would emit, because
    /// it knows less history or uses another calendar; they only tell which minutes the clock had
    /// closed.
    pub fn replay(&mut self, ticks: &[Numbered], made: usize, received: UnixNanos) {
        let (taken, made) = ticks.split_at(ticks.len().saturating_sub(made));
        for numbered in taken {
            self.apply(numbered, received);
        }
        self.emit();
        let mut expected = Expected { bars: std::mem::take(&mut self.made), next: 0 };
        for numbered in made {
            if !expected.take(numbered) {
                self.close_as_recorded(numbered);
                expected.bars.append(&mut self.made);
                expected.take(numbered);
            }
        }
        self.evict();
        self.ahead.clear(); // reported by the earlier run
    }

    /// Closes the open minute of a symbol if the recorded bar shows that the clock had closed it. A
    /// minute that was closed without a bar left no record and stays open here.
    fn close_as_recorded(&mut self, numbered: &Numbered) {
        let Numbered { feed, tick, .. } = numbered;
        let Some(&id) = self.by_symbol.get(&(*feed, tick.symbol)) else { return };
        let series = &mut self.series[id as usize];
        let Some(minute) = series.minutes.back().filter(|minute| minute.open) else { return };
        let led_to_it = match &tick.data {
            TickData::Bar(_) => minute.start == tick.time.0,
            TickData::DailyBar(bar) => {
                let mut day = series.closed;
                day.merge(&minute.day);
                series.day.start == tick.time.0 && day.bar().as_ref() == Some(bar)
            }
            _ => false,
        };
        if !led_to_it {
            return;
        }
        series.close_minute();
        self.emit_series(id);
    }
}

/// Returns whether both bars are of a minute or both of a day. A minute's bar may have been
/// recorded as an updated bar.
fn same_kind(a: &Tick, b: &Tick) -> bool {
    (a.channel() == Channel::DailyBars) == (b.channel() == Channel::DailyBars)
}

fn bar(tick: &Tick) -> Option<&Bar> {
    match &tick.data {
        TickData::Bar(bar) | TickData::UpdatedBar(bar) | TickData::DailyBar(bar) => Some(bar),
        _ => None,
    }
}

/// The bars that the maker emitted while it applied one record, in order.
struct Expected {
    bars: Vec<(FeedId, Tick)>,
    /// Index of the first bar not yet compared. Earlier ones were found in the record or are
    /// missing there.
    next: usize,
}

impl Expected {
    /// Returns whether a recorded bar matches one of the remaining bars, and skips those before it.
    /// Bars may be missing in the record: a bar is dropped if it would exceed the limit of topics.
    fn take(&mut self, numbered: &Numbered) -> bool {
        let same = |(feed, tick): &(FeedId, Tick)| {
            let theirs = &numbered.tick;
            (*feed, tick.symbol, tick.time) == (numbered.feed, theirs.symbol, theirs.time)
                && same_kind(tick, theirs)
                && bar(tick) == bar(theirs)
        };
        let found = self.bars[self.next..].iter().position(same);
        self.next += found.map_or(0, |at| at + 1);
        found.is_some()
    }
}

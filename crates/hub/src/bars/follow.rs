//! Following records of what was numbered before a restart.

use tickwire_protocol::{Bar, Channel, Tick, TickData, UnixNanos};

use super::BarMaker;
use crate::fanout::{FeedId, Numbered};

impl BarMaker {
    /// Takes the ticks of a batch that was recorded and makes no bars of them: those that were made then
    /// are its last `made` ticks. They may differ from what would be made here, which knows less of the
    /// past or has another idea of days; all they say is which minutes the clock had closed.
    pub fn follow(&mut self, ticks: &[Numbered], made: usize, received: UnixNanos) {
        let (taken, made) = ticks.split_at(ticks.len().saturating_sub(made));
        for numbered in taken {
            self.take(numbered, received);
        }
        self.tell();
        let mut expected = Expected { bars: std::mem::take(&mut self.made), next: 0 };
        for numbered in made {
            if !expected.take(numbered) {
                self.close_as_recorded(numbered);
                expected.bars.append(&mut self.made);
                expected.take(numbered);
            }
        }
        self.forget();
    }

    /// Closes the open minute of a symbol if that is what led to this bar: the clock had done so. A
    /// minute it had closed without a bar has left no trace, and is still open here.
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
        self.tell_series(id);
    }
}

/// Whether both are of a minute, or both of a day: a bar may have been told of as an updated one.
fn same_kind(a: &Tick, b: &Tick) -> bool {
    (a.channel() == Channel::DailyBars) == (b.channel() == Channel::DailyBars)
}

fn bar(tick: &Tick) -> Option<&Bar> {
    match &tick.data {
        TickData::Bar(bar) | TickData::UpdatedBar(bar) | TickData::DailyBar(bar) => Some(bar),
        _ => None,
    }
}

/// Bars that the maker has made in the turn of a record, in order.
struct Expected {
    bars: Vec<(FeedId, Tick)>,
    /// Those before it were met in the record, or are missing there.
    next: usize,
}

impl Expected {
    /// Whether a recorded bar is the next of these. Some may be missing: a bar is dropped where it
    /// would open a topic too many.
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

//! Following records of what was numbered before a restart.

use tickwire_protocol::{Tick, TickData, UnixNanos};

use super::series::Pending;
use super::{BarMaker, is_bar};
use crate::fanout::{FeedId, Numbered};

impl BarMaker {
    /// Takes the ticks of a batch that was recorded and makes no bars of them: those it made then
    /// are in the record, behind the ticks of publishers. Bars that it would not have made are
    /// those of a publisher.
    pub fn follow(&mut self, ticks: &[Numbered], received: UnixNanos) {
        for numbered in ticks.iter().filter(|numbered| !is_bar(&numbered.tick)) {
            self.take(numbered, received);
        }
        self.tell();
        let mut expected = Expected { bars: std::mem::take(&mut self.made), next: 0 };
        for numbered in ticks.iter().filter(|numbered| is_bar(&numbered.tick)) {
            if expected.take(numbered) {
                continue;
            }
            self.close_as_recorded(numbered);
            expected.bars.append(&mut self.made);
            if !expected.take(numbered) {
                self.take(numbered, received);
            }
        }
        self.forget();
    }

    /// Closes the open minute of a symbol if that is what led to this bar: the clock had done so. A
    /// minute it had closed without a bar has left no trace; then a late trade made it an updated one.
    fn close_as_recorded(&mut self, numbered: &Numbered) {
        let Numbered { feed, tick, .. } = numbered;
        let Some(&id) = self.by_symbol.get(&(*feed, tick.symbol)) else { return };
        let series = &mut self.series[id as usize];
        let Some(minute) = series.minutes.back().filter(|minute| minute.open) else { return };
        let led_to_it = match &tick.data {
            TickData::Bar(bar) | TickData::UpdatedBar(bar) => {
                minute.start == tick.time.0 && minute.minute.bar().as_ref() == Some(bar)
            }
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
        if let (TickData::UpdatedBar(_), Some(minute)) = (&tick.data, series.minutes.back_mut()) {
            minute.pending = Pending::Updated;
        }
        self.tell_series(id);
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
            (*feed, tick.symbol, tick.time)
                == (numbered.feed, numbered.tick.symbol, numbered.tick.time)
                && tick.data == numbered.tick.data
        };
        let found = self.bars[self.next..].iter().position(same);
        self.next += found.map_or(0, |at| at + 1);
        found.is_some()
    }
}

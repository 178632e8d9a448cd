//! Telling of what has changed, once a turn.

use tickwire_protocol::{Bar, Seq, Tick, TickData, UnixNanos};

use super::series::{Pending, Series};
use super::{BarMaker, LOOKS_PER_TURN_MAX};

impl BarMaker {
    pub(super) fn touch(&mut self, id: u32) {
        let series = &mut self.series[id as usize];
        if !series.touched {
            series.touched = true;
            self.touched.push(id);
        }
    }

    /// Tells of everything this turn has touched.
    pub(super) fn tell(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            self.series[id as usize].touched = false;
            self.tell_series(id);
        }
        self.touched = touched;
        self.looks = LOOKS_PER_TURN_MAX;
    }

    pub(super) fn tell_series(&mut self, id: u32) {
        let series = &mut self.series[id as usize];
        let supplies = self.feeds[usize::from(series.feed.0)].supplies;
        let made = &mut self.made;
        let mut emit = |time, data| {
            let tick = Tick { symbol: series.symbol, seq: Seq(0), time: UnixNanos(time), data };
            made.push((series.feed, tick));
        };
        let first = first_pending(series);
        for minute in series.minutes.range_mut(first..) {
            let pending = std::mem::replace(&mut minute.pending, Pending::Nothing);
            if pending == Pending::Nothing || supplies.minutes {
                continue;
            }
            let (told, bar) = tellable(minute.minute.bar(), &mut minute.told);
            match pending {
                Pending::Closed if told => emit(minute.start, TickData::Bar(bar)),
                Pending::Updated if told => emit(minute.start, TickData::UpdatedBar(bar)),
                _ => {}
            }
        }
        series.pending = 0;
        if std::mem::take(&mut series.day_changed) && !supplies.days {
            let (told, bar) = tellable(series.closed.bar(), &mut series.day_told);
            if told {
                emit(series.day.start, TickData::DailyBar(bar));
            }
        }
    }
}

/// Index of the first minute there is something to tell of.
fn first_pending(series: &Series) -> usize {
    let mut left = series.pending;
    let mut first = series.minutes.len();
    while left > 0 && first > 0 {
        first -= 1;
        left -= usize::from(series.minutes[first].pending != Pending::Nothing);
    }
    first
}

/// The bar to send, and whether to send one: a bar that has lost its last price is told of by zeros, if
/// it had been sent.
fn tellable(bar: Option<Bar>, told: &mut bool) -> (bool, Bar) {
    let tell = bar.is_some() || *told;
    *told = bar.is_some();
    (tell, bar.unwrap_or_default())
}

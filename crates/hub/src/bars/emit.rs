//! Emits the bars that changed, once per turn.

use tickwire_protocol::{Bar, Seq, Tick, TickData, UnixNanos};

use super::series::{Pending, Series};
use super::{BarMaker, COMPARISONS_PER_TURN_MAX};

impl BarMaker {
    /// Marks a series as changed in this turn.
    pub(super) fn touch(&mut self, id: u32) {
        let series = &mut self.series[id as usize];
        if !series.touched {
            series.touched = true;
            self.touched.push(id);
        }
    }

    /// Emits the bars of all series that this turn changed.
    pub(super) fn emit(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            self.series[id as usize].touched = false;
            self.emit_series(id);
        }
        self.touched = touched;
        self.comparisons_left = COMPARISONS_PER_TURN_MAX;
    }

    /// Emits the pending bars of one series.
    pub(super) fn emit_series(&mut self, id: u32) {
        let series = &mut self.series[id as usize];
        let supplied = self.feeds[usize::from(series.feed.0)].supplied;
        let made = &mut self.made;
        let mut emit = |time, data| {
            let tick = Tick { symbol: series.symbol, seq: Seq(0), time: UnixNanos(time), data };
            made.push((series.feed, tick));
        };
        let first = first_pending(series);
        for minute in series.minutes.range_mut(first..) {
            let pending = std::mem::replace(&mut minute.pending, Pending::Nothing);
            if pending == Pending::Nothing || supplied.minutes {
                continue;
            }
            let (send, bar) = bar_to_send(minute.minute.bar(), &mut minute.reported);
            match pending {
                Pending::Closed if send => emit(minute.start, TickData::Bar(bar)),
                Pending::Updated if send => emit(minute.start, TickData::UpdatedBar(bar)),
                _ => {}
            }
        }
        series.pending = 0;
        if std::mem::take(&mut series.day_changed) && !supplied.days {
            let (send, bar) = bar_to_send(series.closed.bar(), &mut series.day_reported);
            if send {
                emit(series.day.start, TickData::DailyBar(bar));
            }
        }
    }
}

/// Returns the index of the first minute with a pending bar.
fn first_pending(series: &Series) -> usize {
    let mut left = series.pending;
    let mut first = series.minutes.len();
    while left > 0 && first > 0 {
        first -= 1;
        left -= usize::from(series.minutes[first].pending != Pending::Nothing);
    }
    first
}

/// Returns whether to send a bar, and which. A bar that was sent and has lost its last price is
/// sent again with zeros.
fn bar_to_send(bar: Option<Bar>, reported: &mut bool) -> (bool, Bar) {
    let send = bar.is_some() || *reported;
    *reported = bar.is_some();
    (send, bar.unwrap_or_default())
}

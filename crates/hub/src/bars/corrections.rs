//! Applies cancels and corrections to the bars of the trades they refer to.

use tickwire_protocol::{CancelError, Correction, Symbol, Tick};

use super::BarMaker;
use super::aggregate::Sale;
use super::conditions::{self, Effects};
use super::series::TradeKey;
use crate::fanout::FeedId;

impl BarMaker {
    pub(super) fn cancel(&mut self, feed: FeedId, tick: &Tick, cancel: &CancelError) {
        let key = TradeKey::new(cancel.id, &cancel.exchange, cancel.price.nanos(), cancel.size);
        let sale = Sale { time: 0, price: key.price, size: key.size };
        // The conditions of a trade that is not kept are unknown; nearly all count as volume.
        let was = (sale, Effects(conditions::VOLUME << 4));
        self.replace(feed, tick.symbol, &key, None, was);
    }

    pub(super) fn correct(&mut self, feed: FeedId, tick: &Tick, correction: &Correction) {
        let Correction { exchange, tape, .. } = correction;
        let was = TradeKey::new(
            correction.original_id,
            exchange,
            correction.original_price.nanos(),
            correction.original_size,
        );
        let is = TradeKey::new(
            correction.corrected_id,
            exchange,
            correction.corrected_price.nanos(),
            correction.corrected_size,
        );
        let old_effects = Effects::of(&correction.original_conditions, tape);
        let new_effects = Effects::of(&correction.corrected_conditions, tape);
        let sale = Sale { time: 0, price: was.price, size: was.size };
        self.replace(feed, tick.symbol, &was, Some((is, new_effects)), (sale, old_effects));
    }

    /// Replaces the trade that `key` identifies by the corrected trade `by`; `None` removes it.
    /// `was` describes the original trade, in case its minute is no longer kept.
    fn replace(
        &mut self,
        feed: FeedId,
        symbol: Symbol,
        key: &TradeKey,
        by: Option<(TradeKey, Effects)>,
        was: (Sale, Effects),
    ) {
        let found = self.by_symbol.get(&(feed, symbol)).copied();
        let Some(id) = found else {
            self.skipped.unmatched += 1;
            return;
        };
        let series = &mut self.series[id as usize];
        if let Some(place) = series.find(key, &mut self.comparisons_left) {
            series.replace(place, by);
        } else {
            self.skipped.unmatched += 1;
            let is = by.map(|(key, effects)| {
                (Sale { time: 0, price: key.price, size: key.size }, effects)
            });
            series.adjust(was, is);
        }
        self.touch(id);
    }
}

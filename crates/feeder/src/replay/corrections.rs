//! What the correction codes of a table of trades say.

use std::collections::VecDeque;

use tickwire_protocol::{CancelError, Correction, Symbol, Text, TickData, Trade};

/// Trades later taken back or corrected are few; so many are remembered until then.
const REMEMBERED_MAX: usize = 10_000;

/// Codes of rows that a later row refers to.
const CORRECTED_LATER: u8 = 1;
const ERROR_LATER: u8 = 7;
const CANCELLED_LATER: u8 = 8;
/// Codes of rows that refer to an earlier one.
const CANCEL: u8 = 10;
const ERROR: u8 = 11;
const CORRECTION: u8 = 12;

/// Pairs the rows that refer to earlier ones with these.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    open: VecDeque<Marked>,
}

/// A trade that was marked as taken back or corrected later.
#[derive(Debug)]
struct Marked {
    code: u8,
    symbol: Symbol,
    trade: Trade,
}

impl Corrections {
    /// The element that follows the trade of a row, if its code asks for one.
    pub(super) fn follow(&mut self, code: u8, symbol: Symbol, row: &Trade) -> Option<TickData> {
        match code {
            CORRECTED_LATER | ERROR_LATER | CANCELLED_LATER => {
                if self.open.len() == REMEMBERED_MAX {
                    self.open.pop_front();
                }
                self.open.push_back(Marked { code, symbol, trade: row.clone() });
                None
            }
            CANCEL => Some(self.take_back("C", CANCELLED_LATER, symbol, row)),
            ERROR => Some(self.take_back("E", ERROR_LATER, symbol, row)),
            CORRECTION => Some(self.correct(symbol, row)),
            _ => None,
        }
    }

    fn take_back(&mut self, action: &str, code: u8, symbol: Symbol, row: &Trade) -> TickData {
        let same = |trade: &Trade| trade.price == row.price && trade.size == row.size;
        let id = self.take(code, symbol, row, same).map_or(row.id, |trade| trade.id);
        TickData::CancelError(Box::new(CancelError {
            id,
            exchange: row.exchange.clone(),
            price: row.price,
            size: row.size,
            action: Text::new(action).expect("one letter is short"),
            tape: row.tape.clone(),
        }))
    }

    fn correct(&mut self, symbol: Symbol, row: &Trade) -> TickData {
        let corrected = self.take(CORRECTED_LATER, symbol, row, |_| true);
        let corrected = corrected.unwrap_or_else(|| row.clone());
        TickData::Correction(Box::new(Correction {
            exchange: row.exchange.clone(),
            original_id: row.id,
            original_price: row.price,
            original_size: row.size,
            original_conditions: row.conditions.clone(),
            corrected_id: corrected.id,
            corrected_price: corrected.price,
            corrected_size: corrected.size,
            corrected_conditions: corrected.conditions,
            tape: row.tape.clone(),
        }))
    }

    /// The oldest trade so marked on the same exchange.
    fn take(
        &mut self,
        code: u8,
        symbol: Symbol,
        row: &Trade,
        same: impl Fn(&Trade) -> bool,
    ) -> Option<Trade> {
        let found = self.open.iter().position(|marked| {
            (marked.code, marked.symbol) == (code, symbol)
                && marked.trade.exchange == row.exchange
                && same(&marked.trade)
        })?;
        self.open.remove(found).map(|marked| marked.trade)
    }
}

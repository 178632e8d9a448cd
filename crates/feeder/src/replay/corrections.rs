//! Derives cancels and corrections from the correction codes of a table of trades.

use std::collections::VecDeque;

use tickwire_protocol::{CancelError, Correction, Symbol, Text, TickData, Trade};

/// Maximum number of trades remembered until a later row cancels or corrects them; such trades are
/// rare.
const REMEMBERED_MAX: usize = 10_000;

/// Codes of rows that a later row will cancel or correct.
const CORRECTED_LATER: u8 = 1;
const ERROR_LATER: u8 = 7;
const CANCELLED_LATER: u8 = 8;
/// Codes of rows that cancel or correct an earlier row.
const CANCEL: u8 = 10;
const ERROR: u8 = 11;
const CORRECTION: u8 = 12;

/// Matches rows that cancel or correct a trade with the earlier rows that they refer to. `open`
/// holds the earlier rows that have not been matched yet.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    open: VecDeque<Marked>,
}

/// A trade whose row is marked as cancelled or corrected later.
#[derive(Debug)]
struct Marked {
    code: u8,
    symbol: Symbol,
    trade: Trade,
}

impl Corrections {
    /// Returns the cancel or correction to publish after the trade of a row, if the row's code
    /// requires one.
    pub(super) fn after(&mut self, code: u8, symbol: Symbol, row: &Trade) -> Option<TickData> {
        match code {
            CORRECTED_LATER | ERROR_LATER | CANCELLED_LATER => {
                if self.open.len() == REMEMBERED_MAX {
                    self.open.pop_front();
                }
                self.open.push_back(Marked { code, symbol, trade: row.clone() });
                None
            }
            CANCEL => Some(self.cancel("C", CANCELLED_LATER, symbol, row)),
            ERROR => Some(self.cancel("E", ERROR_LATER, symbol, row)),
            CORRECTION => Some(self.correct(symbol, row)),
            _ => None,
        }
    }

    fn cancel(&mut self, action: &str, code: u8, symbol: Symbol, row: &Trade) -> TickData {
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

    /// Removes and returns the oldest earlier trade that matches a row: with this code, the symbol
    /// and exchange of the row, and accepted by `same`.
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

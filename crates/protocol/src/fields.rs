//! The fields of every kind of tick, in their order on the wire. This is the only list of them.
//!
//! An encoding implements [`FieldWriter`] and [`FieldReader`]. The order is that of MessagePack
//! arrays, so fields may only be appended. `docs/protocol/ticks.md` documents it.

use crate::{
    Bar, CancelError, Channel, Conditions, Correction, DecodeError, Imbalance, Luld, Price, Quote,
    Seq, Status, Symbol, Text, Tick, TickData, Trade, UnixNanos,
};

/// Writes the fields of a tick in one encoding, one after the other. `key` is the key of the field
/// on the wire.
pub(crate) trait FieldWriter {
    fn symbol(&mut self, key: &'static str, value: &Symbol);
    fn seq(&mut self, value: Seq);
    fn time(&mut self, key: &'static str, value: UnixNanos);
    fn uint(&mut self, key: &'static str, value: u64);
    fn price(&mut self, key: &'static str, value: Price);
    fn text(&mut self, key: &'static str, value: &Text);
    fn conditions(&mut self, key: &'static str, value: &Conditions);
}

/// Reads the fields of a tick from one encoding, one after the other. `key` is the key of the field
/// on the wire.
pub(crate) trait FieldReader {
    fn symbol(&mut self, key: &'static str) -> Result<Symbol, DecodeError>;
    fn seq(&mut self) -> Result<Seq, DecodeError>;
    fn time(&mut self, key: &'static str) -> Result<UnixNanos, DecodeError>;
    fn uint(&mut self, key: &'static str) -> Result<u64, DecodeError>;
    fn price(&mut self, key: &'static str) -> Result<Price, DecodeError>;
    fn text(&mut self, key: &'static str) -> Result<Text, DecodeError>;
    fn conditions(&mut self, key: &'static str) -> Result<Conditions, DecodeError>;
}

/// Returns the number of fields of a tick of `channel`, including `T`.
pub(crate) const fn count(channel: Channel) -> u8 {
    match channel {
        Channel::Trades | Channel::CancelErrors => 10,
        Channel::Quotes => 12,
        Channel::Bars | Channel::UpdatedBars | Channel::DailyBars => 11,
        Channel::Statuses => 9,
        Channel::Lulds => 8,
        Channel::Imbalances => 6,
        Channel::Corrections => 14,
    }
}

/// Returns whether a field may be absent or null in the stream of a server other than Tickwire,
/// which is decoded leniently; it is then empty or 0. Symbol, time, prices and sizes are required.
pub(crate) fn is_optional(key: &str) -> bool {
    const IDS_AND_COUNTS: [&str; 4] = ["i", "oi", "ci", "n"];
    const TEXTS: [&str; 9] = ["x", "bx", "ax", "z", "sm", "rc", "rm", "sc", "a"];
    const CONDITIONS: [&str; 3] = ["c", "oc", "cc"];
    key == "vw" || [&IDS_AND_COUNTS[..], &TEXTS, &CONDITIONS].iter().any(|keys| keys.contains(&key))
}

/// Writes all fields of a tick after its `T`.
#[inline]
pub(crate) fn write(tick: &Tick, out: &mut impl FieldWriter) {
    out.symbol("S", &tick.symbol);
    out.seq(tick.seq);
    out.time("t", tick.time);
    match &tick.data {
        TickData::Trade(trade) => {
            out.uint("i", trade.id);
            out.text("x", &trade.exchange);
            out.price("p", trade.price);
            out.uint("s", trade.size);
            out.conditions("c", &trade.conditions);
            out.text("z", &trade.tape);
        }
        TickData::Quote(quote) => {
            out.text("bx", &quote.bid_exchange);
            out.price("bp", quote.bid);
            out.uint("bs", quote.bid_size);
            out.text("ax", &quote.ask_exchange);
            out.price("ap", quote.ask);
            out.uint("as", quote.ask_size);
            out.conditions("c", &quote.conditions);
            out.text("z", &quote.tape);
        }
        TickData::Bar(bar) | TickData::UpdatedBar(bar) | TickData::DailyBar(bar) => {
            write_bar(bar, out);
        }
        rare => write_rare(rare, out),
    }
}

fn write_bar(bar: &Bar, out: &mut impl FieldWriter) {
    out.price("o", bar.open);
    out.price("h", bar.high);
    out.price("l", bar.low);
    out.price("c", bar.close);
    out.uint("v", bar.volume);
    out.uint("n", bar.trades);
    out.price("vw", bar.vwap);
}

fn write_rare(data: &TickData, out: &mut impl FieldWriter) {
    match data {
        TickData::Status(status) => {
            out.text("sc", &status.code);
            out.text("sm", &status.message);
            out.text("rc", &status.reason_code);
            out.text("rm", &status.reason);
            out.text("z", &status.tape);
        }
        TickData::Luld(luld) => {
            out.price("u", luld.limit_up);
            out.price("d", luld.limit_down);
            out.text("i", &luld.indicator);
            out.text("z", &luld.tape);
        }
        TickData::Imbalance(imbalance) => {
            out.price("p", imbalance.price);
            out.text("z", &imbalance.tape);
        }
        TickData::Correction(correction) => {
            out.text("x", &correction.exchange);
            out.uint("oi", correction.original_id);
            out.price("op", correction.original_price);
            out.uint("os", correction.original_size);
            out.conditions("oc", &correction.original_conditions);
            out.uint("ci", correction.corrected_id);
            out.price("cp", correction.corrected_price);
            out.uint("cs", correction.corrected_size);
            out.conditions("cc", &correction.corrected_conditions);
            out.text("z", &correction.tape);
        }
        TickData::CancelError(cancel) => {
            out.uint("i", cancel.id);
            out.text("x", &cancel.exchange);
            out.price("p", cancel.price);
            out.uint("s", cancel.size);
            out.text("a", &cancel.action);
            out.text("z", &cancel.tape);
        }
        TickData::Trade(_)
        | TickData::Quote(_)
        | TickData::Bar(_)
        | TickData::UpdatedBar(_)
        | TickData::DailyBar(_) => unreachable!("write() handles the common kinds"),
    }
}

/// Reads all fields of a tick of `channel` after its `T`.
#[inline]
pub(crate) fn read(channel: Channel, from: &mut impl FieldReader) -> Result<Tick, DecodeError> {
    let symbol = from.symbol("S")?;
    let seq = from.seq()?;
    let time = from.time("t")?;
    let data = match channel {
        Channel::Trades => TickData::Trade(Trade {
            id: from.uint("i")?,
            exchange: from.text("x")?,
            price: from.price("p")?,
            size: from.uint("s")?,
            conditions: from.conditions("c")?,
            tape: from.text("z")?,
        }),
        Channel::Quotes => TickData::Quote(Quote {
            bid_exchange: from.text("bx")?,
            bid: from.price("bp")?,
            bid_size: from.uint("bs")?,
            ask_exchange: from.text("ax")?,
            ask: from.price("ap")?,
            ask_size: from.uint("as")?,
            conditions: from.conditions("c")?,
            tape: from.text("z")?,
        }),
        Channel::Bars => TickData::Bar(read_bar(from)?),
        Channel::UpdatedBars => TickData::UpdatedBar(read_bar(from)?),
        Channel::DailyBars => TickData::DailyBar(read_bar(from)?),
        Channel::Statuses => TickData::Status(Box::new(Status {
            code: from.text("sc")?,
            message: from.text("sm")?,
            reason_code: from.text("rc")?,
            reason: from.text("rm")?,
            tape: from.text("z")?,
        })),
        Channel::Lulds => TickData::Luld(Luld {
            limit_up: from.price("u")?,
            limit_down: from.price("d")?,
            indicator: from.text("i")?,
            tape: from.text("z")?,
        }),
        Channel::Imbalances => {
            TickData::Imbalance(Imbalance { price: from.price("p")?, tape: from.text("z")? })
        }
        Channel::Corrections => TickData::Correction(Box::new(read_correction(from)?)),
        Channel::CancelErrors => TickData::CancelError(Box::new(CancelError {
            id: from.uint("i")?,
            exchange: from.text("x")?,
            price: from.price("p")?,
            size: from.uint("s")?,
            action: from.text("a")?,
            tape: from.text("z")?,
        })),
    };
    Ok(Tick { symbol, seq, time, data })
}

fn read_bar(from: &mut impl FieldReader) -> Result<Bar, DecodeError> {
    Ok(Bar {
        open: from.price("o")?,
        high: from.price("h")?,
        low: from.price("l")?,
        close: from.price("c")?,
        volume: from.uint("v")?,
        trades: from.uint("n")?,
        vwap: from.price("vw")?,
    })
}

fn read_correction(from: &mut impl FieldReader) -> Result<Correction, DecodeError> {
    Ok(Correction {
        exchange: from.text("x")?,
        original_id: from.uint("oi")?,
        original_price: from.price("op")?,
        original_size: from.uint("os")?,
        original_conditions: from.conditions("oc")?,
        corrected_id: from.uint("ci")?,
        corrected_price: from.price("cp")?,
        corrected_size: from.uint("cs")?,
        corrected_conditions: from.conditions("cc")?,
        tape: from.text("z")?,
    })
}

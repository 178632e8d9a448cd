//! Unique ticks: each carries its publisher and its index.

use tickwire_protocol::{
    Channel, Correction, Quote, Seq, Symbol, Tick, TickData, Trade, UnixNanos,
};

pub(crate) const FEEDS: u8 = 2;
/// The last channel is never conflated.
pub(crate) const CHANNELS: [Channel; 3] = [Channel::Trades, Channel::Quotes, Channel::Corrections];
pub(crate) const SYMBOLS: [&str; 6] = ["A", "BB", "CCC", "DDDD", "BRK.B", "X/Y"];
pub(crate) const PUBLISHERS: u64 = 4;

/// Returns whether a publisher uses acknowledgements; the last one does not.
pub(crate) const fn is_acknowledged(publisher: u64) -> bool {
    publisher + 1 < PUBLISHERS
}

pub(crate) fn feed(publisher: u64) -> u8 {
    u8::try_from(publisher % u64::from(FEEDS)).unwrap()
}

pub(crate) fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

/// Returns the tick with an index of a publisher's source.
pub(crate) fn tick(publisher: u64, index: u64) -> Tick {
    let id = publisher << 32 | index;
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let name = SYMBOLS[usize::try_from(mixed % SYMBOLS.len() as u64).unwrap()];
    let data = match mixed / 64 % 8 {
        0..4 => TickData::Trade(Trade { id, ..Trade::default() }),
        4..7 => TickData::Quote(Quote { bid_size: id, ..Quote::default() }),
        _ => {
            TickData::Correction(Box::new(Correction { original_id: id, ..Correction::default() }))
        }
    };
    Tick { symbol: symbol(name), seq: Seq(0), time: UnixNanos(index), data }
}

/// Returns publisher and index of a tick.
pub(crate) fn origin(tick: &Tick) -> (u64, u64) {
    let id = match &tick.data {
        TickData::Trade(trade) => trade.id,
        TickData::Quote(quote) => quote.bid_size,
        TickData::Correction(correction) => correction.original_id,
        other => panic!("not a published tick: {other:?}"),
    };
    (id >> 32, id & 0xffff_ffff)
}

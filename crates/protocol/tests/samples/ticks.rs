//! One tick of each kind.

use tickwire_protocol::{
    Bar, CancelError, Conditions, Correction, Imbalance, Luld, Price, Quote, Seq, Status, Symbol,
    Text, Tick, TickData, Trade,
};

/// Returns one tick of each kind, with the name of its golden file.
pub(super) fn all() -> Vec<(&'static str, Tick)> {
    vec![
        ("trade", tick("AAPL", 1042, trade())),
        ("quote", tick("MSFT", 77, quote())),
        ("bar", tick("SPY", 390, TickData::Bar(bar()))),
        ("updated_bar", tick("SPY", 1, TickData::UpdatedBar(bar()))),
        ("daily_bar", tick("SPY", 2, TickData::DailyBar(bar()))),
        ("status", tick("BRK.B", 3, status())),
        ("luld", tick("IONM", 9, luld())),
        ("imbalance", tick("NVDA", 200, imbalance())),
        ("correction", tick("EEM", 70_000, correction())),
        ("cancel_error", tick("GOOGL", u64::MAX, cancel_error())),
    ]
}

pub(super) fn tick(symbol: &str, seq: u64, data: TickData) -> Tick {
    let time = "2026-01-02T14:30:00.123456789Z".parse().unwrap();
    Tick { symbol: Symbol::new(symbol).unwrap(), seq: Seq(seq), time, data }
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn price(decimal: &str) -> Price {
    decimal.parse().unwrap()
}

pub(super) fn trade() -> TickData {
    TickData::Trade(Trade {
        id: 96_921,
        exchange: text("D"),
        price: price("126.55"),
        size: 100,
        conditions: Conditions::new(["@", "I"]).unwrap(),
        tape: text("C"),
    })
}

fn quote() -> TickData {
    TickData::Quote(Quote {
        bid_exchange: text("Q"),
        bid: price("402.01"),
        bid_size: 300,
        ask_exchange: text("V"),
        ask: price("402.0225"),
        ask_size: 70_000,
        conditions: Conditions::new(["R"]).unwrap(),
        tape: text("C"),
    })
}

/// Returns a quote without an ask, of a symbol with a slash, at a time without a fraction.
pub(super) fn quote_without_ask() -> Tick {
    let quote =
        Quote { bid_exchange: text("P"), bid: price("0.0001"), bid_size: 1, ..Quote::default() };
    let mut tick = tick("ABC/USD", 1, TickData::Quote(quote));
    tick.time = "2026-01-02T14:30:00Z".parse().unwrap();
    tick
}

fn bar() -> Bar {
    Bar {
        open: price("580.5"),
        high: price("581"),
        low: price("579.875"),
        close: price("580.25"),
        volume: 1_234_567,
        trades: 4_321,
        vwap: price("580.310412345"),
    }
}

fn status() -> TickData {
    TickData::Status(Box::new(Status {
        code: text("H"),
        message: text("Trading Halt"),
        reason_code: text("T12"),
        reason: text("\"Zusätzliche\" Information\n\u{1f4c8}"),
        tape: text("A"),
    }))
}

fn luld() -> TickData {
    TickData::Luld(Luld {
        limit_up: price("3.24"),
        limit_down: price("2.65"),
        indicator: text("B"),
        tape: text("C"),
    })
}

fn imbalance() -> TickData {
    TickData::Imbalance(Imbalance { price: price("3999999.123456789"), tape: text("C") })
}

fn correction() -> TickData {
    TickData::Correction(Box::new(Correction {
        exchange: text("M"),
        original_id: 52_983_525_033_527,
        original_price: price("39.1582"),
        original_size: 440_000,
        original_conditions: Conditions::new([" ", "7", "V"]).unwrap(),
        corrected_id: 52_983_525_034_326,
        corrected_price: price("39.1809"),
        corrected_size: 440_000,
        corrected_conditions: Conditions::default(),
        tape: text("B"),
    }))
}

fn cancel_error() -> TickData {
    TickData::CancelError(Box::new(CancelError {
        id: u64::MAX,
        exchange: text("D"),
        price: price("-37.63"),
        size: 0,
        action: text("C"),
        tape: text("C"),
    }))
}

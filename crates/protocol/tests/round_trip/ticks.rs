//! Strategies for ticks and their fields.

use proptest::collection::vec;
use proptest::prelude::*;
use tickwire_protocol::{
    Bar, CONDITIONS_MAX, CancelError, Conditions, Correction, Imbalance, Luld, Price, Quote, Seq,
    Status, Symbol, TEXT_BYTES_MAX, Text, Tick, TickData, Trade, UnixNanos,
};

pub(crate) fn symbol() -> impl Strategy<Value = Symbol> {
    "[A-Z0-9._/-]{1,24}".prop_map(|name| Symbol::new(&name).unwrap())
}

/// Returns strings of up to `bytes_max` bytes, in which characters that need an escape are
/// frequent.
pub(crate) fn string(bytes_max: usize) -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        1 => proptest::char::range('\0', '\u{1f}'),
        1 => prop::sample::select(vec!['"', '\\', '/', '\u{7f}', 'é', '\u{2028}', '\u{1f4c8}']),
        1 => any::<char>(),
    ];
    vec(char, 0..=bytes_max).prop_map(move |chars| {
        let mut text = String::new();
        for char in chars {
            if text.len() + char.len_utf8() > bytes_max {
                break;
            }
            text.push(char);
        }
        text
    })
}

/// Returns short codes and long texts. The strategy is boxed, like that of ticks, because nested
/// unboxed strategies overflow the stack of a test.
fn text() -> BoxedStrategy<Text> {
    prop_oneof![
        3 => "[A-Z]?".prop_map(|code| Text::new(&code).unwrap()),
        1 => string(TEXT_BYTES_MAX).prop_map(|text| Text::new(&text).unwrap()),
    ]
    .boxed()
}

fn conditions() -> impl Strategy<Value = Conditions> {
    vec(text(), 0..=CONDITIONS_MAX)
        .prop_map(|codes| Conditions::new(codes.iter().map(Text::as_str)).unwrap())
}

fn price() -> impl Strategy<Value = Price> {
    let top = Price::MAX.nanos();
    let cents = (-400_000_000..=400_000_000_i64).prop_map(|cents| cents * 10_000_000);
    let nanos = prop_oneof![-top..=top, top - 5000..=top, -5000..=5000_i64, cents];
    nanos.prop_map(|nanos| Price::from_nanos(nanos).unwrap())
}

pub(crate) fn uint() -> impl Strategy<Value = u64> {
    // Every bit width is equally likely.
    (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
}

pub(crate) fn time() -> impl Strategy<Value = UnixNanos> {
    prop_oneof![
        (0..=UnixNanos::MAX.0).prop_map(UnixNanos),
        (0..=UnixNanos::MAX.0 / 1_000_000_000).prop_map(|s| UnixNanos(s * 1_000_000_000)),
    ]
}

fn bar() -> impl Strategy<Value = Bar> {
    (price(), price(), price(), price(), uint(), uint(), price()).prop_map(
        |(open, high, low, close, volume, trades, vwap)| Bar {
            open,
            high,
            low,
            close,
            volume,
            trades,
            vwap,
        },
    )
}

fn trade() -> impl Strategy<Value = Trade> {
    (uint(), text(), price(), uint(), conditions(), text()).prop_map(
        |(id, exchange, price, size, conditions, tape)| Trade {
            id,
            exchange,
            price,
            size,
            conditions,
            tape,
        },
    )
}

fn quote() -> impl Strategy<Value = Quote> {
    (text(), price(), uint(), text(), price(), uint(), conditions(), text()).prop_map(
        |(bid_exchange, bid, bid_size, ask_exchange, ask, ask_size, conditions, tape)| Quote {
            bid_exchange,
            bid,
            bid_size,
            ask_exchange,
            ask,
            ask_size,
            conditions,
            tape,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    (text(), text(), text(), text(), text()).prop_map(
        |(code, message, reason_code, reason, tape)| Status {
            code,
            message,
            reason_code,
            reason,
            tape,
        },
    )
}

fn correction() -> impl Strategy<Value = Correction> {
    let side = || (uint(), price(), uint(), conditions());
    (text(), side(), side(), text()).prop_map(|(exchange, original, corrected, tape)| Correction {
        exchange,
        original_id: original.0,
        original_price: original.1,
        original_size: original.2,
        original_conditions: original.3,
        corrected_id: corrected.0,
        corrected_price: corrected.1,
        corrected_size: corrected.2,
        corrected_conditions: corrected.3,
        tape,
    })
}

fn cancel_error() -> impl Strategy<Value = CancelError> {
    (uint(), text(), price(), uint(), text(), text()).prop_map(
        |(id, exchange, price, size, action, tape)| CancelError {
            id,
            exchange,
            price,
            size,
            action,
            tape,
        },
    )
}

fn data() -> impl Strategy<Value = TickData> {
    prop_oneof![
        3 => trade().prop_map(TickData::Trade),
        3 => quote().prop_map(TickData::Quote),
        1 => bar().prop_map(TickData::Bar),
        1 => bar().prop_map(TickData::UpdatedBar),
        1 => bar().prop_map(TickData::DailyBar),
        1 => status().prop_map(|status| TickData::Status(Box::new(status))),
        1 => (price(), price(), text(), text()).prop_map(|(limit_up, limit_down, indicator, tape)| {
            TickData::Luld(Luld { limit_up, limit_down, indicator, tape })
        }),
        1 => (price(), text())
            .prop_map(|(price, tape)| TickData::Imbalance(Imbalance { price, tape })),
        1 => correction().prop_map(|correction| TickData::Correction(Box::new(correction))),
        1 => cancel_error().prop_map(|cancel| TickData::CancelError(Box::new(cancel))),
    ]
}

pub(crate) fn tick() -> BoxedStrategy<Tick> {
    (symbol(), uint(), time(), data())
        .prop_map(|(symbol, seq, time, data)| Tick { symbol, seq: Seq(seq), time, data })
        .boxed()
}

/// Returns corrections whose size is near the limit: many conditions, of characters that JSON
/// escapes or of others.
pub(crate) fn long_correction() -> impl Strategy<Value = Tick> {
    let char = prop::sample::select(vec!['x', '"', '\0']);
    (tick(), correction(), char, 0..=TEXT_BYTES_MAX, 0..=CONDITIONS_MAX).prop_map(
        |(mut tick, mut correction, char, bytes, count)| {
            let code = char.to_string().repeat(bytes);
            let codes = Conditions::new(std::iter::repeat_n(code.as_str(), count)).unwrap();
            correction.original_conditions = codes.clone();
            correction.corrected_conditions = codes;
            tick.data = TickData::Correction(Box::new(correction));
            tick
        },
    )
}

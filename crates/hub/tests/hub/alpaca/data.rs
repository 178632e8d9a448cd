//! Ticks on the wire.

use serde_json::{Value, json};
use tickwire_hub::Config;
use tickwire_protocol::{
    Bar, CancelError, Conditions, Correction, Imbalance, Luld, Price, Quote, Seq, Status, Symbol,
    Text, Tick, TickData, Trade, UnixNanos,
};

use super::kit::{Bot, Codec};
use crate::kit::{Publisher, TestHub, config, trade};

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn price(price: f64) -> Price {
    Price::from_f64(price).unwrap()
}

fn bar() -> Bar {
    Bar {
        open: price(126.0),
        high: price(127.25),
        low: price(125.125),
        close: price(126.5),
        volume: 5_000_000_000,
        trades: 70_000,
        vwap: price(126.333_333_333),
    }
}

/// Returns one tick of each kind, as published.
fn of_each_kind() -> Vec<Tick> {
    let conditions = Conditions::new(["@", "I"]).unwrap();
    let correction = Correction {
        exchange: text("D"),
        original_id: 52_983_525_033_527,
        original_price: price(126.55),
        original_size: 1,
        original_conditions: conditions.clone(),
        corrected_id: 52_983_525_033_528,
        corrected_price: price(126.5),
        corrected_size: 0,
        corrected_conditions: Conditions::default(),
        tape: text("C"),
    };
    let data = [
        TickData::Trade(Trade {
            id: 52_983_525_033_527,
            exchange: text("D"),
            price: price(126.55),
            size: 100,
            conditions,
            tape: text("C"),
        }),
        TickData::Quote(Quote {
            bid_exchange: text("U"),
            bid: price(126.0),
            bid_size: 4_000_000_000,
            ask_exchange: text("R"),
            ask: price(0.0),
            ask_size: 0,
            conditions: Conditions::default(),
            tape: text("A"),
        }),
        TickData::Bar(bar()),
        TickData::UpdatedBar(bar()),
        TickData::DailyBar(bar()),
        TickData::Status(Box::new(Status {
            code: text("2"),
            message: text("Trading Halt"),
            reason_code: text("M"),
            reason: text("Volatility Trading Pause"),
            tape: text("C"),
        })),
        TickData::Luld(Luld {
            limit_up: price(3.24),
            limit_down: price(2.65),
            indicator: text("B"),
            tape: text("A"),
        }),
        TickData::Imbalance(Imbalance { price: price(3.0), tape: text("A") }),
        TickData::Correction(Box::new(correction)),
        TickData::CancelError(Box::new(CancelError {
            id: 7,
            exchange: text("V"),
            price: price(126.5),
            size: 3,
            action: text("C"),
            tape: text("C"),
        })),
    ];
    let time = UnixNanos(1_767_364_200_123_456_789);
    let symbol = Symbol::new("BRK.B").unwrap();
    data.into_iter().map(|data| Tick { symbol, seq: Seq(0), time, data }).collect()
}

/// Returns the ticks as every client must read them, without `seq`, a field of Tickwire.
fn as_clients_read_them() -> Value {
    let time = "2026-01-02T14:30:00.123456789Z";
    let bar = |kind: &str| {
        json!({"T": kind, "S": "BRK.B", "t": time, "o": 126, "h": 127.25, "l": 125.125, "c": 126.5,
               "v": 5_000_000_000_u64, "n": 70_000, "vw": 126.333_333_333})
    };
    json!([
        {"T": "t", "S": "BRK.B", "i": 52_983_525_033_527_u64, "x": "D", "p": 126.55, "s": 100,
         "c": ["@", "I"], "t": time, "z": "C"},
        {"T": "q", "S": "BRK.B", "bx": "U", "bp": 126, "bs": 4_000_000_000_u64, "ax": "R", "ap": 0,
         "as": 0, "c": [], "t": time, "z": "A"},
        bar("b"),
        bar("u"),
        bar("d"),
        {"T": "s", "S": "BRK.B", "sc": "2", "sm": "Trading Halt", "rc": "M",
         "rm": "Volatility Trading Pause", "t": time, "z": "C"},
        {"T": "l", "S": "BRK.B", "u": 3.24, "d": 2.65, "i": "B", "t": time, "z": "A"},
        {"T": "i", "S": "BRK.B", "p": 3, "t": time, "z": "A"},
        {"T": "c", "S": "BRK.B", "x": "D", "oi": 52_983_525_033_527_u64, "op": 126.55, "os": 1,
         "oc": ["@", "I"], "ci": 52_983_525_033_528_u64, "cp": 126.5, "cs": 0, "cc": [], "t": time,
         "z": "C"},
        {"T": "x", "S": "BRK.B", "i": 7, "x": "V", "p": 126.5, "s": 3, "a": "C", "t": time, "z": "C"}
    ])
}

/// Compares values, where whole numbers are equal as integer and float.
fn with_floats(mut tick: Value) -> Value {
    for value in tick.as_object_mut().unwrap().values_mut() {
        if let Some(number) = value.as_f64() {
            *value = number.into();
        }
    }
    tick
}

fn everything() -> Value {
    let all = ["*"];
    json!({"trades": all, "quotes": all, "bars": all, "updatedBars": all, "dailyBars": all,
           "statuses": all, "lulds": all, "imbalances": all})
}

/// R19, R20, R21, R22, R26. The test client's decoder is as strict as the strictest SDK.
#[test]
fn ticks_of_every_kind_arrive_with_all_fields() {
    let hub = TestHub::start(Config { bars: false, ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut bots = Codec::BOTH.map(|codec| Bot::subscribed(&hub, codec, everything()));
    publisher.publish(&of_each_kind());
    for bot in &mut bots {
        let mut received = bot.take(10);
        for tick in &mut received {
            assert_eq!(tick.as_object_mut().unwrap().remove("seq"), Some(1.into()));
        }
        let Value::Array(expected) = as_clients_read_them() else { panic!("a list") };
        for (received, expected) in received.into_iter().zip(expected) {
            assert_eq!(with_floats(received), with_floats(expected), "{:?}", bot.codec);
        }
    }
}

/// R20. Whole seconds, whole milliseconds, and the first and last times of each MessagePack form.
#[test]
fn times_survive_to_the_nanosecond() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut bots =
        Codec::BOTH.map(|codec| Bot::subscribed(&hub, codec, json!({"trades": ["AAPL"]})));
    let second = 1_000_000_000;
    for (time, shown) in [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_767_364_200 * second, "2026-01-02T14:30:00Z"),
        (1_767_364_200 * second + 208_000_000, "2026-01-02T14:30:00.208Z"),
        (u64::from(u32::MAX) * second, "2106-02-07T06:28:15Z"),
        ((u64::from(u32::MAX) + 1) * second, "2106-02-07T06:28:16Z"),
        ((u64::from(u32::MAX) + 1) * second - 1, "2106-02-07T06:28:15.999999999Z"),
    ] {
        let tick = Tick { time: UnixNanos(time), ..trade("AAPL", 1) };
        publisher.publish(&[tick]);
        for bot in &mut bots {
            assert_eq!(bot.take(1)[0]["t"], shown);
        }
    }
}

/// R24, R25. The test client rejects data messages above 65,535 bytes.
#[test]
fn ticks_of_a_symbol_are_in_order_across_messages() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let symbols = ["AAPL", "MSFT", "BRK.B", "F"];
    let mut bots =
        Codec::BOTH.map(|codec| Bot::subscribed(&hub, codec, json!({"trades": symbols})));
    for round in 0..20 {
        let ticks: Vec<Tick> = (0..1_000)
            .map(|n| trade(symbols[n % symbols.len()], round * 1_000 + n as u64))
            .collect();
        publisher.publish(&ticks);
    }
    for bot in &mut bots {
        for (number, tick) in bot.take(20_000).into_iter().enumerate() {
            assert_eq!(tick["i"], number, "in order of publication");
            assert_eq!(tick["seq"], number / symbols.len() + 1);
        }
    }
}

/// Views of one feed under different names.
#[test]
fn views_of_a_feed_deliver_the_same_ticks() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut bots = ["/v2/sip", "/v2/iex", "/main"].map(|path| {
        let mut bot = Bot::connect(&hub, path, Codec::Msgpack);
        assert_eq!(bot.message()[0]["msg"], "connected");
        bot.log_in("any", "thing");
        bot.subscribe(json!({"trades": ["AAPL"]}));
        bot
    });
    publisher.publish(&[trade("AAPL", 1)]);
    for bot in &mut bots {
        assert_eq!(bot.take(1)[0]["i"], 1);
    }
}

//! Messages of servers that speak Alpaca's protocol, which are decoded leniently.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rmp::encode::{write_array_len, write_ext_meta, write_map_len, write_str};
use serde_json::{Value, json};
use tickwire_protocol::{
    Control, DecodeError, Element, Encoding, ErrorCode, TickData, decode_alpaca_stream,
};
use tickwire_testkit::seeds;

type Elements = Vec<Result<Element, DecodeError>>;

/// How MessagePack represents a time, which is an RFC 3339 string in JSON.
#[derive(Clone, Copy, PartialEq)]
enum TimeFormat {
    Extension,
    Text,
}

/// Converts a message from JSON to MessagePack. Integers stay integers, and floats stay floats.
fn msgpack(message: &Value, times: TimeFormat) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(message, "", times, &mut out);
    out
}

fn write_value(value: &Value, key: &str, times: TimeFormat, out: &mut Vec<u8>) {
    match value {
        Value::Array(list) => {
            write_array_len(out, u32::try_from(list.len()).unwrap()).unwrap();
            list.iter().for_each(|entry| write_value(entry, "", times, out));
        }
        Value::Object(map) => {
            write_map_len(out, u32::try_from(map.len()).unwrap()).unwrap();
            for (key, value) in map {
                write_str(out, key).unwrap();
                write_value(value, key, times, out);
            }
        }
        Value::String(time) if key == "t" && times == TimeFormat::Extension => {
            let time: tickwire_protocol::UnixNanos = time.parse().unwrap();
            write_ext_meta(out, 12, -1).unwrap(); // the longest form holds any time
            let nanos = u32::try_from(time.0 % 1_000_000_000).unwrap();
            out.extend_from_slice(&nanos.to_be_bytes());
            out.extend_from_slice(&(time.0 / 1_000_000_000).to_be_bytes());
        }
        other => out.extend_from_slice(&rmp_serde::to_vec(other).unwrap()),
    }
}

/// Decodes a message from JSON and from both forms of MessagePack, which must agree.
fn decode_all_forms(message: &Value) -> Elements {
    let json = decode_alpaca_stream(message.to_string().as_bytes(), Encoding::Json).unwrap();
    for times in [TimeFormat::Extension, TimeFormat::Text] {
        let found = decode_alpaca_stream(&msgpack(message, times), Encoding::MsgpackMap).unwrap();
        let place = |e: DecodeError| (e.element, e.kind, e.field); // each format words its errors differently
        let same = |elements: Elements| -> Vec<_> {
            elements.into_iter().map(|element| element.map_err(place)).collect()
        };
        assert_eq!(same(json.clone()), same(found), "{message}");
    }
    json
}

fn tick(element: Value) -> Result<tickwire_protocol::Tick, DecodeError> {
    match decode_all_forms(&json!([element])).remove(0)? {
        Element::Tick(tick) => Ok(tick),
        Element::Control(control) => panic!("expected a tick, found {control:?}"),
    }
}

const TIME: &str = "2026-01-02T14:30:00.123456789Z";

#[test]
fn absent_optional_fields_are_empty_or_zero() {
    let trade = tick(json!({ "S": "AAPL", "T": "t", "t": TIME, "p": 126, "s": 100 })).unwrap();
    assert_eq!(trade.time.to_string(), TIME);
    let TickData::Trade(trade) = trade.data else { panic!("a trade") };
    assert_eq!((trade.id, trade.exchange.as_str(), trade.tape.as_str()), (0, "", ""));
    assert!(trade.conditions.is_empty());
    assert_eq!(trade.price.to_string(), "126");

    let nulls = json!({ "T": "q", "S": "A", "t": TIME, "bx": null, "bp": 1.5, "bs": 2, "ax": null,
                        "ap": 0, "as": 0, "c": null, "z": null });
    assert!(matches!(tick(nulls).unwrap().data, TickData::Quote(_)));
    let bar = json!({ "T": "b", "S": "A", "t": "2026-01-02T14:30:00Z", "o": 1, "h": 1, "l": 1,
                      "c": 1, "v": 9, "n": null });
    let TickData::Bar(bar) = tick(bar).unwrap().data else { panic!("a bar") };
    assert_eq!((bar.trades, bar.vwap.nanos(), bar.volume), (0, 0, 9));
    let status = json!({ "T": "s", "S": "A", "t": TIME, "sc": "H" });
    assert!(matches!(tick(status).unwrap().data, TickData::Status(_)));
}

#[test]
fn symbol_time_price_and_size_are_required() {
    let whole = json!({ "T": "t", "S": "AAPL", "t": TIME, "p": 1.5, "s": 100 });
    for key in ["S", "t", "p", "s"] {
        for absent in [false, true] {
            let mut tick_without = whole.clone();
            tick_without[key] = Value::Null;
            if absent {
                tick_without.as_object_mut().unwrap().remove(key);
            }
            let error = tick(tick_without).unwrap_err();
            assert_eq!((error.element, error.field), (Some(0), key), "{error}");
        }
    }
}

#[test]
fn malformed_elements_do_not_affect_the_others() {
    let good = |symbol: &str| json!({ "T": "t", "S": symbol, "t": TIME, "p": 1.5, "s": 1 });
    let found = decode_all_forms(&json!([
        good("A"),
        { "T": "t", "S": "lower", "t": TIME, "p": 1.5, "s": 1 },
        7,
        { "S": "A" },
        { "T": "t", "S": "A", "t": TIME, "p": 1.5, "s": -1 },
        good("B"),
    ]));
    let places: Vec<_> = found.iter().map(|e| e.as_ref().map_err(|e| e.element).err()).collect();
    let wrong = |index| Some(Some(index));
    assert_eq!(places, [None, wrong(1), wrong(2), wrong(3), wrong(4), None]);
}

#[test]
fn elements_of_unknown_types_are_ignored() {
    let message = json!([
        { "T": "o", "S": "BTC/USD", "t": "whenever", "b": [{ "p": 1.5 }] },
        { "T": "n", "id": "text", "symbols": ["A"], "t": 5 },
        { "T": "heartbeat", "t": [], "pos": {} },
        { "T": "p", "pos": "x" },
    ]);
    let bytes = message.to_string();
    assert_eq!(decode_alpaca_stream(bytes.as_bytes(), Encoding::Json), Ok(Vec::new()));
    let bytes = msgpack(&message, TimeFormat::Text);
    assert_eq!(decode_alpaca_stream(&bytes, Encoding::MsgpackMap), Ok(Vec::new()));
}

#[test]
fn control_elements_are_decoded() {
    let found = decode_all_forms(&json!([
        { "T": "success", "msg": "connected" },
        { "T": "success", "msg": "authenticated" },
        { "T": "error", "code": 409, "msg": "insufficient subscription" },
        { "T": "error", "code": 413, "msg": "too many of something" },
        { "T": "subscription", "trades": ["A"], "quotes": null, "bars": [], "lulds": ["*"] },
    ]));
    let mut found = found.into_iter().map(|element| match element.unwrap() {
        Element::Control(control) => control,
        Element::Tick(tick) => panic!("{tick:?}"),
    });
    assert_eq!(found.next(), Some(Control::Connected { epoch: None }));
    assert_eq!(found.next(), Some(Control::Authenticated));
    let error = |code, detail| Some(Control::Error { code, detail, id: None });
    assert_eq!(found.next(), error(ErrorCode::InsufficientSubscription, None));
    let unknown = Some("413 too many of something".to_owned());
    assert_eq!(found.next(), error(ErrorCode::Internal, unknown));
    let Some(Control::Subscription { names, .. }) = found.next() else { panic!("an ack") };
    assert_eq!(names.total(), 2);
}

#[test]
fn timestamps_have_three_forms() {
    let read = |time: &[u8]| {
        let head = b"\x91\x84\xa1T\xa1i\xa1S\xa1A\xa1p\x01\xa1t";
        let message = [&head[..], time].concat();
        match decode_alpaca_stream(&message, Encoding::MsgpackMap).unwrap().remove(0) {
            Ok(Element::Tick(tick)) => Ok(tick.time.to_string()),
            Ok(Element::Control(control)) => panic!("{control:?}"),
            Err(error) => Err((error.field, error.problem.to_string())),
        }
    };
    assert_eq!(read(b"\xd6\xff\x69\x57\xd6\x68").unwrap(), "2026-01-02T14:30:00Z");
    assert_eq!(read(b"\xd7\xff\x1d\x6f\x34\x54\x69\x57\xd6\x68").unwrap(), TIME);
    assert_eq!(
        read(b"\xc7\x0c\xff\x00\x00\x00\x01\x00\x00\x00\x00\x69\x57\xd6\x68").unwrap(),
        "2026-01-02T14:30:00.000000001Z"
    );
    let outside = "expected a timestamp of 1970 to 2262";
    for wrong in [
        &b"\xd7\xff\xff\xff\xff\xff\x69\x57\xd6\x68"[..], // more nanoseconds than a second has
        b"\xd7\xff\x00\x00\x00\x03\xff\xff\xff\xff",      // the year 2514
        b"\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", // before 1970
    ] {
        assert_eq!(read(wrong).unwrap_err(), ("t", outside.to_owned()));
    }
    for other in [&b"\xd6\x01\0\0\0\0"[..], b"\xc7\x05\xff\0\0\0\0\0", b"\xd4\xff\0", b"\x01"] {
        let (field, problem) = read(other).unwrap_err();
        assert!(field == "t" && problem.starts_with("expected a timestamp"), "{problem}");
    }
}

#[test]
fn message_with_more_than_100_malformed_elements_is_rejected() {
    for (malformed, is_decoded) in [(100, true), (101, false)] {
        let message = Value::from(vec![0; malformed]);
        for (bytes, encoding) in [
            (message.to_string().into_bytes(), Encoding::Json),
            (msgpack(&message, TimeFormat::Text), Encoding::MsgpackMap),
        ] {
            assert_eq!(
                decode_alpaca_stream(&bytes, encoding).is_ok(),
                is_decoded,
                "{malformed} in {encoding:?}"
            );
        }
    }
}

#[test]
fn only_the_first_short_keys_of_a_map_are_considered() {
    let mut element = json!({ "T": "i", "S": "A", "t": TIME, "p": 1 });
    for number in 0..100 {
        element[format!("key{number}")] = json!(number); // longer than any key of a tick
    }
    assert!(tick(element).is_ok());
    let few = b"\xa1k\x01".repeat(40);
    let message = [&b"\x91\xde\x00\x2c"[..], &few, b"\xa1T\xa1i\xa1S\xa1A\xa1p\x01\xa1t\x01"];
    let found = decode_alpaca_stream(&message.concat(), Encoding::MsgpackMap).unwrap();
    assert!(matches!(&found[..], [Err(error)] if error.field == "T"), "{found:?}");
}

proptest! {
    #![proptest_config(seeds!().proptest(256))]

    #[test]
    fn any_bytes_are_decoded_or_rejected(
        head in prop::sample::select(vec![
            &b""[..], b"\x91", b"\x92\x84\xa1T\xa1t", b"[", b"[{\"T\":\"t\",",
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [head, &tail].concat();
        for encoding in [Encoding::Json, Encoding::MsgpackMap, Encoding::MsgpackArray] {
            let found = decode_alpaca_stream(&bytes, encoding).unwrap_or_default();
            prop_assert!(found.len() <= bytes.len());
        }
    }
}

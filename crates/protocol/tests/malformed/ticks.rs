//! Ticks with fields of a wrong type or with values that are not allowed.

use tickwire_protocol::{Command, Encoding, Tick, TickData, decode_ticks};

use crate::samples::samples;
use crate::{json_error, msgpack_error, trade_with};

#[test]
fn msgpack_field_of_a_wrong_type_is_named() {
    let cases: [(&str, &[u8], &str); 20] = [
        ("T", b"\x05", "element 0, field T: expected a string, found an integer"),
        ("T", b"\xa2zz", "element 0, field T: unknown element type \"zz\""),
        ("S", b"\xc0", "element 0 (t), field S: expected a string, found nil"),
        (
            "S",
            b"\xa4aapl",
            "element 0 (t), field S: symbol \"aapl\": expected 1 to 24 of A-Z 0-9 . _ / -",
        ),
        ("seq", b"\xa11", "element 0 (t), field seq: expected an unsigned integer, found a string"),
        ("seq", b"\xff", "element 0 (t), field seq: -1: expected an unsigned integer"),
        (
            "t",
            b"\xd3\xff\xff\xff\xff\xff\xff\xff\xfe",
            "element 0 (t), field t: -2: expected an unsigned integer",
        ),
        (
            "t",
            b"\xd6\xff\0\0\0\0",
            "element 0 (t), field t: expected an unsigned integer, found an extension",
        ),
        (
            "t",
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            "element 0 (t), field t: 18446744073709551615 ns given, at most 9223372036854775807 allowed",
        ),
        (
            "i",
            b"\xca\x3f\x80\0\0",
            "element 0 (t), field i: expected an unsigned integer, found a float",
        ),
        ("x", b"\xc4\x01D", "element 0 (t), field x: expected a string, found binary data"),
        ("x", b"\xa1\xff", "element 0 (t), field x: expected a string of UTF-8"),
        ("p", b"\xa1x", "element 0 (t), field p: expected a number, found a string"),
        ("p", b"\xc3", "element 0 (t), field p: expected a number, found a boolean"),
        ("p", b"\x80", "element 0 (t), field p: expected a number, found a map"),
        ("s", b"\xd0\x80", "element 0 (t), field s: -128: expected an unsigned integer"),
        (
            "s",
            b"\xc1",
            "element 0 (t), field s: expected an unsigned integer, found an unused marker",
        ),
        ("c", b"\xa1@", "element 0 (t), field c: expected an array, found a string"),
        ("c", b"\x91\x01", "element 0 (t), field c: expected a string, found an integer"),
        ("z", b"\x90", "element 0 (t), field z: expected a string, found an array"),
    ];
    for (field, value, expected) in cases {
        assert_eq!(msgpack_error(&trade_with(field, value)), expected);
    }
    assert_eq!(msgpack_error(b"\x91\xa1t"), "element 0: expected an array, found a string");
    assert_eq!(msgpack_error(b"\x91\x90"), "element 0, field T: missing");
    assert_eq!(msgpack_error(b"\x91\x93\xa1t\xa1A\x01"), "element 0 (t), field t: missing");
    assert_eq!(msgpack_error(b"\xc0"), "expected an array, found nil");
    assert_eq!(msgpack_error(b""), "the input ends inside this value");
}

#[test]
fn malformed_element_is_named_by_its_index_from_zero() {
    let trade = trade_with("", b"");
    let mut message = vec![0x94];
    (0..3).for_each(|_| message.extend_from_slice(&trade[1..]));
    message.extend_from_slice(&trade_with("p", b"\xa1x")[1..]);
    assert_eq!(
        msgpack_error(&message),
        "element 3 (t), field p: expected a number, found a string"
    );
}

#[test]
fn json_field_of_a_wrong_type_is_named() {
    let (_, trade) = samples().swap_remove(0);
    let trade = String::from_utf8(trade.encode(Encoding::Json)).unwrap();
    let cases = [
        (
            r#""T":"t""#,
            r#""T":7"#,
            "element 0, field T: invalid type: integer `7`, expected a string",
        ),
        (r#""T":"t""#, r#""T":"y""#, "element 0, field T: unknown element type \"y\""),
        (r#""S":"AAPL""#, r#""S":null"#, "element 0 (t), field S: expected a string, found null"),
        (r#""S":"AAPL","#, "", "element 0 (t), field S: missing"),
        ("1042", "-1", "element 0 (t), field seq: expected an unsigned integer, found -1"),
        ("96921", "1.5", "element 0 (t), field i: expected an unsigned integer, found 1.5"),
        (r#""x":"D""#, r#""x":[]"#, "element 0 (t), field x: expected a string, found an array"),
        ("126.55", r#""126.55""#, "element 0 (t), field p: expected a number, found a string"),
        (
            "126.55",
            "4000000.1",
            "element 0 (t), field p: price 4000000.1: expected -4000000 to 4000000",
        ),
        (
            r#""s":100"#,
            r#""s":true"#,
            "element 0 (t), field s: expected an unsigned integer, found a boolean",
        ),
        (
            r#"["@","I"]"#,
            r#""@""#,
            "element 0 (t), field c: expected an array of strings, found a string",
        ),
        (r#"["@","I"]"#, "[1]", "element 0 (t), field c: expected a string, found 1"),
        (r#""z":"C""#, r#""z":{}"#, "element 0 (t), field z: expected a string, found an object"),
    ];
    for (valid, replacement, expected) in cases {
        assert!(trade.contains(valid), "{valid}");
        assert_eq!(json_error(&trade.replace(valid, replacement)), expected);
    }
    assert!(
        json_error(&trade.replace("14:30", "25:30")).starts_with("element 0 (t), field t: time")
    );
    assert_eq!(json_error("7"), "expected an array, found 7");
    assert_eq!(json_error("[7]"), "element 0: expected an object, found 7");
    assert_eq!(json_error("[{}]"), "element 0, field T: missing");
}

#[test]
fn too_long_strings_and_too_many_conditions_are_rejected() {
    let long = [&b"\xd9\x41"[..], &[b'x'; 65]].concat();
    for field in ["x", "z"] {
        let expected = format!("element 0 (t), field {field}: 65 bytes given, at most 64 allowed");
        assert_eq!(msgpack_error(&trade_with(field, &long)), expected);
    }
    let many = [&b"\xdc\0\x11"[..], &b"\xa1@".repeat(17)].concat();
    let expected = "element 0 (t), field c: 17 conditions given, at most 16 allowed";
    assert_eq!(msgpack_error(&trade_with("c", &many)), expected);
    let many = vec!["@"; 17];
    let text = format!(
        r#"[{{"T":"q","S":"A","t":"2026-01-02T14:30:00Z","bx":"","bp":1,"bs":1,"ax":"","ap":1,"as":1,"c":{many:?},"z":""}}]"#
    );
    assert_eq!(json_error(&text), expected.replace("(t)", "(q)"));
}

#[test]
fn price_is_any_finite_number_within_the_limit() {
    let decode = |value: &[u8]| {
        let message = trade_with("p", value);
        decode_ticks(&message, Encoding::MsgpackArray).map(|mut ticks| {
            let TickData::Trade(trade) = ticks.remove(0).data else {
                unreachable!("the message holds a trade")
            };
            trade.price.to_string()
        })
    };
    assert_eq!(decode(b"\x7e").unwrap(), "126");
    assert_eq!(decode(b"\xff").unwrap(), "-1");
    assert_eq!(decode(b"\xca\x42\xfd\0\0").unwrap(), "126.5");
    assert_eq!(decode(b"\xd1\xff\x00").unwrap(), "-256");
    assert_eq!(decode(b"\xce\x00\x3d\x09\x00").unwrap(), "4000000");
    let out_of_range = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 4_000_000.1, f64::MIN];
    for value in out_of_range {
        let error = decode(&[&[0xcb][..], &value.to_be_bytes()].concat()).unwrap_err();
        assert_eq!(error.field, "p", "{value}: {error}");
    }
    assert!(decode(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    assert!(decode(b"\xca\x7f\x80\0\0").is_err(), "an infinite f32");
    assert!(
        json_error(r#"[{"T":"i","S":"A","t":"2026-01-02T14:30:00Z","p":1e999,"z":""}]"#)
            .starts_with("number out of range")
    );
}

#[test]
fn nil_conditions_are_an_empty_list() {
    let ticks = decode_ticks(&trade_with("c", b"\xc0"), Encoding::MsgpackArray).unwrap();
    assert_eq!(ticks, decode_ticks(&trade_with("c", b"\x90"), Encoding::MsgpackArray).unwrap());
}

#[test]
fn duplicate_key_overwrites_in_a_tick_and_is_rejected_in_a_command() {
    let tick = br#"{"T":"i","S":"A","t":"2026-01-02T14:30:00Z","p":1,"z":"","p":2}"#;
    let Ok(Tick { data: TickData::Imbalance(imbalance), .. }) = Tick::from_json(tick) else {
        panic!("an imbalance")
    };
    assert_eq!(imbalance.price.to_string(), "2");
    let command = br#"{"action":"subscribe","trades":["A"],"trades":["B"],"id":4}"#;
    let error = Command::from_json(command).unwrap_err();
    assert!(error.to_string().starts_with("field trades: given twice"), "{error}");
}

//! Input that is wrong: every fault is named, nothing panics, nothing is allocated by a claimed length.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod samples;

use std::time::{SystemTime, UNIX_EPOCH};

use samples::{Sample, samples};
use tickwire_protocol::{
    AlpacaCommand, Command, Element, Encoding, SubscribeRequest, Tick, decode_alpaca_stream,
    decode_message, decode_publish, decode_ticks,
};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];

/// Lets every decoder see the bytes; true if one of them took them.
fn is_taken(bytes: &[u8]) -> bool {
    let in_any = ENCODINGS.map(|encoding| {
        decode_message(bytes, encoding).is_ok()
            | decode_publish(bytes, encoding, 100).is_ok()
            | decode_alpaca_stream(bytes, encoding)
                .is_ok_and(|found| found.iter().all(Result::is_ok))
            | AlpacaCommand::decode_all(bytes, encoding).all(|command| command.is_ok())
    });
    in_any.contains(&true)
        | Command::from_json(bytes).is_ok()
        | Command::from_msgpack(bytes).is_ok()
        | Tick::from_json(bytes).is_ok()
}

fn json_error(text: &str) -> String {
    decode_ticks(text.as_bytes(), Encoding::Json).unwrap_err().to_string()
}

fn msgpack_error(bytes: &[u8]) -> String {
    decode_ticks(bytes, Encoding::MsgpackArray).unwrap_err().to_string()
}

/// A MessagePack message of one trade whose fields are spelled by `change`, given their names.
fn trade_with(field: &str, spelling: &[u8]) -> Vec<u8> {
    let fields: [(&str, &[u8]); 10] = [
        ("T", b"\xa1t"),
        ("S", b"\xa4AAPL"),
        ("seq", b"\x01"),
        ("t", b"\xcf\x18\x86\xf0\x60\x49\x19\xdd\x15"),
        ("i", b"\x02"),
        ("x", b"\xa1D"),
        ("p", b"\xcb\x40\x5f\xa3\x33\x33\x33\x33\x33"),
        ("s", b"\x64"),
        ("c", b"\x92\xa1@\xa1I"),
        ("z", b"\xa1C"),
    ];
    let mut message = vec![0x91, 0x9a];
    for (name, usual) in fields {
        message.extend_from_slice(if name == field { spelling } else { usual });
    }
    message
}

#[test]
fn truncation_at_every_byte_is_an_error() {
    for (name, sample) in samples() {
        for &encoding in sample.encodings() {
            let whole = sample.encode(encoding);
            assert!(is_taken(&whole), "{name}");
            for end in 0..whole.len() {
                assert!(!is_taken(&whole[..end]), "{name} in {encoding:?}, {end} bytes of it");
            }
        }
    }
}

#[test]
fn bytes_behind_a_message_are_an_error() {
    for (name, sample) in samples() {
        for &encoding in sample.encodings() {
            let mut bytes = sample.encode(encoding);
            bytes.push(if encoding == Encoding::Json { b'1' } else { 0xc0 });
            assert!(!is_taken(&bytes), "{name} in {encoding:?}");
        }
    }
    let mut bytes = trade_with("", b"");
    bytes.extend_from_slice(b"xyz");
    assert_eq!(msgpack_error(&bytes), "3 bytes follow the message");
}

#[test]
fn claimed_lengths_are_checked_before_anything_else() {
    // Four billion of everything that has a length: arrays, maps, strings, binaries, extensions.
    for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        let bomb = [marker, 0xff, 0xff, 0xff, 0xff];
        assert!(!is_taken(&bomb), "{marker:#x} as the message");
        let nested = [&[0x91][..], &bomb].concat();
        assert!(!is_taken(&nested), "{marker:#x} as an element");
        for field in ["S", "t", "p", "c", "z"] {
            assert!(!is_taken(&trade_with(field, &bomb)), "{marker:#x} as the field {field}");
        }
        let unknown_key = [&[0x91, 0x81, 0xa1, b'k'][..], &bomb].concat();
        assert!(!is_taken(&unknown_key), "{marker:#x} as the value of an unknown key");
        let names = [b"\x82\xa6action\xa9subscribe\xa6trades".as_slice(), &bomb].concat();
        assert!(Command::from_msgpack(&names).is_err(), "{marker:#x} as names");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    const DEPTH: usize = 1_000_000;
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let text = format!("{}0{}", open.repeat(DEPTH), close.repeat(DEPTH));
        assert!(!is_taken(text.as_bytes()));
        let names = format!(r#"{{"action":"subscribe","trades":{text}}}"#);
        assert!(Command::from_json(names.as_bytes()).is_err());
        // Values of unknown keys are passed over without recursion, hence without a limit.
        let unknown_key = format!(r#"{{"action":"list","k":{text}}}"#);
        assert!(Command::from_json(unknown_key.as_bytes()).is_ok());
    }
    for open in [&[0x91][..], &[0x81, 0xa1, b'k'], &[0x81]] {
        let mut bytes = open.repeat(DEPTH);
        bytes.push(0xc0);
        assert!(!is_taken(&bytes));
        let unknown_key = [b"\x82\xa6action\xa4list\xa1k".as_slice(), &bytes].concat();
        assert!(Command::from_msgpack(&unknown_key).is_err());
    }
}

#[test]
fn a_trailing_field_may_nest_without_limit() {
    let mut message = trade_with("", b"");
    message[1] = 0x9b;
    message.extend_from_slice(&[0x91].repeat(1_000_000));
    message.push(0xc0);
    assert_eq!(decode_ticks(&message, Encoding::MsgpackArray).unwrap().len(), 1);
}

#[test]
fn wrong_type_of_a_msgpack_field_is_named() {
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
            "element 0 (t), field t: 18446744073709551615 is more than the limit of 9223372036854775807",
        ),
        (
            "i",
            b"\xca\x3f\x80\0\0",
            "element 0 (t), field i: expected an unsigned integer, found a float",
        ),
        ("x", b"\xc4\x01D", "element 0 (t), field x: expected a string, found binary data"),
        ("x", b"\xa1\xff", "element 0 (t), field x: a string that is not UTF-8"),
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
    for (field, spelling, expected) in cases {
        assert_eq!(msgpack_error(&trade_with(field, spelling)), expected);
    }
    assert_eq!(msgpack_error(b"\x91\xa1t"), "element 0: expected an array, found a string");
    assert_eq!(msgpack_error(b"\x91\x90"), "element 0, field T: missing");
    assert_eq!(msgpack_error(b"\x91\x93\xa1t\xa1A\x01"), "element 0 (t), field t: missing");
    assert_eq!(msgpack_error(b"\xc0"), "expected an array, found nil");
    assert_eq!(msgpack_error(b""), "input ends here");
}

#[test]
fn the_element_that_is_wrong_is_counted_from_zero() {
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
fn wrong_type_of_a_json_field_is_named() {
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
            "element 0 (t), field p: price 4000000.1: at most 4000000 either way",
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
    for (usual, spelling, expected) in cases {
        assert!(trade.contains(usual), "{usual}");
        assert_eq!(json_error(&trade.replace(usual, spelling)), expected);
    }
    assert!(
        json_error(&trade.replace("14:30", "25:30")).starts_with("element 0 (t), field t: time")
    );
    assert_eq!(json_error("7"), "expected an array, found 7");
    assert_eq!(json_error("[7]"), "element 0: expected an object, found 7");
    assert_eq!(json_error("[{}]"), "element 0, field T: missing");
}

#[test]
fn too_long_strings_and_too_many_conditions_are_refused() {
    let limit = "is more than the limit of";
    let long = [&b"\xd9\x41"[..], &[b'x'; 65]].concat();
    for field in ["x", "z"] {
        let expected = format!("element 0 (t), field {field}: 65 {limit} 64");
        assert_eq!(msgpack_error(&trade_with(field, &long)), expected);
    }
    let many = [&b"\xdc\0\x11"[..], &b"\xa1@".repeat(17)].concat();
    let expected = format!("element 0 (t), field c: 17 {limit} 16");
    assert_eq!(msgpack_error(&trade_with("c", &many)), expected);
    let many = vec!["@"; 17];
    let text = format!(
        r#"[{{"T":"q","S":"A","t":"2026-01-02T14:30:00Z","bx":"","bp":1,"bs":1,"ax":"","ap":1,"as":1,"c":{many:?},"z":""}}]"#
    );
    assert_eq!(json_error(&text), format!("element 0 (q), field c: 17 {limit} 16"));
}

#[test]
fn prices_are_any_number_that_is_finite_and_within_the_limit() {
    let read = |spelling: &[u8]| {
        let message = trade_with("p", spelling);
        decode_ticks(&message, Encoding::MsgpackArray).map(|mut ticks| {
            let tickwire_protocol::TickData::Trade(trade) = ticks.remove(0).data else {
                unreachable!("the message holds a trade")
            };
            trade.price.to_string()
        })
    };
    assert_eq!(read(b"\x7e").unwrap(), "126");
    assert_eq!(read(b"\xff").unwrap(), "-1");
    assert_eq!(read(b"\xca\x42\xfd\0\0").unwrap(), "126.5");
    assert_eq!(read(b"\xd1\xff\x00").unwrap(), "-256");
    assert_eq!(read(b"\xce\x00\x3d\x09\x00").unwrap(), "4000000");
    let refused = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 4_000_000.1, f64::MIN];
    for value in refused {
        let error = read(&[&[0xcb][..], &value.to_be_bytes()].concat()).unwrap_err();
        assert_eq!(error.field, "p", "{value}: {error}");
    }
    assert!(read(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    assert!(read(b"\xca\x7f\x80\0\0").is_err(), "an infinite f32");
    assert!(
        json_error(r#"[{"T":"i","S":"A","t":"2026-01-02T14:30:00Z","p":1e999,"z":""}]"#)
            .starts_with("number out of range")
    );
}

#[test]
fn nil_stands_for_no_conditions() {
    let ticks = decode_ticks(&trade_with("c", b"\xc0"), Encoding::MsgpackArray).unwrap();
    assert_eq!(ticks, decode_ticks(&trade_with("c", b"\x90"), Encoding::MsgpackArray).unwrap());
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert!(!is_taken(
        b"[{\"T\":\"i\",\"S\":\"A\",\"t\":\"2026-01-02T14:30:00Z\",\"p\":1,\"z\":\"\xff\"}]"
    ));
    assert!(Command::from_json(b"{\"action\":\"publish\",\"publisher\":\"\xff\"}").is_err());
    assert!(Command::from_msgpack(b"\x82\xa6action\xa7publish\xa9publisher\xa1\xff").is_err());
    assert!(Command::from_msgpack(b"\x82\xa6action\xa4list\xa1\xff\x01").is_err());
}

#[test]
fn of_duplicate_keys_a_tick_keeps_the_last_and_a_command_none() {
    let tick = br#"{"T":"i","S":"A","t":"2026-01-02T14:30:00Z","p":1,"z":"","p":2}"#;
    let Ok(Tick { data: tickwire_protocol::TickData::Imbalance(imbalance), .. }) =
        Tick::from_json(tick)
    else {
        panic!("an imbalance")
    };
    assert_eq!(imbalance.price.to_string(), "2");
    let command = br#"{"action":"subscribe","trades":["A"],"trades":["B"],"id":4}"#;
    let error = Command::from_json(command).unwrap_err();
    assert!(error.to_string().starts_with("field trades: given twice"), "{error}");
}

#[test]
fn refused_commands_name_the_field_and_keep_the_id() {
    let cases = [
        (
            r#"{"action":"subscribe","trades":"AAPL","id":5}"#,
            "field trades: invalid type: string \"AAPL\", expected an array of symbols",
            Some(5),
        ),
        (
            r#"{"id":5,"action":"subscribe","bars":["A","aapl"]}"#,
            "field bars: symbol \"aapl\": expected 1 to 24 of",
            Some(5),
        ),
        (
            r#"{"action":"subscribe","quotes":[7],"id":5}"#,
            "field quotes: invalid type: integer `7`, expected a symbol or \"*\"",
            Some(5),
        ),
        (
            r#"{"action":7,"id":5}"#,
            "field action: invalid type: integer `7`, expected a string",
            Some(5),
        ),
        (
            r#"{"action":"list","id":"5"}"#,
            "field id: invalid type: string \"5\", expected u64",
            None,
        ),
        (r#"{"id":5}"#, "field action: missing", Some(5)),
        (
            r#"{"action":"buy","id":5}"#,
            "field action: unknown action \"buy\": expected subscribe",
            Some(5),
        ),
        (r#"{"action":"publish","id":5}"#, "field publisher: missing", Some(5)),
        (r#"{"action":"publish","publisher":""}"#, "field publisher: empty", None),
        (r#"["list"]"#, "invalid type: sequence, expected a map", None),
        ("", "EOF while parsing a value", None),
        (r#"{"action":"list"} {}"#, "trailing characters", None),
    ];
    for (text, expected, id) in cases {
        let error = Command::from_json(text.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{text}: {error}");
        assert_eq!(error.id, id, "{text}");
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { continue };
        let error = Command::from_msgpack(&rmp_serde::to_vec(&value).unwrap()).unwrap_err();
        assert_eq!(error.id, id, "{text} in MessagePack");
    }
}

#[test]
fn wrong_options_of_history_name_the_field_and_what_is_allowed() {
    let cases = [
        (r#""pos":7"#, "field pos: expected true or false"),
        (r#""pos":"yes""#, "field pos: "),
        (r#""resume":true"#, "field resume: "),
        (r#""resume":{}"#, "field resume: missing field `epoch`"),
        (r#""resume":{"epoch":"e"}"#, "field resume: expected either pos or after"),
        (r#""resume":{"epoch":"e","pos":7,"after":{}}"#, "resume: expected either pos or after"),
        (r#""resume":{"epoch":"e","pos":-7}"#, "field resume: "),
        (r#""resume":{"epoch":"e","after":{"trades":{"a":1}}}"#, "resume: symbol \"a\": expected"),
        (r#""resume":{"epoch":"e","after":{"trades":{"A":"1"}}}"#, "field resume: "),
        (r#""resume":{"epoch":"e","after":{"trades":["A"]}}"#, "field resume: "),
        (
            r#""resume":{"epoch":"e","pos":7},"delivery":"latest""#,
            r#"field resume: allowed only with delivery "every""#,
        ),
        (
            r#""resume":{"epoch":"e","pos":7},"from":"-5m""#,
            "from: not allowed together with resume",
        ),
        (r#""from":7"#, r#"field from: "7": expected a time such as"#),
        (r#""from":"yesterday""#, r#"field from: "yesterday": expected a time such as"#),
        (r#""from":"-5m","delivery":"latest""#, r#"from: allowed only with delivery "every""#),
        (r#""speed":20"#, "field speed: allowed only with from"),
        (r#""from":"-5m","speed":0"#, "field speed: 0: expected \"max\" or a number from 0.01"),
        (r#""from":"-5m","speed":"fast""#, "field speed: "),
    ];
    for (options, expected) in cases {
        let text = format!(r#"{{"action":"subscribe","trades":["A"],{options},"id":9}}"#);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let msgpack = rmp_serde::to_vec(&value).unwrap();
        for error in [Command::from_json(text.as_bytes()), Command::from_msgpack(&msgpack)] {
            let error = error.unwrap_err();
            assert!(error.to_string().contains(expected), "{options}: {error}");
            assert_eq!(error.id, Some(9));
        }
    }
    for twice in [r#"{"A":1,"A":1}"#, r#"{"A":1,"B":1,"A":2}"#] {
        let text = format!(
            r#"{{"action":"subscribe","resume":{{"epoch":"e","after":{{"trades":{twice}}}}}}}"#
        );
        let error = Command::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("A is given twice"), "{error}");
    }
    let defaults = br#"{"action":"subscribe","trades":["A"],"delivery":"every","on_lag":"close","pos":false,"resume":null,"from":null}"#;
    assert!(Command::from_json(defaults).is_ok());
}

#[test]
fn wrong_options_of_delivery_name_the_field_and_what_is_allowed() {
    let cases = [
        (r#""delivery":"newest""#, r#"delivery: "newest": expected "every" or "latest""#),
        (r#""delivery":7"#, "delivery: "),
        (r#""on_lag":"drop""#, r#"on_lag: "drop": expected "close" or "latest""#),
        (r#""max_rate":10"#, "max_rate: allowed only with delivery \"latest\""),
        (r#""delivery":"every","max_rate":10"#, "max_rate: allowed only with delivery \"latest\""),
        (r#""delivery":"latest","max_rate":0"#, "max_rate: 0 a second: expected 0.1 to 1000"),
        (r#""delivery":"latest","max_rate":1000.1"#, "max_rate: 1000.1 a second: expected"),
        (r#""delivery":"latest","max_rate":-1"#, "max_rate: -1 a second: expected"),
        (r#""delivery":"latest","max_rate":"4""#, "max_rate: invalid type: string \"4\""),
    ];
    for (option, expected) in cases {
        let text = format!(r#"{{"action":"subscribe","trades":["A"],{option},"id":9}}"#);
        let error = Command::from_json(text.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("field {expected}")), "{text}: {error}");
        assert_eq!(error.id, Some(9));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let error = Command::from_msgpack(&rmp_serde::to_vec(&value).unwrap()).unwrap_err();
        assert!(expected.starts_with(error.problem.field), "{text} in MessagePack: {error}");
        assert_eq!(error.id, Some(9));
    }
    let not_a_number =
        b"\x83\xa6action\xa9subscribe\xa8delivery\xa6latest\xa8max_rate\xcb\x7f\xf8\0\0\0\0\0\0";
    let error = Command::from_msgpack(not_a_number).unwrap_err();
    assert_eq!(error.to_string(), "field max_rate: NaN a second: expected 0.1 to 1000");
}

#[test]
fn an_unsubscribe_drops_the_options_of_a_subscribe() {
    let text = br#"{"action":"unsubscribe","trades":["A"],"delivery":"latest","max_rate":4,"on_lag":"latest","snapshot":true}"#;
    let Ok(Command::Unsubscribe(dropped)) = Command::from_json(text) else {
        panic!("an unsubscribe")
    };
    assert_eq!(
        dropped,
        SubscribeRequest { names: dropped.names.clone(), ..SubscribeRequest::default() }
    );
    assert_eq!(dropped.names.total(), 1);
}

#[test]
fn null_names_mean_none() {
    let command =
        Command::from_json(br#"{"action":"subscribe","trades":null,"bars":[],"orderbooks":null}"#);
    let Ok(Command::Subscribe(subscription)) = command else { panic!("{command:?}") };
    assert_eq!(subscription.names.total(), 0);
}

#[test]
fn faults_of_publishers_are_named() {
    let tick = r#"{"T":"i","S":"A","t":"2026-01-02T14:30:00Z","p":1,"z":""}"#;
    let mark = r#"{"T":"mark","mark":"m"}"#;
    let error =
        |text: &str| decode_publish(text.as_bytes(), Encoding::Json, 2).unwrap_err().to_string();
    assert!(decode_publish(tick.as_bytes(), Encoding::Json, 2).is_ok(), "one element alone");
    let after_mark = "element 1: a mark or what was lost ends its message, but this follows";
    assert_eq!(error(&format!("[{mark},{tick}]")), after_mark);
    assert_eq!(error(&format!("[{mark},{mark}]")), after_mark);
    let lost = r#"{"T":"lost","ticks":3}"#;
    assert_eq!(error(&format!("[{lost},{tick}]")), after_mark);
    assert!(decode_publish(format!("[{lost},{mark}]").as_bytes(), Encoding::Json, 2).is_ok());
    assert_eq!(error(r#"[{"T":"lost"}]"#), "element 0 (lost), field ticks: missing");
    assert_eq!(error(r#"[{"T":"p","pos":3}]"#), "element 0, field T: unknown element type \"p\"");
    assert_eq!(
        error(&format!("[{tick},{tick},{tick}]")),
        "element 2: 3 is more than the limit of 2"
    );
    assert_eq!(error(r#"[{"T":"mark"}]"#), "element 0 (mark), field mark: missing");
    assert_eq!(error(r#"[{"T":"mark","mark":""}]"#), "element 0, field mark: empty");
    assert_eq!(error(r#"[{"T":"live"}]"#), "element 0, field T: unknown element type \"live\"");
}

#[test]
fn faults_of_the_hub_are_named_and_unknown_elements_passed_over() {
    let error =
        |text: &str| decode_message(text.as_bytes(), Encoding::Json).unwrap_err().to_string();
    assert_eq!(error(r#"[{"T":"ack"}]"#), "element 0 (ack), field up_to: missing");
    assert!(
        error(r#"[{"T":"ack","up_to":-1}]"#).starts_with("element 0, field up_to: invalid value")
    );
    assert!(
        error(r#"[{"T":"feed","feed":"main","state":"dead","since":""}]"#)
            .starts_with("element 0, field state: unknown variant `dead`")
    );
    assert_eq!(error(r#"[{"msg":"?"}]"#), "element 0, field T: missing");
    let gap = |rest: &str| error(&format!(r#"[{{"T":"gap"{rest}}}]"#));
    let named = r#","S":"A","channel":"trades""#;
    assert_eq!(gap(r#","S":"A""#), "element 0 (gap), field channel: missing");
    assert_eq!(gap(r#","channel":"trades""#), "element 0 (gap), field S: missing");
    assert!(gap(r#","S":"a","channel":"trades""#).contains("field S: symbol \"a\": expected"));
    assert_eq!(
        gap(r#","S":"A","channel":"orderbooks""#),
        "element 0 (gap), field channel: unknown channel \"orderbooks\""
    );
    assert_eq!(
        gap(&format!(r#"{named},"from":"7""#)),
        "element 0 (gap), field from: expected an unsigned integer"
    );
    for from in ["-7", "7.5", "true", "[7]", r#"{"a":7}"#] {
        let error = gap(&format!(r#"{named},"from":{from}"#));
        assert!(error.starts_with("element 0, field from: invalid"), "{from}: {error}");
    }
    let ended = error(r#"[{"T":"p","pos":true}]"#);
    assert_eq!(ended, "element 0 (p), field pos: expected an unsigned integer");
    assert_eq!(error(r#"[{"T":"p"}]"#), "element 0 (p), field pos: missing");
    assert_eq!(
        gap(&format!(r#"{named},"from":7,"to":6"#)),
        "element 0 (gap), field to: 6 is less than from, which is 7"
    );
    let later = br#"[{"T":"weather","sky":"clear"},{"T":"live"}]"#;
    assert_eq!(
        decode_message(later, Encoding::Json).unwrap(),
        vec![Element::Control(tickwire_protocol::Control::Live)]
    );
}

#[test]
fn modes_without_a_delivery_or_without_end_are_refused() {
    let error = |modes: &str| {
        let text = format!(r#"[{{"T":"subscription","modes":{modes}}}]"#);
        decode_message(text.as_bytes(), Encoding::Json).unwrap_err().to_string()
    };
    let begins = "element 0, field modes: ";
    assert!(
        error(r#"[{"trades":["A"]}]"#).starts_with(&format!("{begins}missing field `delivery`"))
    );
    assert!(
        error(r#"[{"delivery":"every","max_rate":4}]"#)
            .starts_with(&format!("{begins}max_rate: allowed only with delivery"))
    );
    let many = vec![r#"{"delivery":"latest"}"#; 65].join(",");
    assert!(error(&format!("[{many}]")).starts_with(&format!("{begins}more than 64 groups")));
}

/// xorshift64*: a small generator whose seed is all its state.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % limit
    }

    /// Changes, drops, repeats or inserts a few bytes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const TELLING: [u8; 12] =
            [0, 0x7f, 0x80, 0x91, 0xa1, 0xc0, 0xc1, 0xcb, 0xdd, 0xdf, 0xff, b'"'];
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = TELLING[self.below(TELLING.len())],
                2 => bytes.insert(at, TELLING[self.below(TELLING.len())]),
                3 => bytes.extend_from_within(at..),
                _ if bytes.len() > 1 => {
                    bytes.remove(at);
                }
                _ => {}
            }
            bytes.truncate(1 << 16);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a new seed, printed")]
fn mutated_messages_never_panic() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let seed = u64::try_from(now & u128::from(u64::MAX)).unwrap() | 1;
    println!("seed {seed}");
    let mut random = Random(seed);
    let samples = samples();
    let mut taken = 0;
    for _ in 0..50_000 {
        let (_, sample): &(_, Sample) = &samples[random.below(samples.len())];
        let mut bytes = sample.encode(ENCODINGS[random.below(ENCODINGS.len())]);
        random.mutate(&mut bytes);
        taken += usize::from(is_taken(&bytes));
    }
    // Some mutations leave a message whole; were all refused, the test would look at nothing.
    assert!((100..50_000).contains(&taken), "{taken} taken with seed {seed}");
}

//! Messages whose structure is broken: truncated, too long, nested too deeply, or not UTF-8.

use tickwire_protocol::{Command, Encoding, decode_ticks};

use crate::samples::samples;
use crate::{is_accepted, msgpack_error, trade_with};

#[test]
fn truncated_messages_are_rejected() {
    for (name, sample) in samples() {
        for &encoding in sample.encodings() {
            let whole = sample.encode(encoding);
            assert!(is_accepted(&whole), "{name}");
            for end in 0..whole.len() {
                assert!(!is_accepted(&whole[..end]), "{name} in {encoding:?}, {end} bytes of it");
            }
        }
    }
}

#[test]
fn trailing_bytes_are_rejected() {
    for (name, sample) in samples() {
        for &encoding in sample.encodings() {
            let mut bytes = sample.encode(encoding);
            bytes.push(if encoding == Encoding::Json { b'1' } else { 0xc0 });
            assert!(!is_accepted(&bytes), "{name} in {encoding:?}");
        }
    }
    let mut bytes = trade_with("", b"");
    bytes.extend_from_slice(b"xyz");
    assert_eq!(msgpack_error(&bytes), "3 bytes follow the message");
}

#[test]
fn lengths_beyond_the_input_are_rejected() {
    // A length of four billion for every type that has one: array, map, string, binary, extension.
    for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        let bomb = [marker, 0xff, 0xff, 0xff, 0xff];
        assert!(!is_accepted(&bomb), "{marker:#x} as the message");
        let nested = [&[0x91][..], &bomb].concat();
        assert!(!is_accepted(&nested), "{marker:#x} as an element");
        for field in ["S", "t", "p", "c", "z"] {
            assert!(!is_accepted(&trade_with(field, &bomb)), "{marker:#x} as the field {field}");
        }
        let unknown_key = [&[0x91, 0x81, 0xa1, b'k'][..], &bomb].concat();
        assert!(!is_accepted(&unknown_key), "{marker:#x} as the value of an unknown key");
        let names = [b"\x82\xa6action\xa9subscribe\xa6trades".as_slice(), &bomb].concat();
        assert!(Command::from_msgpack(&names).is_err(), "{marker:#x} as names");
    }
}

#[test]
fn deep_nesting_is_rejected_without_a_stack_overflow() {
    const DEPTH: usize = 1_000_000;
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let text = format!("{}0{}", open.repeat(DEPTH), close.repeat(DEPTH));
        assert!(!is_accepted(text.as_bytes()));
        let names = format!(r#"{{"action":"subscribe","trades":{text}}}"#);
        assert!(Command::from_json(names.as_bytes()).is_err());
        // serde_json skips values of unknown keys without recursion, so their depth has no limit.
        let unknown_key = format!(r#"{{"action":"list","k":{text}}}"#);
        assert!(Command::from_json(unknown_key.as_bytes()).is_ok());
    }
    for open in [&[0x91][..], &[0x81, 0xa1, b'k'], &[0x81]] {
        let mut bytes = open.repeat(DEPTH);
        bytes.push(0xc0);
        assert!(!is_accepted(&bytes));
        let unknown_key = [b"\x82\xa6action\xa4list\xa1k".as_slice(), &bytes].concat();
        assert!(Command::from_msgpack(&unknown_key).is_err());
    }
}

#[test]
fn trailing_field_may_nest_without_limit() {
    let mut message = trade_with("", b"");
    message[1] = 0x9b;
    message.extend_from_slice(&[0x91].repeat(1_000_000));
    message.push(0xc0);
    assert_eq!(decode_ticks(&message, Encoding::MsgpackArray).unwrap().len(), 1);
}

#[test]
fn text_that_is_not_utf8_is_rejected() {
    assert!(!is_accepted(
        b"[{\"T\":\"i\",\"S\":\"A\",\"t\":\"2026-01-02T14:30:00Z\",\"p\":1,\"z\":\"\xff\"}]"
    ));
    assert!(Command::from_json(b"{\"action\":\"publish\",\"publisher\":\"\xff\"}").is_err());
    assert!(Command::from_msgpack(b"\x82\xa6action\xa7publish\xa9publisher\xa1\xff").is_err());
    assert!(Command::from_msgpack(b"\x82\xa6action\xa4list\xa1\xff\x01").is_err());
}

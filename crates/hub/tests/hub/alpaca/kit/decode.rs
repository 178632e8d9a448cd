//! Reads messages with nothing of the hub's own codecs, and as strictly as the strictest client.

use serde_json::{Map, Value};
use tickwire_protocol::UnixNanos;

use super::Codec;

/// Keys whose values are prices; every other number is an integer.
const PRICES: [&str; 12] = ["p", "bp", "ap", "o", "h", "l", "c", "vw", "op", "cp", "u", "d"];

/// Returns the elements of a message. A message with a control element has no other elements. Times
/// are text in both encodings.
pub(super) fn message(payload: &[u8], codec: Codec) -> Vec<Value> {
    let elements: Value = match codec {
        Codec::Json => serde_json::from_slice(payload).unwrap(),
        Codec::Msgpack => {
            let mut rest = payload;
            let elements = value(&mut rest, "");
            assert_eq!(rest, [0; 0], "bytes after the message");
            elements
        }
    };
    let Value::Array(elements) = elements else { panic!("not an array: {elements}") };
    let is_control = |element: &Value| element["T"].as_str().unwrap().len() > 1;
    if elements.iter().any(is_control) {
        assert_eq!(elements.len(), 1, "control elements share no message: {elements:?}");
    } else {
        assert!(payload.len() <= 65_535, "a data message of {} bytes", payload.len());
        elements.iter().for_each(check_numbers);
    }
    elements
}

fn check_numbers(element: &Value) {
    for (key, value) in element.as_object().unwrap() {
        if value.is_f64() {
            assert!(PRICES.contains(&key.as_str()), "{key} is not an integer: {element}");
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, more) = rest.split_at(count);
    *rest = more;
    taken
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Decodes a value. `key` is its key in the map around it.
fn value(rest: &mut &[u8], key: &str) -> Value {
    let head = take(rest, 1)[0];
    let length =
        |rest: &mut &[u8], bytes: usize| usize::try_from(unsigned(take(rest, bytes))).unwrap();
    match head {
        0x00..=0x7f => u64::from(head).into(),
        0x80..=0x8f => map(rest, usize::from(head & 0x0f)),
        0x90..=0x9f => array(rest, usize::from(head & 0x0f)),
        0xa0..=0xbf => text(rest, usize::from(head & 0x1f)),
        0xc2 => false.into(),
        0xc3 => true.into(),
        0xcb => f64::from_be_bytes(take(rest, 8).try_into().unwrap()).into(),
        0xcc => unsigned(take(rest, 1)).into(),
        0xcd => unsigned(take(rest, 2)).into(),
        0xce => unsigned(take(rest, 4)).into(),
        0xcf => unsigned(take(rest, 8)).into(),
        0xd9 => {
            let length = length(rest, 1);
            text(rest, length)
        }
        0xdc => {
            let length = length(rest, 2);
            array(rest, length)
        }
        0xdd => {
            let length = length(rest, 4);
            array(rest, length)
        }
        0xd6 => time(rest, 4, key),
        0xd7 => time(rest, 8, key),
        0xc7 => {
            assert_eq!(take(rest, 1), [12], "an extension that is no timestamp");
            time(rest, 12, key)
        }
        other => panic!("{other:#x} under {key:?}: nothing that all clients read"),
    }
}

/// Both clients of Python want the extension, and Go wants `T` before everything else.
fn map(rest: &mut &[u8], length: usize) -> Value {
    assert!(rest.starts_with(&[0xa1, 0x54]), "the first key is not T");
    let mut map = Map::new();
    for _ in 0..length {
        let Value::String(key) = value(rest, "") else { panic!("a key that is no text") };
        let head = rest[0];
        let value = value(rest, &key);
        assert!(key != "t" || matches!(head, 0xd6 | 0xd7 | 0xc7), "a time that is no extension");
        assert!(map.insert(key, value).is_none(), "a key twice");
    }
    map.into()
}

fn array(rest: &mut &[u8], length: usize) -> Value {
    (0..length).map(|_| value(rest, "")).collect()
}

fn text(rest: &mut &[u8], length: usize) -> Value {
    std::str::from_utf8(take(rest, length)).unwrap().into()
}

fn time(rest: &mut &[u8], length: usize, key: &str) -> Value {
    assert_eq!((take(rest, 1), key), (&[0xff][..], "t"), "the extension of timestamps, for a time");
    let bytes = take(rest, length);
    let (seconds, nanos) = match length {
        4 => (unsigned(bytes), 0),
        8 => {
            let both = unsigned(bytes);
            (both & ((1 << 34) - 1), both >> 34)
        }
        _ => (unsigned(&bytes[4..]), unsigned(&bytes[..4])),
    };
    assert!(nanos < 1_000_000_000);
    UnixNanos(seconds * 1_000_000_000 + nanos).to_string().into()
}

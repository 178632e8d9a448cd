//! Malformed input: every error names what is wrong, no decoder panics, and none allocates a length
//! that the input claims.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod elements;
mod mutations;
#[path = "../samples/mod.rs"]
mod samples;
mod structure;
mod ticks;

use tickwire_protocol::{
    AlpacaCommand, Command, Encoding, Tick, decode_alpaca_stream, decode_message, decode_publish,
    decode_ticks,
};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];

/// Passes the bytes to every decoder. Returns whether one of them accepts them.
fn is_accepted(bytes: &[u8]) -> bool {
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

/// Returns a MessagePack message of one trade, in which `field` has the bytes `value`.
fn trade_with(field: &str, value: &[u8]) -> Vec<u8> {
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
    for (name, valid) in fields {
        message.extend_from_slice(if name == field { value } else { valid });
    }
    message
}

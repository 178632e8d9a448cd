//! Feeds bytes to every decoder of the protocol.
#![no_main]

#[path = "../checks/decode.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::decode(bytes));

//! Feeds the bytes of a client to the reader of WebSocket messages.
#![no_main]

#[path = "../checks/hub.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::reader::check(bytes));

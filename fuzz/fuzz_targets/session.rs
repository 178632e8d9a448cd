//! Feeds bytes of a peer to a session of the hub.
#![no_main]

#[path = "../checks/hub.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::session::check(bytes));

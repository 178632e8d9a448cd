//! Feeds the frames that the fan-out core writes to a client.
#![no_main]

#[path = "../checks/hub.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::frames::check(bytes));

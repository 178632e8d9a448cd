//! A log on disk whose files have changed, into recovery.
#![no_main]

#[path = "../checks/hub.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::recovery::check(bytes));

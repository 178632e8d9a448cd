//! Recovers a log on disk after changes to its files.
#![no_main]

#[path = "../checks/hub.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::recovery::check(bytes));

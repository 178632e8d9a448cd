//! Messages and exit codes of commands that are used incorrectly.
#![expect(clippy::unwrap_used, reason = "part of tests")]

use std::process::{Command, Output};

mod hub;
mod load;
mod watch;

fn run(command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tickwire"))
        .arg(command)
        .args(arguments)
        .env_remove("TICKWIRE_HUB")
        .env_remove("TICKWIRE_FEED")
        .output()
        .unwrap()
}

/// Asserts the exit code, an empty standard output, and a standard error that contains all `parts`.
fn assert_refused(command: &str, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = run(command, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    for part in parts {
        assert!(text.contains(part), "{arguments:?}: {part:?} is not in {text}");
    }
}

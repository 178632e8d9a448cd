//! `cargo xtask bench`: figures that anyone can measure again.

pub(crate) mod apt;
mod peers;

use std::process::ExitCode;

use crate::usage_error;

const USAGE: &str = "\
Measures.

Usage: cargo xtask bench WHAT

What:
  peers   Tickwire beside other servers, over loopback (cargo xtask bench peers --help)
";

/// Runs `cargo xtask bench ARGS`.
pub(crate) fn main(args: &[&str]) -> ExitCode {
    let done = match args {
        [] | ["--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["peers", rest @ ..] => peers::run(rest),
        [unknown, ..] => return usage_error(&format!("bench: no such thing: {unknown}"), USAGE),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

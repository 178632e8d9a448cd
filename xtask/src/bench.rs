//! `cargo xtask bench`: figures that anyone can measure again.

mod peers;

use std::process::ExitCode;

use crate::{instructions, usage_error};

const USAGE: &str = "\
Measures.

Usage: cargo xtask bench WHAT

What:
  peers          Tickwire beside other servers, over loopback (cargo xtask bench peers --help)
  instructions   What the fan-out core takes per tick and delivery, by callgrind
                 (cargo xtask bench instructions --help)
";

/// Runs `cargo xtask bench ARGS`.
pub(crate) fn main(args: &[&str]) -> ExitCode {
    let done = match args {
        [] | ["--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["peers", rest @ ..] => peers::run(rest),
        ["instructions", rest @ ..] => return instructions::main(rest),
        [unknown, ..] => return usage_error(&format!("bench: no such thing: {unknown}"), USAGE),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

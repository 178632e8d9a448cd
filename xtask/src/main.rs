//! The project's automation. People and CI run the same commands.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod apt;
mod bench;
mod chaos;
mod chromium;
mod conformance;
mod fuzz;
mod instructions;
mod python;
mod sdks;
mod shell;
mod test;
mod tidy;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
The project's automation.

Usage: cargo xtask COMMAND

Commands:
  test    Everything a change must pass (cargo xtask test --help)
  bench   Measures (cargo xtask bench --help)
  chaos   Kills, cuts and fills disks under checking clients (cargo xtask chaos --help)
  help    This text
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        ["bench", rest @ ..] => bench::main(rest),
        ["chaos", rest @ ..] => chaos::main(rest),
        ["test", rest @ ..] => test::main(rest),
        [unknown, ..] => usage_error(&format!("no such command: {unknown}"), USAGE),
    }
}

/// Says what was wrong with the command line and what it takes; exit code 2.
fn usage_error(problem: &str, usage: &str) -> ExitCode {
    eprintln!("error: {problem}\n\n{usage}");
    ExitCode::from(2)
}

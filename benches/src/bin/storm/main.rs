//! A reconnect storm: thousands of clients lose their connections at one moment, come back within a second
//! and resume, beside a hundred others that are left alone. Run it with `--release`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod options;
mod scene;
mod session;
mod universe;
mod walk;
mod worker;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match scene::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

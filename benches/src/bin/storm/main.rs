//! A reconnect storm: thousands of clients lose their connections at the same time, reconnect
//! within a second and resume, while a hundred other clients stay connected. Run it with
//! `--release`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod options;
mod run;
mod session;
mod universe;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;
use options::Options;

fn main() -> ExitCode {
    let options = Options::parse().check().unwrap_or_else(|error| error.exit());
    match run::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

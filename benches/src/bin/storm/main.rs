//! A reconnect storm: thousands of clients lose their connections at the same time, reconnect
//! within a second and resume, while a hundred other clients stay connected. Run it with
//! `--release`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod options;
mod run;
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
    match run::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

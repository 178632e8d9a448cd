//! Faults, at real processes: a feeder, a hub and many clients with bad connections between them, while
//! both are killed and started again, the hub is drained, its disk fills and its clock jumps. Each client checks every
//! tick it gets against the market that was published. What happens follows from a seed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod client;
mod clock;
mod crew;
mod disk;
mod follower;
mod heard;
mod library;
mod options;
mod proxy;
mod random;
mod report;
mod run;
mod schedule;
mod trouble;
mod truth;
mod world;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    if std::env::args().any(|arg| matches!(arg.as_str(), "-h" | "--help")) {
        print!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run::run(&options) {
        Ok(report) => {
            print!("{report}");
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

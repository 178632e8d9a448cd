//! Injects faults into real processes: a feeder, a hub, and clients behind proxies that disturb
//! their connections. Hub and feeder are killed and restarted, the hub is drained, its disk fills
//! and its clock jumps. Each client compares every tick it receives with the published market. The
//! seed determines the market and the faults.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod checker;
mod client;
mod client_specs;
mod clock;
mod disk;
mod library;
mod link_fault;
mod options;
mod oracle;
mod proxy;
mod random;
mod received;
mod report;
mod run;
mod schedule;
mod subscriber;
mod subscription;

use std::process::ExitCode;

use clap::Parser as _;
use options::Options;

fn main() -> ExitCode {
    match run::run(&Options::parse()) {
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

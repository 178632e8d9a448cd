//! Compares WebSocket fan-out servers: measures each from outside with one client and one set of
//! workloads. `cargo xtask bench peers` builds and runs this program.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod chart;
mod clock;
mod encoder;
mod floor;
mod format;
mod frame;
mod handshake;
mod host;
mod limits;
mod markdown;
mod measure;
mod measurement;
mod process_usage;
mod protocols;
mod publisher;
mod report;
mod run;
mod server;
mod subscribers;
mod supervise;
mod tick;
mod workload;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure servers and write a table and a chart
    #[command(override_usage = run::USAGE, after_help = run::EXAMPLES)]
    Run(run::Options),
    /// Print what `run` needs with the same arguments, one word per line: tickwire, npm, nats
    #[command(hide = true, override_usage = run::USAGE, after_help = run::EXAMPLES)]
    Needs(run::Options),
    /// Run the floor: a server that only writes prepared frames
    Floor(floor::Options),
    /// Run a program until standard input ends
    #[command(hide = true)]
    Supervise {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Needs(options) => {
            run::print_needs(&options);
            Ok(ExitCode::SUCCESS)
        }
        Command::Floor(options) => floor::main(&options).map(|()| ExitCode::SUCCESS),
        Command::Supervise { command } => supervise::main(&command),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

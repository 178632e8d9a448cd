//! Measures WebSocket fan-out servers from outside, side by side: the same client, the same load
//! and the same figures for each. `cargo xtask bench peers` builds and runs it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod chart;
mod clock;
mod connect;
mod dialect;
mod figures;
mod floor;
mod frame;
mod host;
mod leash;
mod limits;
mod markdown;
mod measure;
mod plan;
mod proc;
mod publisher;
mod report;
mod run;
mod server;
mod speller;
mod subscribers;
mod tick;

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
    /// Measure servers side by side and write a table and a chart
    #[command(override_usage = run::USAGE, after_help = run::EXAMPLES)]
    Run(run::Options),
    /// Print what `run` with the same arguments needs, one word a line: tickwire, npm, nats
    #[command(hide = true, override_usage = run::USAGE, after_help = run::EXAMPLES)]
    Needs(run::Options),
    /// Serve nothing but prepared frames: what the kernel allows
    Floor(floor::Options),
    /// Run a program for as long as standard input stays open
    #[command(hide = true)]
    Leash {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Needs(options) => {
            run::print_needs(&options);
            Ok(ExitCode::SUCCESS)
        }
        Command::Floor(options) => floor::main(&options).map(|()| ExitCode::SUCCESS),
        Command::Leash { command } => leash::main(&command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

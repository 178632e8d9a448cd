//! `cargo xtask bench`: benchmarks that anyone can repeat.

mod fairness;
mod peers;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::instructions;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compares Tickwire with other servers over loopback
    #[command(disable_help_flag = true)]
    Peers(ProgramArgs),
    /// Attacks a hub and measures what its honest clients notice
    #[command(disable_help_flag = true)]
    Fairness(ProgramArgs),
    /// Counts the instructions of the fan-out core per tick and delivery
    Instructions(instructions::Args),
}

/// Arguments that are passed on to a measuring program.
#[derive(Debug, clap::Args)]
pub(crate) struct ProgramArgs {
    /// Arguments of the measuring program; --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// Runs a benchmark.
///
/// # Errors
/// Fails if a program that the benchmark needs is missing, or the benchmark fails.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Peers(args) => peers::run(&args.arguments),
        Command::Fairness(args) => fairness::run(&args.arguments),
        Command::Instructions(args) => instructions::run(&args).map(|()| ExitCode::SUCCESS),
    }
}

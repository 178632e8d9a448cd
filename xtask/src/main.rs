//! The project's automation. People and CI run the same commands: `cargo xtask --help` lists them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod apt;
mod bench;
mod chaos;
mod chromium;
mod conformance;
mod demo;
mod deny;
mod fuzz;
mod instructions;
mod npm;
mod page;
mod programs;
mod python;
mod sdks;
mod shell;
mod target;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's automation.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    after_help = "\
Examples:
  cargo xtask demo
  cargo xtask test
  cargo xtask test --only clippy"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the page and runs a hub with a simulated market
    Demo(demo::Args),
    /// Builds the page into web/dist, where the hub embeds it when it is compiled
    Page,
    /// Runs every check that a change must pass
    Test(test::Args),
    /// Runs benchmarks
    #[command(subcommand)]
    Bench(bench::Command),
    /// Injects faults (kills, cut connections, full disks) while clients check every tick
    #[command(disable_help_flag = true)]
    Chaos(chaos::Args),
}

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => return demo::run(&args),
        Command::Test(args) => return test::run(&args),
        Command::Bench(command) => return bench::run(command),
        Command::Page => page::build()?,
        Command::Chaos(args) => chaos::run(&args.arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_defined_consistently() {
        Cli::command().debug_assert();
    }

    #[test]
    fn chaos_passes_every_argument_on() {
        let parsed = Cli::try_parse_from(["xtask", "chaos", "--help", "--seed", "1"]).unwrap();
        let Command::Chaos(args) = parsed.command else { panic!("{parsed:?}") };
        assert_eq!(args.arguments, ["--help", "--seed", "1"]);
    }
}

//! The command line: all commands with their flags.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{completions, config, demo, feed, healthcheck, hub, keys, load, man, watch};

/// Self-hosted stock-ticker pub/sub: feeds publish, browsers and bots subscribe.
#[derive(Debug, Parser)]
#[command(name = "tickwire", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// A command with its flags.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a hub with a simulated market in one process: try this first
    Demo(demo::Args),
    /// Runs the server: takes ticks from feeds and fans them out to subscribers
    Hub(hub::Args),
    /// Publishes ticks to a hub, or writes them to a file
    Feed(feed::Args),
    /// Shows live prices on the terminal, or one line per tick when piped
    Watch(watch::Args),
    /// Load-tests a hub with thousands of subscribers from one process
    Load(load::Args),
    /// Creates, lists and revokes API keys in a keys file
    Keys(keys::Args),
    /// Prints a config file for the hub with every setting and its default
    Config(config::Args),
    /// Prints the completion script of a shell
    Completions(completions::Args),
    /// Prints the man page of `tickwire`, or writes the man pages of all commands to a folder
    #[command(hide = true)]
    Man(man::Args),
    /// Exits with 0 if a hub is ready, else with 1: a health check for containers without curl
    #[command(hide = true)]
    Healthcheck(healthcheck::Args),
}

/// Returns the description of the whole command line, for parsing and for everything generated from
/// it.
pub(crate) fn command() -> clap::Command {
    Cli::command().mut_subcommands(|command| match command.get_name() {
        "hub" => hub::with_help_of_settings(command),
        _ => command,
    })
}

/// Parses the arguments of the process. Exits after `--help` and after usage errors.
pub(crate) fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command()).exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_of_the_command_line_is_consistent() {
        command().debug_assert();
    }
}

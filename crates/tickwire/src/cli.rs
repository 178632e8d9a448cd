//! The command line: all commands with their flags.

use std::env;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

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
    let command = without_empty_variables(command());
    let matches = command.get_matches();
    Cli::from_arg_matches(&matches)
        .unwrap_or_else(|error| error.format(&mut self::command()).exit())
}

/// Lets environment variables that are set but empty count as unset, in all commands. Container and
/// service files often set a variable to an empty value to unset it.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty =
        |arg: &Arg| arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    #[test]
    fn description_of_the_command_line_is_consistent() {
        command().debug_assert();
    }

    /// Returns all arguments of a command and of its own commands.
    fn arguments(command: &clap::Command) -> Vec<Arg> {
        let own = command.get_arguments().cloned();
        own.chain(command.get_subcommands().flat_map(arguments)).collect()
    }

    #[test]
    fn switch_with_a_variable_accepts_every_spelling_of_a_boolean() {
        let arguments = arguments(&command());
        let is_switch = |arg: &&Arg| matches!(arg.get_action(), ArgAction::SetTrue);
        let switches: Vec<_> =
            arguments.iter().filter(is_switch).filter(|arg| arg.get_env().is_some()).collect();
        assert!(!switches.is_empty());
        for switch in switches {
            let id = switch.get_id();
            for (text, expected) in [("yes", true), ("1", true), ("TRUE", true), ("0", false)] {
                // A switch takes no value on the command line; its variable is parsed alike.
                let option = switch.clone().env(None::<&'static str>).action(ArgAction::Set);
                let option = option.num_args(1).default_missing_value(None::<&'static str>);
                let command = clap::Command::new("test").arg(option);
                let flag = format!("--{}={text}", switch.get_long().unwrap());
                let matches = command.try_get_matches_from(["test", &flag]).unwrap();
                assert_eq!(matches.get_one::<bool>(id.as_str()), Some(&expected), "{id} {text}");
            }
        }
    }
}

//! Generates `docs/cli.md` from the description of the command line.

use std::fmt::{self, Write};

use clap::{Arg, ArgAction, Command};

use super::{check_document, wrapped};
use crate::cli;

const HEAD: &str = "\
# Command line

Every command of `tickwire` with its arguments and flags, as `--help` shows them. The settings of
the hub are explained in [configuration.md](configuration.md).

```
tickwire demo                                     # a hub with a simulated market
tickwire watch AAPL MSFT                          # in another terminal
```

Flags take precedence over environment variables; a variable that is empty counts as unset. The exit
code is 0 after success, 1 after a failure, and 2 after a usage error. Logs go to standard error;
`--log` of `hub` and `demo` sets the level, such as `debug` or `info,tickwire_hub=debug`.
";

fn document() -> String {
    let mut command = cli::command();
    command.build();
    let mut text = String::from(HEAD);
    for subcommand in command.get_subcommands() {
        section(subcommand, &mut text).unwrap();
    }
    text
}

/// Writes the section of a command, and those of its own commands.
fn section(command: &Command, out: &mut String) -> fmt::Result {
    if command.get_name() == "help" {
        return Ok(());
    }
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    write!(out, "\n## {name}\n\n")?;
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    write!(out, "{}\n\n", wrapped(&sentence(&about)))?;
    let usage = command.clone().render_usage().to_string();
    writeln!(out, "```\n{}\n```", usage.trim_start_matches("Usage: ").trim())?;
    let shown = |arg: &&Arg| !arg.is_hide_set() && !is_built_in(arg);
    let mut arguments = command.get_arguments().filter(shown).peekable();
    if arguments.peek().is_some() {
        writeln!(out, "\n| argument | meaning |\n|---|---|")?;
    }
    for argument in arguments {
        writeln!(out, "| `{}` | {} |", escaped(&form(argument)), escaped(&meaning(argument)))?;
    }
    if let Some(after) = command.get_after_help() {
        after_help(&after.to_string(), out)?;
    }
    command.get_subcommands().try_for_each(|subcommand| section(subcommand, out))
}

/// Returns whether clap adds the argument to every command.
fn is_built_in(argument: &Arg) -> bool {
    matches!(argument.get_id().as_str(), "help" | "version")
}

/// Returns how an argument is written: `--rate TICKS` or `SYMBOL…`.
fn form(argument: &Arg) -> String {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let names = argument.get_value_names().unwrap_or_default();
    let values = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match argument.get_long() {
        Some(long) if takes_value => format!("--{long} {values}"),
        Some(long) => format!("--{long}"),
        None => values,
    }
}

/// Returns the help of an argument with its values, its default and its environment variable.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = sentence(&help);
    let values = argument.get_possible_values();
    let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
    if !values.is_empty() && !is_switch {
        let names: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        write!(text, " One of {}.", names.join(", ")).unwrap();
    }
    let defaults = argument.get_default_values();
    if !defaults.is_empty() && !is_switch {
        let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
        write!(text, " Default: `{}`.", defaults.join(",")).unwrap();
    }
    if let Some(variable) = argument.get_env() {
        write!(text, " Environment: `{}`.", variable.to_string_lossy()).unwrap();
    }
    text
}

/// Ends a text with a full stop. A default that it names in brackets becomes a sentence.
fn sentence(text: &str) -> String {
    let (text, default) =
        match text.strip_suffix(']').and_then(|text| text.rsplit_once("[default: ")) {
            Some((text, default)) => (text, Some(default)),
            None => (text, None),
        };
    let text = text.trim();
    let stop = if text.is_empty() || text.ends_with('.') { "" } else { "." };
    match default {
        Some(default) => format!("{text}{stop} Default: {default}."),
        None => format!("{text}{stop}"),
    }
}

/// Writes what follows the flags in the help: indented lines as code, everything else as
/// paragraphs.
fn after_help(text: &str, out: &mut String) -> fmt::Result {
    let lines: Vec<_> = text.lines().collect();
    for block in lines.chunk_by(|a, b| a.starts_with("  ") == b.starts_with("  ")) {
        if block.iter().all(|line| line.starts_with("  ")) {
            let code: Vec<_> = block.iter().map(|line| &line[2..]).collect();
            write!(out, "\n```\n{}\n```\n", code.join("\n"))?;
            continue;
        }
        for paragraph in block.join("\n").split("\n\n").filter(|text| !text.trim().is_empty()) {
            write!(out, "\n{}\n", wrapped(paragraph))?;
        }
    }
    Ok(())
}

/// Escapes what would end a cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn cli_document_is_up_to_date() {
    check_document("cli.md", &document());
}

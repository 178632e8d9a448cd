//! `tickwire completions`: completion scripts for shells.

use clap_complete::Shell;

use crate::{cli, output};

/// Flags of `tickwire completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(tickwire completions bash)                                      in ~/.bashrc
  tickwire completions zsh > ~/.zfunc/_tickwire                            with ~/.zfunc in $fpath
  tickwire completions fish > ~/.config/fish/completions/tickwire.fish")]
pub(crate) struct Args {
    /// Shell to complete for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the completion script of a shell.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "tickwire", &mut script);
    output::print(&String::from_utf8(script)?)
}

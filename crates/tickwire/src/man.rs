//! `tickwire man`: man pages, for packages.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_mangen::Man;

use crate::{cli, output};

/// Flags of `tickwire man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire man | man -l -
  tickwire man /usr/local/share/man/man1")]
pub(crate) struct Args {
    /// Folder for the pages of all commands; without it the page of `tickwire` is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Writes a man page for each command that is not hidden, or prints that of `tickwire`.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        Man::new(cli::command()).render(&mut page)?;
        return output::print(&String::from_utf8(page)?);
    };
    write_pages(folder).with_context(|| format!("cannot write man pages to {}", folder.display()))
}

fn write_pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(cli::command().disable_help_subcommand(true), folder)
}

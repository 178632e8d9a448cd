//! `tickwire config`: prints a config file.

use tickwire_hub::Config;

use crate::output;

/// Flags of `tickwire config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire config > tickwire.toml
  tickwire hub --config tickwire.toml

Every setting in the file is commented out: remove the # in front of those you change.")]
pub(crate) struct Args {}

/// Prints every setting, commented out below its documentation, with its default.
pub(crate) fn run(_args: &Args) -> anyhow::Result<()> {
    output::print(&Config::template())
}

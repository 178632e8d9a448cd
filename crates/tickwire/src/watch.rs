//! `tickwire watch`.

pub(crate) mod flags;

/// Flags of `tickwire watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not part of this version")
}

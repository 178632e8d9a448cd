//! Paths in cargo's target folder. This program runs from `target/PROFILE`, whatever the folder is
//! called.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Returns the path of cargo's target folder.
///
/// # Errors
/// Fails if this program does not run from a target folder.
pub(crate) fn folder() -> Result<PathBuf> {
    let program = env::current_exe().context("the path of the running program is unknown")?;
    let folder = program.ancestors().nth(2).context("xtask does not run from a target folder")?;
    Ok(folder.to_owned())
}

/// Returns the path of the program `name` in the folder of a profile, such as `debug` or `release`.
///
/// # Errors
/// Fails if this program does not run from a target folder.
pub(crate) fn program(profile: &str, name: &str) -> Result<PathBuf> {
    Ok(folder()?.join(profile).join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

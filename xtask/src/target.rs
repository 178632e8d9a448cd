//! Paths in cargo's target folder. This program runs from `target/PROFILE`, whatever the folder is
//! called.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The target folder itself.
///
/// # Errors
/// This program does not run from a target folder.
pub(crate) fn folder() -> Result<PathBuf> {
    let program = env::current_exe().context("the path of the running program is unknown")?;
    let folder = program.ancestors().nth(2).context("xtask does not run from a target folder")?;
    Ok(folder.to_owned())
}

/// The program `name` as cargo builds it with a profile, which is a folder such as `debug` or
/// `release`.
///
/// # Errors
/// This program does not run from a target folder.
pub(crate) fn program(profile: &str, name: &str) -> Result<PathBuf> {
    Ok(folder()?.join(profile).join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

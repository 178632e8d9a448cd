//! Finds or installs the browser for the page test.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{apt, shell};

/// Names of the Chromium program, the most specific first.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Returns the path of a Chromium: `$CHROMIUM`, else the first on `PATH`, else Debian's, which is
/// installed.
///
/// # Errors
/// Fails if `$CHROMIUM` is not a file, or Chromium is missing and cannot be installed.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM").map(PathBuf::from) {
        if !path.is_file() {
            bail!("CHROMIUM={} is not a file: set it to the path of a Chromium", path.display());
        }
        return Ok(path);
    }
    if let Some(path) = find() {
        return Ok(path);
    }
    println!("no Chromium on PATH: installing Debian's");
    apt::install("chromium")
        .context("no Chromium (install one, or set CHROMIUM to the path of one)")?;
    find().context("the package chromium is installed, but there is no chromium on PATH")
}

fn find() -> Option<PathBuf> {
    NAMES.into_iter().find_map(shell::find_program)
}

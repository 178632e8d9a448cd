//! The browser of the page test.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{apt, shell};

/// Names a Chromium goes by, the most specific first.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The path of a Chromium: the one in `$CHROMIUM`, one on `PATH`, or one installed now by apt-get.
///
/// # Errors
/// There is none and it cannot be installed.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM").map(PathBuf::from) {
        if !path.is_file() {
            bail!("CHROMIUM={} is no file; it must be the path of a Chromium", path.display());
        }
        return Ok(path);
    }
    if let Some(path) = find() {
        return Ok(path);
    }
    println!("no Chromium on PATH: installing Debian's");
    apt::install("chromium")
        .context("no Chromium (install one, or set CHROMIUM to the path of one)")?;
    find().context("the package chromium is installed, yet there is no chromium on PATH")
}

fn find() -> Option<PathBuf> {
    NAMES.into_iter().find_map(shell::find_program)
}

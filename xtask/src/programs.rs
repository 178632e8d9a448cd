//! The programs under test.

use std::path::PathBuf;

use anyhow::Result;

use crate::shell::{self, cargo};
use crate::target;

/// Builds `tickwire`, the fault injector and the echo server.
///
/// Selecting the whole workspace and an example gives the dependencies the same features as
/// `cargo test --workspace`, so that cargo does not compile them a second time.
///
/// # Errors
/// Fails if a program does not compile.
pub(crate) fn build() -> Result<()> {
    let args = ["--bin", "tickwire", "--bin", "chaos", "--example", "echo"];
    shell::run(cargo(&["build", "--workspace", "--locked"]).args(args))
}

/// Returns the path of `tickwire`.
///
/// # Errors
/// Fails if this program does not run from a target folder.
pub(crate) fn tickwire() -> Result<PathBuf> {
    target::program("debug", "tickwire")
}

/// Returns the path of the fault injector.
///
/// # Errors
/// Fails if this program does not run from a target folder.
pub(crate) fn chaos() -> Result<PathBuf> {
    target::program("debug", "chaos")
}

/// Returns the path of the echo server, whose sessions echo every message.
///
/// # Errors
/// Fails if this program does not run from a target folder.
pub(crate) fn echo() -> Result<PathBuf> {
    target::program("debug/examples", "echo")
}

//! `cargo xtask bench fairness`: builds hub and measuring program, and attacks the hub.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::shell::{self, cargo};
use crate::target;

/// Runs the measuring program with these arguments.
///
/// # Errors
/// Fails if a program cannot be built or started.
pub(super) fn run(args: &[String]) -> Result<ExitCode> {
    if !cfg!(target_os = "linux") {
        bail!("the hub is measured through /proc, which only Linux has");
    }
    let packages = ["--package", "tickwire", "--package", "tickwire-benches"];
    let programs = ["--bin", "tickwire", "--bin", "fairness"];
    let mut build = cargo(&["build", "--release", "--locked"]);
    shell::run(build.args(packages).args(programs))?;
    shell::replace_process(Command::new(target::program("release", "fairness")?).args(args))
}

//! `cargo xtask chaos`: faults at real processes, for as long as one likes.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::apt;
use crate::shell::{self, cargo};

/// How a program may mount file systems that vanish with it; without root, and with it.
const OWN_MOUNTS: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];

/// Runs `cargo xtask chaos ARGS`; the program knows its arguments.
pub(crate) fn main(args: &[&str]) -> ExitCode {
    match check(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what it takes and runs it.
///
/// # Errors
/// If a fault was not withstood, or something is missing.
pub(crate) fn check(args: &[&str]) -> Result<()> {
    let packages = ["--package", "tickwire", "--package", "tickwire-benches"];
    let binaries = ["--bin", "tickwire", "--bin", "chaos"];
    shell::run(cargo(&["build", "--locked"]).args(packages).args(binaries))?;
    let help = args.iter().any(|arg| matches!(*arg, "-h" | "--help"));
    if !help
        && !has_faketime()
        && let Err(error) = apt::install("libfaketime")
    {
        println!("clocks will not jump: {error:#}");
    }
    shell::run(with_own_mounts(program()?).args(args))
}

/// Whether the library that gives a process another wall clock is in one of its usual places.
fn has_faketime() -> bool {
    let mut find = Command::new("sh");
    find.args(["-c", "ls /usr/lib*/faketime/*.so.1 /usr/lib/*/faketime/*.so.1 | grep -q ."]);
    shell::succeeds(&mut find)
}

/// The program as it is run where it can have a small disk of its own to fill, if that is possible here.
fn with_own_mounts(program: PathBuf) -> Command {
    let unshare = |flags: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags);
        command
    };
    let possible = OWN_MOUNTS.iter().find(|flags| shell::succeeds(unshare(flags).arg("true")));
    match possible {
        Some(flags) => {
            let mut command = unshare(flags);
            command.arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// The program that cargo builds beside this one.
fn program() -> Result<PathBuf> {
    let xtask = env::current_exe().context("where is the running program?")?;
    Ok(xtask.with_file_name(format!("chaos{}", env::consts::EXE_SUFFIX)))
}

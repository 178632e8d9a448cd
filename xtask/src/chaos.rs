//! `cargo xtask chaos`: injects faults into real processes.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{apt, programs, shell};

/// Options of `unshare` that let a program mount file systems which vanish when it ends: first for
/// users other than root, then for root.
const PRIVATE_MOUNTS: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];

/// Arguments of `cargo xtask chaos`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments of the fault injector; --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<String>,
}

/// Builds the fault injector and the programs under test, and runs it.
///
/// # Errors
/// Fails if a program cannot be built, or the fault injector reports a failure.
pub(crate) fn run(args: &[impl AsRef<OsStr>]) -> Result<()> {
    programs::build()?;
    let is_help = |arg: &OsStr| arg == "-h" || arg == "--help";
    if !args.iter().any(|arg| is_help(arg.as_ref()))
        && !has_faketime()
        && let Err(error) = apt::install("libfaketime")
    {
        println!("the run leaves out clock jumps: {error:#}");
    }
    shell::run(with_private_mounts(programs::chaos()?).args(args))
}

/// Returns whether libfaketime, which changes a process's wall clock, is installed in one of its
/// usual places.
fn has_faketime() -> bool {
    let mut find = Command::new("sh");
    find.args(["-c", "ls /usr/lib*/faketime/*.so.1 /usr/lib/*/faketime/*.so.1 | grep -q ."]);
    shell::succeeds(&mut find)
}

/// Returns the command that runs the program with private mounts, in which it fills a small disk.
/// Where `unshare` cannot give it private mounts, returns the plain program.
fn with_private_mounts(program: PathBuf) -> Command {
    let unshare = |flags: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags);
        command
    };
    let possible = PRIVATE_MOUNTS.iter().find(|flags| shell::succeeds(unshare(flags).arg("true")));
    match possible {
        Some(flags) => {
            let mut command = unshare(flags);
            command.arg(program);
            command
        }
        None => Command::new(program),
    }
}

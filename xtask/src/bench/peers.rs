//! `cargo xtask bench peers`: installs and builds what is to be measured, then measures.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output};

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::shell::{self, cargo};

/// Measures with `args`, which the measuring program checks before anything is installed.
pub(super) fn run(args: &[&str]) -> Result<ExitCode> {
    if !cfg!(target_os = "linux") {
        bail!("servers are measured through /proc, which only Linux has");
    }
    build("tickwire-peers")?;
    if args.iter().any(|arg| matches!(*arg, "-h" | "--help")) {
        return measure(args);
    }
    let Output { status, stdout, .. } = Command::new(client()?)
        .arg("needs")
        .args(args)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("the measuring program could not be started")?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    for need in String::from_utf8_lossy(&stdout).lines() {
        match need {
            "tickwire" => build("tickwire")?,
            "npm" => install_node_servers()?,
            "nats" => install_nats()?,
            _ => bail!("the measuring program needs \"{need}\", which is not known here"),
        }
    }
    measure(args)
}

/// Becomes the measuring program, so that whatever ends this process ends the measurement.
fn measure(args: &[&str]) -> Result<ExitCode> {
    let mut command = Command::new(client()?);
    command.arg("run").args(args);
    #[cfg(unix)]
    let status: std::io::Result<std::process::ExitStatus> =
        Err(std::os::unix::process::CommandExt::exec(&mut command));
    #[cfg(not(unix))]
    let status = command.status();
    Ok(exit_code(status.context("the measuring program could not be started")?))
}

fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

fn build(package: &str) -> Result<()> {
    shell::run(&mut cargo(&["build", "--release", "--locked", "--package", package]))
}

/// The measuring program as [`build`] leaves it: for release, and beside this program's folder.
fn client() -> Result<PathBuf> {
    let own = env::current_exe().context("where is the running program?")?;
    let target = own.parent().and_then(|profile| profile.parent());
    let target = target.context("the running program does not lie in a target folder")?;
    Ok(target.join("release").join(format!("tickwire-peers{}", env::consts::EXE_SUFFIX)))
}

/// uWebSockets, ws and Socket.IO in the versions of `benches/peers/package-lock.json`.
fn install_node_servers() -> Result<()> {
    let folder = shell::root().join("benches/peers");
    let npm = shell::find_program("npm").context(
        "npm was not found: uws, ws and socketio need Node.js 20 or newer (https://nodejs.org); \
         or leave them out with --peers",
    )?;
    let npm = |args: &[&str]| {
        let mut command = Command::new(&npm);
        command.args(args).current_dir(&folder);
        command
    };
    if shell::succeeds(&mut npm(&["ls"])) {
        return Ok(());
    }
    // The packages need no scripts of their own to work: none are run.
    shell::run(&mut npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
        .context("the servers of npm could not be installed; leave them out with --peers")
}

/// nats-server from `PATH`, or Debian's.
fn install_nats() -> Result<()> {
    let in_place = || {
        shell::find_program("nats-server").is_some()
            || std::path::Path::new("/usr/sbin/nats-server").is_file()
    };
    if in_place() {
        return Ok(());
    }
    println!("no nats-server on PATH: installing Debian's");
    apt::install("nats-server").context(
        "no nats-server (install one from https://nats.io, or leave it out with --peers)",
    )?;
    if !in_place() {
        bail!("the package nats-server is installed, yet there is no nats-server on PATH");
    }
    Ok(())
}

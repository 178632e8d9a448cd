//! `cargo xtask bench peers`: installs and builds the servers, then measures them.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};
use crate::{apt, npm, target};

/// Runs the measuring program, which checks its arguments before anything is installed.
///
/// # Errors
/// Fails if a server cannot be installed or built, or the program cannot be started.
pub(super) fn run(args: &[String]) -> Result<ExitCode> {
    if !cfg!(target_os = "linux") {
        bail!("the servers are measured through /proc, which only Linux has");
    }
    build("tickwire-peers")?;
    if args.iter().any(|arg| matches!(arg.as_str(), "-h" | "--help")) {
        return measure(args);
    }
    let Output { status, stdout, .. } = Command::new(program()?)
        .arg("needs")
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .context("the measuring program could not be started")?;
    if !status.success() {
        return Ok(shell::exit_code(status));
    }
    for need in String::from_utf8_lossy(&stdout).lines() {
        match need {
            "tickwire" => build("tickwire")?,
            "npm" => install_node_servers()?,
            "nats" => install_nats()?,
            _ => bail!("the measuring program needs \"{need}\", which xtask cannot install"),
        }
    }
    measure(args)
}

fn measure(args: &[String]) -> Result<ExitCode> {
    shell::replace_process(Command::new(program()?).arg("run").args(args))
}

fn build(package: &str) -> Result<()> {
    shell::run(&mut cargo(&["build", "--release", "--locked", "--package", package]))
}

/// Returns the path of the measuring program.
fn program() -> Result<PathBuf> {
    target::program("release", "tickwire-peers")
}

/// Installs uWebSockets, ws and Socket.IO in the versions of `benches/peers/package-lock.json`.
/// Their install scripts are not needed and not run.
fn install_node_servers() -> Result<()> {
    npm::install_packages("benches/peers", &["--ignore-scripts"])
        .context("uws, ws and socketio cannot be measured; --peers selects other servers")
}

/// Installs Debian's nats-server, unless there is one.
fn install_nats() -> Result<()> {
    let is_installed = || {
        shell::find_program("nats-server").is_some() || Path::new("/usr/sbin/nats-server").is_file()
    };
    if is_installed() {
        return Ok(());
    }
    println!("no nats-server on PATH: installing Debian's");
    apt::install("nats-server").context(
        "no nats-server (install one from https://nats.io, or select other servers with --peers)",
    )?;
    if !is_installed() {
        bail!("the package nats-server is installed, but there is no nats-server on PATH");
    }
    Ok(())
}

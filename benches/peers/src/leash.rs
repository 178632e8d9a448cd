//! Keeps a program from outliving the one that started it.
//!
//! `tickwire-peers leash PROGRAM ARGS` runs the program until its own standard input ends. That
//! happens however the owner of the other end goes: done, failed, interrupted or killed. It prints
//! the program's process id first, and forwards its output to standard error.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How often a program is looked at that might have ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs a program on the leash.
pub(crate) fn main(command: &[OsString]) -> Result<ExitCode> {
    let (program, args) = command.split_first().context("leash: which program?")?;
    let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?)
        .spawn()
        .with_context(|| format!("`{}` could not be started", program.display()))?;
    let told = writeln!(io::stdout(), "{}", child.id()).and_then(|()| io::stdout().flush());

    let (owner_lives, owner_gone) = sync_channel::<()>(0);
    std::thread::spawn(move || {
        // Whatever ends the input ends the program.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        drop(owner_lives);
    });
    while told.is_ok() {
        match owner_gone.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
        if child.try_wait()?.is_some() {
            return Ok(ExitCode::FAILURE);
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(ExitCode::SUCCESS)
}

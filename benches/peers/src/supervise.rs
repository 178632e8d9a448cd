//! Keeps a program from outliving the process that started it.
//!
//! `tickwire-peers supervise PROGRAM ARGS` runs the program until standard input ends. That happens
//! in whatever way the process at the other end of the pipe ends: normally, with an error,
//! interrupted or killed. The supervisor prints the program's process id first, and forwards the
//! program's output to standard error.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How often the supervisor checks whether the program has exited by itself.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a program until standard input ends, then kills it.
///
/// # Errors
/// The program cannot be started or killed. A program that exits by itself makes the exit code 1.
pub(crate) fn main(command: &[OsString]) -> Result<ExitCode> {
    let (program, args) = command.split_first().context("supervise: expected a program")?;
    let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?)
        .spawn()
        .with_context(|| format!("`{}` could not be started", program.display()))?;
    let printed = writeln!(io::stdout(), "{}", child.id()).and_then(|()| io::stdout().flush());

    let (input_open, input_ended) = sync_channel::<()>(0);
    std::thread::spawn(move || {
        // An error ends the input as well.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        drop(input_open);
    });
    while printed.is_ok() {
        match input_ended.recv_timeout(CHECK_INTERVAL) {
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

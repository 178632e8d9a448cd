//! Runs the `tickwire` commands as processes.

use std::process::{Child, Command, Stdio};

/// A running command; killed when dropped, so that a failing test leaves no process.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

/// Returns a command without the `TICKWIRE_` variables of the environment that runs the tests.
pub(crate) fn tickwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TICKWIRE_")) {
        command.env_remove(name);
    }
    command
}

//! A hub process with a data folder.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tickwire_testkit::until;

use crate::metrics::metric;

/// A running hub; killed when dropped, so that a failing test leaves no process.
pub(crate) struct Hub {
    process: Child,
    pub(crate) address: String,
}

impl Hub {
    /// Starts a hub on a free port and waits until it listens.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(env!("CARGO_BIN_EXE_tickwire"));
        Self::spawn(command.args(flags(folder)).args(arguments))
    }

    /// Like [`Hub::start`], but limits the size of files to 32 KiB, as a full disk would.
    pub(crate) fn start_limited(folder: &Path) -> Self {
        let mut command = command("sh");
        let limited = r#"trap "" XFSZ; ulimit -f 64; exec "$@""#;
        let tickwire = env!("CARGO_BIN_EXE_tickwire");
        Self::spawn(command.args(["-c", limited, "sh", tickwire]).args(flags(folder)))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut process = command.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { process, address }
    }

    /// Starts a hub that fails to start. Returns its exit code and message.
    pub(crate) fn refused(folder: &Path) -> (Option<i32>, String) {
        let mut command = command(env!("CARGO_BIN_EXE_tickwire"));
        let output = command.args(flags(folder)).stderr(Stdio::piped()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills the hub with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends SIGTERM and waits for the hub to exit.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        until("the hub exits", || self.process.try_wait().unwrap().is_some());
        self.process.wait().unwrap()
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&self.address, name)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended_already = self.process.wait();
    }
}

/// Returns the arguments of the hub. Bars and the test feed are off, since the tests count
/// positions and ticks of the hub itself would shift them.
fn flags(folder: &Path) -> impl Iterator<Item = &str> {
    let flags =
        "hub --listen 127.0.0.1:0 --drain-duration 0s --bars off --test-feed off --data-dir";
    flags.split(' ').chain([folder.to_str().unwrap()])
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TICKWIRE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

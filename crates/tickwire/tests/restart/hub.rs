//! A hub process with a data folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// Longest wait before a test fails. Far more than needed, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
        for _ in 0..PATIENCE.as_millis() / 10 {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the hub did not exit");
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
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

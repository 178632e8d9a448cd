//! The machine, date and server versions of a report.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::server::{nats, package, tickwire};
use crate::workload::Peer;

/// The environment in which a report was measured.
#[derive(Debug)]
pub(crate) struct Host {
    /// Processor, cores, memory, kernel.
    pub(crate) machine: String,
    /// The date in UTC, such as `2026-11-22`.
    pub(crate) date: String,
    /// The versions of the measured servers; the floor has none.
    pub(crate) versions: Vec<(Peer, String)>,
}

impl Host {
    /// Reads them from this machine and from the servers of `peers`.
    pub(crate) fn detect(peers: &[Peer]) -> Self {
        let date = jiff::Timestamp::now().to_string();
        let versions = peers.iter().filter_map(|peer| Some((*peer, version(*peer)?))).collect();
        Self { machine: machine(), date: date.chars().take(10).collect(), versions }
    }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let parts = [
        processor,
        format!("{cores} cores"),
        format!("{:.0} GiB", kib / f64::from(1 << 20)),
        format!("Linux {}", kernel.trim()),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Returns the value of the first line `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn version(peer: Peer) -> Option<String> {
    let node_package = |name: &str| {
        let node = output(Command::new("node").arg("--version"))?;
        Some(format!("{} (npm {name}), Node.js {}", installed(name)?, number(&node)))
    };
    match peer {
        Peer::Tickwire | Peer::TickwireV2 => {
            let version = output(Command::new(tickwire().ok()?).arg("--version"))?;
            let mut git = Command::new("git");
            git.args(["describe", "--always", "--dirty", "--exclude", "*"]).current_dir(package());
            let commit = output(&mut git).map(|commit| format!(" ({commit})"));
            Some(number(&version).to_owned() + &commit.unwrap_or_default())
        }
        Peer::Uws => node_package("uwebsockets"),
        Peer::Ws => node_package("ws"),
        Peer::Socketio => node_package("socket.io"),
        Peer::Nats => {
            output(Command::new(nats()).arg("--version")).map(|text| number(&text).to_owned())
        }
        Peer::Floor => None,
    }
}

/// Returns the number in the output of `--version`, such as `nats-server: v2.9.10`.
fn number(text: &str) -> &str {
    text.rsplit(' ').next().unwrap_or(text).trim_start_matches('v')
}

/// Returns the version of an installed npm package.
fn installed(name: &str) -> Option<String> {
    let manifest = Path::new("node_modules").join(name).join("package.json");
    let text = fs::read_to_string(package().join(manifest)).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(manifest.get("version")?.as_str()?.to_owned())
}

/// Returns the standard output of a program; `None` if it fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_full_name() {
        let text = "model\t\t: 1\nmodel name\t: A  CPU @ 2 GHz\nmodel name\t: other\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn version_numbers_are_extracted() {
        let shown = ["nats-server: v2.9.10", "tickwire 0.1.0", "v20.20.2", "22"].map(number);
        assert_eq!(shown, ["2.9.10", "0.1.0", "20.20.2", "22"]);
    }
}

//! Starts each server on a free port of the loopback interface, and stops it.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock::now;
use crate::handshake::printable;
use crate::workload::{Peer, Workload};

/// How long a server may take until it listens.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(20);

/// How often this program tries to connect to a starting server.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Maximum of writes per second of the floor to each connection. Above that its writes become
/// larger, like those of a server that coalesces.
const FLOOR_WRITES_PER_S: u64 = 100;

/// A running server. It is stopped when this is dropped, and when this process ends in any way.
#[derive(Debug)]
pub(crate) struct Server {
    /// Process id of the server, for `/proc`.
    pub(crate) pid: u32,
    /// Address for subscribers.
    pub(crate) address: SocketAddr,
    /// Address for the publisher.
    pub(crate) publish_address: SocketAddr,
    /// The supervisor kills the server when this is closed; see `supervise`.
    supervisor_stdin: Option<ChildStdin>,
    supervisor: Child,
    log: PathBuf,
}

impl Server {
    /// Starts the server of `peer` and waits until it listens.
    ///
    /// # Errors
    /// The server cannot be started, exits, or does not listen in time.
    pub(crate) fn start(peer: Peer, workload: &Workload) -> Result<Self> {
        let address = free_address()?;
        let publish_address = if peer == Peer::Nats { free_address()? } else { address };
        let (log, output) = create_log(peer)?;
        let mut supervisor =
            Command::new(env::current_exe().context("the path of this program is unknown")?);
        supervisor.arg("supervise").args(command(peer, workload, address, publish_address)?);
        supervisor.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        configure(&mut supervisor, address);
        let mut supervisor = supervisor.spawn().context("cannot start a server")?;
        let supervisor_stdin = supervisor.stdin.take();
        let mut server =
            Self { pid: 0, address, publish_address, supervisor_stdin, supervisor, log };
        server.pid = server.read_pid().with_context(|| server.last_output())?;
        server.wait_until_listening()?;
        Ok(server)
    }

    /// Reads the process id of the server, which the supervisor prints unless it fails.
    fn read_pid(&mut self) -> Result<u32> {
        let output = self.supervisor.stdout.take().context("the output of a child is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        line.trim().parse().context("the server did not start")
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let until = now() + LISTEN_TIMEOUT;
        for address in [self.address, self.publish_address] {
            while TcpStream::connect(address).is_err() {
                if self.supervisor.try_wait()?.is_some() {
                    bail!("the server exited: {}", self.last_output());
                }
                if now() > until {
                    bail!(
                        "the server does not listen on {address} after {LISTEN_TIMEOUT:?}: {}",
                        self.last_output()
                    );
                }
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
        Ok(())
    }

    /// Returns the last lines that the server printed.
    pub(crate) fn last_output(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        printable(last.join(" ").as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor_stdin.take());
        // The supervisor kills the server and exits.
        let _ = self.supervisor.wait();
    }
}

/// Returns the folder of this package, which has the scripts of the servers and their modules.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path of the hub, which cargo builds beside this program.
pub(crate) fn tickwire() -> Result<PathBuf> {
    let own = env::current_exe().context("the path of this program is unknown")?;
    Ok(own.with_file_name("tickwire"))
}

/// Returns the path of `nats-server`: on `PATH`, or in the folder where Debian installs it.
pub(crate) fn nats() -> PathBuf {
    let debian = Path::new("/usr/sbin/nats-server");
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join("nats-server").is_file());
    if !found && debian.is_file() { debian.to_owned() } else { "nats-server".into() }
}

/// Returns program and arguments of a server.
fn command(
    peer: Peer,
    workload: &Workload,
    address: SocketAddr,
    publish_address: SocketAddr,
) -> Result<Vec<String>> {
    let text = |path: PathBuf| path.display().to_string();
    let script = |name: &str| text(package().join("servers").join(name));
    let port = address.port().to_string();
    let words = match peer {
        Peer::Tickwire | Peer::TickwireV2 => {
            vec![text(tickwire()?), "hub".to_owned(), "--listen".to_owned(), address.to_string()]
        }
        Peer::Uws => vec!["node".to_owned(), script("uws.js"), port],
        Peer::Ws => vec!["node".to_owned(), script("ws.js"), port],
        Peer::Socketio => vec!["node".to_owned(), script("socketio.js"), port],
        Peer::Nats => {
            let port = publish_address.port().to_string();
            let config = script("nats.conf");
            let args = ["-c", &config, "-a", "127.0.0.1", "-p", &port].map(str::to_owned);
            [&[text(nats())][..], &args].concat()
        }
        Peer::Floor => {
            let rate = workload.offered_rate_each().round();
            let batch = (rate / FLOOR_WRITES_PER_S as f64).max(1.0).round();
            let own = env::current_exe().context("the path of this program is unknown")?;
            let args = format!(
                "floor --listen {address} --connections {} --rate {rate} --batch {batch}",
                workload.connections
            );
            [text(own)].into_iter().chain(args.split(' ').map(str::to_owned)).collect()
        }
    };
    Ok(words)
}

/// Sets the environment, and a separate process group: an interrupt from the keyboard then ends
/// only this process, after which the supervisor stops the server.
fn configure(supervisor: &mut Command, address: SocketAddr) {
    supervisor.env("PEERS_WEBSOCKET_PORT", address.port().to_string());
    supervisor.env("NODE_ENV", "production");
    for (name, _) in env::vars_os() {
        // Settings for another hub must not apply to this one.
        if name.to_string_lossy().starts_with("TICKWIRE_") {
            supervisor.env_remove(name);
        }
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(supervisor, 0);
}

/// Returns an address whose port is currently free.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// Creates the log file of a server beside this program, or empties it.
fn create_log(peer: Peer) -> Result<(PathBuf, File)> {
    let folder = env::current_exe().context("the path of this program is unknown")?;
    let folder = folder.with_file_name("tickwire-peers-logs");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(format!("{}.log", peer.name()));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((path, file))
}

//! Starts the servers, each on a free port of loopback, and ends them.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock::now;
use crate::connect::printable;
use crate::plan::{Peer, Row};

/// How long a server may take to listen.
const LISTEN_WITHIN: Duration = Duration::from_secs(20);

/// How often it is tried.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// The floor writes so many times a second at most, so that its writes grow with the load as
/// those of a server do that coalesces.
const FLOOR_WRITES_PER_S: u64 = 100;

/// A running server; it ends when this is dropped, or when this process ends in any other way.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its process, for `/proc`.
    pub(crate) pid: u32,
    /// Where subscribers connect.
    pub(crate) address: SocketAddr,
    /// Where the publisher connects.
    pub(crate) publish_address: SocketAddr,
    /// Held open for as long as the server shall live; see `leash`.
    lead: Option<ChildStdin>,
    leash: Child,
    log: PathBuf,
}

impl Server {
    /// Starts the server of `peer` and waits until it listens.
    pub(crate) fn start(peer: Peer, row: &Row) -> Result<Self> {
        let address = free_address()?;
        let publish_address = if peer == Peer::Nats { free_address()? } else { address };
        let (log, output) = log_of(peer)?;
        let mut leash = Command::new(env::current_exe().context("where is this program?")?);
        leash.arg("leash").args(command(peer, row, address, publish_address)?);
        leash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        configure(&mut leash, address);
        let mut leash = leash.spawn().context("cannot start a server")?;
        let lead = leash.stdin.take();
        let mut server = Self { pid: 0, address, publish_address, lead, leash, log };
        server.pid = server.read_pid().with_context(|| server.last_words())?;
        server.wait_until_listening()?;
        Ok(server)
    }

    /// The leash tells the process id of the server, or ends.
    fn read_pid(&mut self) -> Result<u32> {
        let output = self.leash.stdout.take().context("the output of a child is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        line.trim().parse().context("the server did not start")
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let until = now() + LISTEN_WITHIN;
        for address in [self.address, self.publish_address] {
            while TcpStream::connect(address).is_err() {
                if self.leash.try_wait()?.is_some() {
                    bail!("the server ended: {}", self.last_words());
                }
                if now() > until {
                    bail!(
                        "the server does not listen on {address} after {LISTEN_WITHIN:?}: {}",
                        self.last_words()
                    );
                }
                std::thread::sleep(TRY_EVERY);
            }
        }
        Ok(())
    }

    /// The end of what it printed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        printable(last.join(" ").as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lead.take());
        // The leash kills the server and ends.
        let _ = self.leash.wait();
    }
}

/// The folder of this package: servers and their modules lie there.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The hub that cargo builds beside this program.
pub(crate) fn tickwire() -> Result<PathBuf> {
    let own = env::current_exe().context("where is this program?")?;
    Ok(own.with_file_name("tickwire"))
}

/// `nats-server`: on `PATH`, or where Debian puts programs for root.
pub(crate) fn nats() -> PathBuf {
    let debian = Path::new("/usr/sbin/nats-server");
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join("nats-server").is_file());
    if !found && debian.is_file() { debian.to_owned() } else { "nats-server".into() }
}

/// Program and arguments of a server.
fn command(
    peer: Peer,
    row: &Row,
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
            let rate = row.rate_of_one().round();
            let batch = (rate / FLOOR_WRITES_PER_S as f64).max(1.0).round();
            let own = env::current_exe().context("where is this program?")?;
            let args = format!(
                "floor --listen {address} --connections {} --rate {rate} --batch {batch}",
                row.connections
            );
            [text(own)].into_iter().chain(args.split(' ').map(str::to_owned)).collect()
        }
    };
    Ok(words)
}

/// Its environment, and a process group of its own: an interrupt from the keyboard ends this
/// process, and the leash then ends the server.
fn configure(leash: &mut Command, address: SocketAddr) {
    leash.env("PEERS_WEBSOCKET_PORT", address.port().to_string());
    leash.env("NODE_ENV", "production");
    for (name, _) in env::vars_os() {
        // Settings of another hub.
        if name.to_string_lossy().starts_with("TICKWIRE_") {
            leash.env_remove(name);
        }
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(leash, 0);
}

/// A port that is free now.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// Where a server's output goes: a file beside this program, written anew each time.
fn log_of(peer: Peer) -> Result<(PathBuf, File)> {
    let folder = env::current_exe().context("where is this program?")?;
    let folder = folder.with_file_name("tickwire-peers-logs");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{}.log", peer.name()));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((path, file))
}

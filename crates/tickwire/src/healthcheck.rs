//! `tickwire healthcheck`: for containers, which have no curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};

/// Flags of `tickwire healthcheck`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The hub to ask
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080", env = "TICKWIRE_HUB")]
    hub: String,
}

const TIMEOUT: Duration = Duration::from_millis(1_500);

/// Asks whether the hub is ready; fails if it is not.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let host = args.hub.split_once("://").map_or(args.hub.as_str(), |(_, host)| host);
    let host = host.trim_end_matches('/');
    let address = host
        .to_socket_addrs()
        .with_context(|| format!("--hub {}: expected ws://HOST:PORT", args.hub))?
        .next()
        .with_context(|| format!("--hub {}: no address", args.hub))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)
        .with_context(|| format!("cannot reach the hub at {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(1_024).read_to_string(&mut answer)?;
    match answer.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(()),
        status => bail!("not ready: {}", status.unwrap_or("no answer")),
    }
}

//! Sends back every message: the hub's own WebSocket, as suites that test such a server want it.
//!
//! `cargo run --release -p tickwire-hub --example echo -- 127.0.0.1:9001`
#![expect(clippy::print_stdout, reason = "says where it listens")]

use std::error::Error;
use std::net::SocketAddr;

use tickwire_hub::{Config, Hub};

/// Largest message that the Autobahn cases send, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
const DAY_MS: u64 = 24 * 3_600_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: echo ADDRESS:PORT")?;
    let listen: SocketAddr = address.parse().map_err(|_| format!("not ADDRESS:PORT: {address}"))?;
    let config = Config {
        listen,
        command_bytes_max: MESSAGE_BYTES_MAX,
        backlog_age_ms_max: DAY_MS, // some cases read late
        heartbeat_ms: DAY_MS,       // nothing but echoes
        drain_ms_max: 0,
        ..Config::default()
    };
    let hub = Hub::start_echo(config).await?;
    println!("listening on ws://{}", hub.address());
    tokio::signal::ctrl_c().await?;
    hub.shutdown().await;
    Ok(())
}

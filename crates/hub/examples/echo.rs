//! Sends back every message: the hub's own WebSocket, as suites that test such a server want it.
//!
//! `cargo run --release -p tickwire-hub --example echo -- 127.0.0.1:9001`
#![expect(clippy::print_stdout, reason = "says where it listens")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tickwire_hub::{ByteSize, Config, Hub};

/// Largest message that the Autobahn cases send.
const MESSAGE_SIZE_MAX: ByteSize = ByteSize::mib(16);
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: echo ADDRESS:PORT")?;
    let listen: SocketAddr = address.parse().map_err(|_| format!("not ADDRESS:PORT: {address}"))?;
    let config = Config {
        listen,
        command_size_max: MESSAGE_SIZE_MAX,
        incomplete_messages_size_max: ByteSize::mib(256), // several cases run at the same time
        backlog_age_max: DAY,                             // some cases read late
        heartbeat_interval: DAY,                          // nothing but echoes
        drain_duration: Duration::ZERO,
        ..Config::default()
    };
    let hub = Hub::start_echo(config).await?;
    println!("listening on ws://{}", hub.address());
    tokio::signal::ctrl_c().await?;
    hub.shutdown().await;
    Ok(())
}

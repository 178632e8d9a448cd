//! Requests and handshakes as fast as the hub answers them.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use rustls::ClientConnection;
use tickwire_feeder::Authorities;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::attack::{Attackers, Target};
use crate::peer::exchange;
use crate::stage::tls_file;

pub(super) fn start_symbols(attackers: &Attackers) {
    attackers.spawn(32, |target, client| {
        // Each client has other letters, so that answers cannot be remembered for all of them.
        request(target, format!("/api/symbols?q={}&limit=1000", client % 10))
    });
}

pub(super) fn start_metrics(attackers: &Attackers) {
    attackers.spawn(64, |target, _| request(target, "/metrics".to_owned()));
}

pub(super) fn start_handshakes(attackers: &Attackers) {
    attackers.spawn(64, shake_hands);
}

/// Repeats a request on one connection.
async fn request(target: Arc<Target>, path: String) -> Result<Infallible> {
    let request = target.peer.get(&path, "keep-alive");
    let mut stream = BufReader::new(target.peer.connect().await?);
    loop {
        let status = exchange(&mut stream, request.as_bytes()).await?;
        target.counts.count(status == 200);
    }
}

async fn shake_hands(target: Arc<Target>, _: usize) -> Result<Infallible> {
    static HELLO: OnceLock<Vec<u8>> = OnceLock::new();
    let hello = match HELLO.get() {
        Some(hello) => hello,
        None => {
            let hello = client_hello()?;
            HELLO.get_or_init(|| hello)
        }
    };
    loop {
        let mut stream = target.peer.connect().await?;
        stream.write_all(hello).await?;
        let count = stream.read(&mut [0; 1_024]).await?;
        ensure!(count > 0, "the hub ended the connection");
        target.counts.count(true);
    }
}

/// Returns the first message of a TLS handshake. It can be sent any number of times: the hub signs
/// its answer each time.
fn client_hello() -> Result<Vec<u8>> {
    let authorities = Authorities::from_pem_file(Path::new(&tls_file("ca.pem")))?;
    let name = "localhost".try_into().context("not a host name")?;
    let mut connection = ClientConnection::new(authorities.client_config(), name)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    Ok(hello)
}

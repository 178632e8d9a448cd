//! TLS and plain connections on one port.

mod certificate;
mod front;
mod session;

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tickwire_hub::Config;

use crate::kit::{PATIENCE, TestHub, config, tls_client, tls_file};

/// Returns the limits of [`config`], with a certificate.
fn encrypting() -> Config {
    let [tls_cert, tls_key] = ["first.pem", "first.key"].map(|name| Some(tls_file(name)));
    Config { tls_cert, tls_key, ..config() }
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Connects and performs the TLS handshake.
fn connect(hub: &TestHub, config: ClientConfig) -> Result<Encrypted, std::io::Error> {
    let mut socket = TcpStream::connect(hub.direct)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::from(hub.direct.ip());
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(tls, socket))
}

fn shake_hands(hub: &TestHub) -> Encrypted {
    connect(hub, tls_client(rustls::ALL_VERSIONS)).unwrap()
}

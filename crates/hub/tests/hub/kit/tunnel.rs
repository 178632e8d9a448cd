//! A TLS tunnel: accepts plain connections and forwards them to the hub encrypted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// Returns the path of a test certificate.
pub(crate) fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// Returns a TLS client that trusts the test authority and does not resume sessions.
pub(crate) fn tls_client(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls_file("ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// Socket buffer size of a tunnel in bytes. Small, so that a client that does not read is noticed
/// as soon as without a tunnel.
const HELD_BYTES: usize = 64 * 1024;

/// Opens a tunnel to a hub. It lives as long as the runtime.
pub(crate) async fn open_tunnel(hub: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = TlsConnector::from(Arc::new(tls_client(rustls::ALL_VERSIONS)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, connector.clone(), hub));
        }
    });
    address
}

/// Forwards one connection until either side ends.
async fn carry(mut client: TcpStream, connector: TlsConnector, hub: SocketAddr) {
    let Ok(stream) = TcpStream::connect(hub).await else { return };
    for socket in [&client, &stream] {
        socket.set_nodelay(true).unwrap();
        let socket = SockRef::from(socket);
        socket.set_send_buffer_size(HELD_BYTES).unwrap();
        socket.set_recv_buffer_size(HELD_BYTES).unwrap();
    }
    let name = ServerName::from(hub.ip());
    let Ok(mut encrypted) = connector.connect(name, stream).await else { return };
    let _end = tokio::io::copy_bidirectional(&mut client, &mut encrypted).await;
}

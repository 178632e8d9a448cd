//! TLS settings for blocking connections.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::HubUrl;

/// Returns TLS settings that trust the certificate authorities of this system.
///
/// # Errors
/// Fails if the system has no usable authority.
pub(crate) fn system_trust() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let problem = "this system has no certificate authorities for TLS connections";
        return Err(io::Error::new(io::ErrorKind::NotFound, problem));
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Returns the name that the hub's certificate must be valid for.
///
/// # Errors
/// Fails if the host is neither a DNS name nor an IP address.
pub(crate) fn server_name(hub: &HubUrl) -> io::Result<ServerName<'static>> {
    ServerName::try_from(hub.host().to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Returns a TLS stream over a blocking connection. The handshake happens with the first read or
/// write.
///
/// # Errors
/// Fails if the host cannot be the name in a certificate, or the settings are not usable.
pub(crate) fn over(
    stream: TcpStream,
    hub: &HubUrl,
    config: Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let tls = ClientConnection::new(config, server_name(hub)?).map_err(io::Error::other)?;
    Ok(StreamOwned::new(tls, stream))
}

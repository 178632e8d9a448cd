//! Certificate authorities that a TLS connection trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tickwire_protocol::Printable;
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::Error;

/// Additional certificate authorities, trusted besides those of the system.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<ClientConfig>);

/// Why authorities cannot be loaded from a file.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file cannot be read or parsed.
    #[error("cannot read certificates from {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Cause of the failure.
        source: rustls::pki_types::pem::Error,
    },
    /// The file contains no certificate.
    #[error("{} holds no certificate: expected PEM, -----BEGIN CERTIFICATE-----", path.display())]
    Empty {
        /// Path of the file.
        path: PathBuf,
    },
}

impl Authorities {
    /// Loads the authorities of a PEM file.
    ///
    /// # Errors
    /// Fails if the file cannot be read or contains no certificate.
    pub fn from_pem_file(path: &Path) -> Result<Self, AuthoritiesError> {
        let unreadable = |source| AuthoritiesError::Read { path: path.to_owned(), source };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            roots.add_parsable_certificates([certificate.map_err(unreadable)?]);
        }
        if roots.is_empty() {
            return Err(AuthoritiesError::Empty { path: path.to_owned() });
        }
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Returns the rustls configuration that trusts these authorities and those of the system.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::Rustls(Arc::clone(&self.0))
    }
}

/// Returns a description of a connection error, with a hint if the cause is TLS.
pub(crate) fn describe_error(error: &Error) -> String {
    let text = match error {
        Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let hint = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            ": unknown certificate authority; add it with --tls-ca FILE"
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            ": the server may not speak TLS; without TLS the address starts with http:// or ws://"
        }
        _ => "",
    };
    Printable(&text).to_string() + hint
}

fn tls_error(error: &Error) -> Option<&rustls::Error> {
    match error {
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

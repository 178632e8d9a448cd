//! Whom a TLS connection trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::Error;

/// Certificate authorities of one's own, beside the system's.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<ClientConfig>);

/// Why a file gives no authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It cannot be read as certificates.
    #[error("cannot read certificates from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// None of what it holds can be an authority.
    #[error("{} holds no certificate: expected PEM, -----BEGIN CERTIFICATE-----", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Authorities {
    /// Those in a file of PEM.
    ///
    /// # Errors
    /// If it cannot be read or holds no certificate.
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

    /// What a TLS connection needs to know of them, for other libraries.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::Rustls(Arc::clone(&self.0))
    }
}

/// What people are told of a connection that failed: with what helps where TLS is the reason.
pub(crate) fn told(error: &Error) -> String {
    let text = match error {
        Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let hint = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            ": its authority is not known here; --tls-ca FILE makes one known"
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            ": the server does not speak TLS there; without TLS the address begins with http:// or ws://"
        }
        _ => "",
    };
    text + hint
}

fn tls_error(error: &Error) -> Option<&rustls::Error> {
    match error {
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

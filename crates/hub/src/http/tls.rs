//! TLS on the hub's port: the certificate, and its renewal while sessions go on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// First byte of a connection that speaks TLS: its first record is one of the handshake. No HTTP
/// request begins with it.
pub(crate) const FIRST_BYTE: u8 = 0x16;

/// Tickets that a client is given to come back with at a smaller cost, one for each connection it
/// makes. They are not remembered: what is in them is all there is.
const TICKETS: usize = 1;

/// How often the files are read. They are small, and what is in them tells a change for certain.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("cannot use {file} for TLS")]
    File {
        /// Its path.
        file: String,
        /// Why.
        source: pem::Error,
    },
    /// What is wanted of a file is not in it.
    #[error("no {wanted} in {file}: expected PEM, -----BEGIN {}-----", wanted.to_uppercase())]
    Nothing {
        /// Its path.
        file: String,
        /// What it should have.
        wanted: &'static str,
    },
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("the certificate in {certificate} cannot be used with the key in {key}")]
    Unusable {
        /// Path of the certificate.
        certificate: String,
        /// Path of its key.
        key: String,
        /// Why.
        source: rustls::Error,
    },
    /// The cryptography has no randomness.
    #[error("TLS cannot start")]
    Crypto(#[source] rustls::Error),
}

/// The certificate that is shown to clients.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// What was in the two files at the last look, if they could be read.
    seen: Mutex<[Option<Vec<u8>>; 2]>,
    config: Mutex<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads a certificate, with those between it and its authority, and its key.
    ///
    /// # Errors
    /// Names the file that cannot be used, and why.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = Mutex::new(look_at(certificate, key)); // first, so that no change is missed
        let config = Mutex::new(Arc::new(read(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), seen, config })
    }

    /// What answers the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    /// Reads the files again if they have changed. If they cannot be used, which they cannot while only
    /// one of them has been replaced, the certificate stays as it was.
    fn renew(&self) {
        let found = look_at(&self.certificate, &self.key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return;
        }
        *seen = found;
        let certificate = self.certificate.display();
        match read(&self.certificate, &self.key) {
            Ok(config) => {
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(%certificate, "new connections are shown the new certificate");
            }
            Err(error) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, why, "the certificate stays as it was");
            }
        }
    }
}

/// Takes a new certificate over, until the hub closes.
pub(crate) async fn follow(tls: Arc<Tls>, closing: CancellationToken) {
    let mut interval = interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while closing.run_until_cancelled(interval.tick()).await.is_some() {
        let tls = tls.clone();
        if tokio::task::spawn_blocking(move || tls.renew()).await.is_err() {
            return; // the runtime ends
        }
    }
}

fn look_at(certificate: &Path, key: &Path) -> [Option<Vec<u8>>; 2] {
    [certificate, key].map(|path| std::fs::read(path).ok())
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, "certificate", error))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "certificate", pem::Error::NoItemsFound));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, "private key", error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Crypto)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|source| TlsError::Unusable {
            certificate: certificate.display().to_string(),
            key: key.display().to_string(),
            source,
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Crypto)?;
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

fn unusable(path: &Path, wanted: &'static str, error: pem::Error) -> TlsError {
    let file = path.display().to_string();
    match error {
        pem::Error::NoItemsFound => TlsError::Nothing { file, wanted },
        source => TlsError::File { file, source },
    }
}

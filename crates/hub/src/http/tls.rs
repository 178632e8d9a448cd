//! TLS on the hub's port: loads the certificate, and reloads it while the hub runs.

mod private_key;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// First byte of a TLS connection: the type of a handshake record (RFC 8446 section 5.1). No HTTP
/// request starts with it.
pub(crate) const FIRST_BYTE: u8 = 0x16;

/// Session tickets sent to a client per connection, for cheaper handshakes later. Tickets are
/// stateless: the hub keeps nothing for them.
const TICKETS: usize = 1;

/// Time between two reads of the files. They are small, and comparing their content finds every
/// change, which times of modification do not.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot use {file} for TLS")]
    File {
        /// Path of the file.
        file: String,
        /// Cause of the failure.
        source: pem::Error,
    },
    /// A file does not contain what it should.
    #[error("no {wanted} in {file}: expected PEM, -----BEGIN {}-----", wanted.to_uppercase())]
    Nothing {
        /// Path of the file.
        file: String,
        /// What the file should contain.
        wanted: &'static str,
    },
    /// The private key is encrypted.
    #[error(
        "the private key in {file} is encrypted, and the hub has no password for it; expected a key \
         without a password, such as `openssl pkey -in {file}` prints"
    )]
    EncryptedKey {
        /// Path of the file.
        file: String,
    },
    /// The private key is in a format that is not supported.
    #[error(
        "the private key in {file} has the format {format:?}; expected \"PRIVATE KEY\" (PKCS #8), \
         \"RSA PRIVATE KEY\" or \"EC PRIVATE KEY\""
    )]
    UnsupportedKeyFormat {
        /// Path of the file.
        file: String,
        /// Label of the key in the PEM file.
        format: String,
    },
    /// The private key is of a kind that is not supported, or damaged.
    #[error(
        "the private key in {file} is of an unsupported kind, or damaged; expected RSA with 2048 to \
         8192 bits, ECDSA P-256 or P-384, or Ed25519"
    )]
    UnsupportedKey {
        /// Path of the file.
        file: String,
        /// Cause.
        source: rustls::Error,
    },
    /// Certificate and key do not match, or the certificate cannot be used.
    #[error("the certificate in {certificate} cannot be used with the key in {key}")]
    Unusable {
        /// Path of the certificate.
        certificate: String,
        /// Path of the key.
        key: String,
        /// Cause of the failure.
        source: rustls::Error,
    },
    /// The cryptography cannot be initialized, for lack of randomness for instance.
    #[error("TLS cannot start")]
    Crypto(#[source] rustls::Error),
}

/// The certificate and its key, as presented to new connections.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// Content of the two files at the last read, if they could be read.
    seen: Mutex<[Option<Vec<u8>>; 2]>,
    config: Mutex<Arc<ServerConfig>>,
}

impl Tls {
    /// Loads a certificate, with the intermediate certificates after it, and its key.
    ///
    /// # Errors
    /// Names the file that cannot be used, and the cause.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = Mutex::new(read_files(certificate, key)); // first, so that no change is missed
        let config = Mutex::new(Arc::new(load_config(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), seen, config })
    }

    /// Returns the acceptor for a new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    /// Reloads the files if they have changed. Keeps the old certificate while they cannot be used,
    /// such as when only one of them has been replaced so far.
    pub(crate) fn reload(&self) {
        let found = read_files(&self.certificate, &self.key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return;
        }
        *seen = found;
        let certificate = self.certificate.display();
        match load_config(&self.certificate, &self.key) {
            Ok(config) => {
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(%certificate, "using the new certificate for new connections");
            }
            Err(error) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, why, "cannot use the new certificate; keeping the old one");
            }
        }
    }
}

/// Reloads the certificate whenever its files change, until the hub closes.
pub(crate) async fn reload_on_change(tls: Arc<Tls>, closing: CancellationToken) {
    let mut interval = interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while closing.run_until_cancelled(interval.tick()).await.is_some() {
        let tls = tls.clone();
        if tokio::task::spawn_blocking(move || tls.reload()).await.is_err() {
            return; // the runtime ends
        }
    }
}

fn read_files(certificate: &Path, key: &Path) -> [Option<Vec<u8>>; 2] {
    [certificate, key].map(|path| std::fs::read(path).ok())
}

fn load_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, "certificate", error))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "certificate", pem::Error::NoItemsFound));
    }
    let certified = CertifiedKey::new(chain, private_key::read(key)?);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(source) => {
            let certificate = certificate.display().to_string();
            let key = key.display().to_string();
            return Err(TlsError::Unusable { certificate, key, source });
        }
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Crypto)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
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

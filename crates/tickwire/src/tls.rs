//! Certificate authorities that a command trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use tickwire_feeder::{Authorities, AuthoritiesError};

/// Flags for connections with TLS.
#[derive(Debug, clap::Args)]
pub(crate) struct TlsArgs {
    /// File of certificate authorities (PEM) to trust in addition to those of the system
    #[arg(long, value_name = "FILE", env = "TICKWIRE_TLS_CA")]
    tls_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// Reads the additional authorities, or returns `None` if no file is given.
    ///
    /// # Errors
    /// Fails if the file cannot be read or holds no certificate.
    pub(crate) fn read(&self) -> Result<Option<Authorities>, AuthoritiesError> {
        self.tls_ca.as_deref().map(Authorities::from_pem_file).transpose()
    }

    /// Returns the TLS settings for the client library; `None` stands for the system's authorities.
    pub(crate) fn client_config(&self) -> Result<Option<Arc<ClientConfig>>, AuthoritiesError> {
        Ok(self.read()?.map(|authorities| authorities.client_config()))
    }
}

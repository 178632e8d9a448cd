//! Whom a command trusts when it connects with TLS.

use std::path::PathBuf;

use tickwire_feeder::{Authorities, AuthoritiesError};

/// Flags about whom a command trusts when it connects with TLS.
#[derive(Debug, clap::Args)]
pub(crate) struct TlsArgs {
    /// File of certificate authorities (PEM) that may vouch for a server at wss://, beside the system's
    #[arg(long, value_name = "FILE", env = "TICKWIRE_TLS_CA")]
    tls_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// The authorities, if there are any beside the system's.
    pub(crate) fn read(&self) -> Result<Option<Authorities>, AuthoritiesError> {
        self.tls_ca.as_deref().map(Authorities::from_pem_file).transpose()
    }
}

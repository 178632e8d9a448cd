//! Reads the private key of the certificate, and says why one cannot be used.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::sign::SigningKey;

use super::{TlsError, unusable};

/// Reads a private key that the hub can sign with.
///
/// # Errors
/// If the file holds no such key: it cannot be read, is encrypted, or holds a key in another format
/// or of another kind.
pub(super) fn read(path: &Path) -> Result<Arc<dyn SigningKey>, TlsError> {
    let file = || path.display().to_string();
    let text = std::fs::read(path)
        .map_err(|error| unusable(path, "private key", pem::Error::Io(error)))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match kind(&text) {
        Some(Kind::Encrypted) => TlsError::EncryptedKey { file: file() },
        Some(Kind::Other(format)) => TlsError::UnsupportedKeyFormat { file: file(), format },
        None => unusable(path, "private key", error),
    })?;
    ring::sign::any_supported_type(&key)
        .map_err(|source| TlsError::UnsupportedKey { file: file(), source })
}

/// A private key that is PEM, but none that can be read.
#[derive(Debug, PartialEq)]
enum Kind {
    /// Encrypted with a password.
    Encrypted,
    /// In this format, such as `OPENSSH PRIVATE KEY`.
    Other(String),
}

/// Returns the kind of the first private key in a PEM file, unless its format is supported.
fn kind(pem: &[u8]) -> Option<Kind> {
    let text = String::from_utf8_lossy(pem);
    let mut lines = text.lines().map(str::trim);
    let label = lines.find_map(|line| {
        let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        label.ends_with("PRIVATE KEY").then_some(label)
    })?;
    // RFC 1421 headers stand between the label and the key: `Proc-Type: 4,ENCRYPTED`.
    let mut headers = lines.take_while(|line| line.contains(':'));
    match label {
        "ENCRYPTED PRIVATE KEY" => Some(Kind::Encrypted),
        _ if headers.any(|line| line.ends_with("ENCRYPTED")) => Some(Kind::Encrypted),
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => None,
        other => Some(Kind::Other(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(pem: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.key");
        std::fs::write(&path, pem).unwrap();
        let text = read(&path).map(drop).unwrap_err().to_string();
        text.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn encrypted_key_is_reported_as_encrypted() {
        let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFLTBXBgkqhkiG9w0BBQ0w\n\
            -----END ENCRYPTED PRIVATE KEY-----\n";
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
            DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\nMIIFLTBXBgkqhkiG9w0BBQ0w\n\
            -----END RSA PRIVATE KEY-----\n";
        for pem in [pkcs8, legacy] {
            let text = error_of(pem);
            assert!(text.starts_with("the private key in FILE is encrypted"), "{text}");
            assert!(text.contains("openssl pkey"), "{text}");
        }
    }

    #[test]
    fn key_in_another_format_is_reported_with_its_format() {
        for format in ["OPENSSH PRIVATE KEY", "DSA PRIVATE KEY"] {
            let text = error_of(&format!(
                "-----BEGIN {format}-----\nMIIFLTBXBgkqhkiG9w0BBQ0w\n-----END {format}-----\n"
            ));
            assert!(text.contains(&format!("format {format:?}")), "{text}");
        }
    }

    #[test]
    fn file_without_a_private_key_is_reported_as_such() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/first.pem");
        let certificate = std::fs::read_to_string(path).unwrap();
        for text in ["", "no PEM", certificate.as_str()] {
            let error = error_of(text);
            assert!(error.starts_with("no private key in FILE: expected PEM"), "{error}");
        }
        assert!(read(Path::new("/no/such/file")).is_err());
    }

    #[test]
    fn key_of_an_unsupported_kind_is_reported_with_the_supported_ones() {
        // An ECDSA key on the curve secp256k1.
        let text = error_of(SECP256K1);
        assert!(text.starts_with("the private key in FILE is of an unsupported kind"), "{text}");
        assert!(text.contains("ECDSA P-256"), "{text}");
    }

    const SECP256K1: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgXWptAlYLY5+gb5yIP0PF\n\
        O2fuamXqDm136/DwNgBc2tmhRANCAAQ7ETucS2NGEh+IwjCs72jX50fCV4h4psn6\n\
        Zt8St1yRFhl9y5NneJo4kLgIqo3DeBsMB1TnW6/5Ao+eHCiiJN9+\n\
        -----END PRIVATE KEY-----\n";
}

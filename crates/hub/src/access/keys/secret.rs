//! Secrets of keys: their generation, and the hash that the keys file keeps.
//!
//! A generated secret has 238 random bits, which cannot be guessed. Therefore one round of SHA-256
//! is enough, where a password would need a slow hash. The salt makes the hashes of equal secrets
//! differ. A secret chosen by a person is as safe as it is random.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use rand::RngExt;
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Shortest secret, in characters.
pub const SECRET_CHARS_MIN: usize = 16;
/// Longest id or secret, in characters.
pub const SECRET_CHARS_MAX: usize = 128;

const SALT_BYTES: usize = 16;
const ID_PREFIX: &str = "TW";
const ID_CHARS: usize = 18;
const SECRET_CHARS: usize = 40;

/// A salt, and the SHA-256 of salt and secret. The secret cannot be recovered from it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash {
    salt: [u8; SALT_BYTES],
    hash: [u8; 32],
}

/// The text is not a [`SecretHash`]. The error does not contain the text, which may be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("secret: expected \"sha256:SALT:HASH\" in hex, as `tickwire keys add` writes it")]
pub struct InvalidSecretHash;

impl SecretHash {
    /// Hashes a secret with a new random salt.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let salt = rand::rng().random();
        Self { salt, hash: hash(salt, secret) }
    }

    /// Returns whether this is the hash of a secret. Compares in constant time.
    #[must_use]
    pub fn matches(&self, secret: &str) -> bool {
        hash(self.salt, secret).ct_eq(&self.hash).into()
    }
}

fn hash(salt: [u8; SALT_BYTES], secret: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(secret).finalize().into()
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}:{}", HEX.encode(&self.salt), HEX.encode(&self.hash))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

impl FromStr for SecretHash {
    type Err = InvalidSecretHash;

    fn from_str(text: &str) -> Result<Self, InvalidSecretHash> {
        let (salt, hash) = text
            .strip_prefix("sha256:")
            .and_then(|rest| rest.split_once(':'))
            .ok_or(InvalidSecretHash)?;
        Ok(Self { salt: bytes(salt)?, hash: bytes(hash)? })
    }
}

fn bytes<const N: usize>(hex: &str) -> Result<[u8; N], InvalidSecretHash> {
    HEX.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(InvalidSecretHash)
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a generic value: the error of serde for a wrong type would contain the value.
        let value = toml::Value::deserialize(deserializer)?;
        value.as_str().ok_or(InvalidSecretHash).and_then(str::parse).map_err(de::Error::custom)
    }
}

/// Generates an id: `TW` and 18 letters and digits.
#[must_use]
pub fn new_id() -> String {
    format!("{ID_PREFIX}{}", letters_and_digits(ID_CHARS))
}

/// Generates a secret: 40 letters and digits.
#[must_use]
pub fn new_secret() -> String {
    letters_and_digits(SECRET_CHARS)
}

fn letters_and_digits(count: usize) -> String {
    let mut random = rand::rng();
    (0..count).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_matches_its_secret_after_writing_and_reading() {
        let one = SecretHash::new("correct horse 16");
        let other = SecretHash::new("correct horse 16");
        assert_ne!(one, other, "each has its own salt");
        let read: SecretHash = one.to_string().parse().unwrap();
        assert_eq!(read, one);
        assert!(read.matches("correct horse 16"));
        assert!(!read.matches("correct horse 17"));
        assert!(!read.matches(""));
        assert!(!format!("{one:?}").contains(&one.to_string()[7..20]));
    }

    #[test]
    fn hash_is_sha256_of_salt_and_secret() {
        // printf 'AAAAAAAAAAAAAAAAsecret' | sha256sum
        let salt = [b'A'; SALT_BYTES];
        let hex = HEX.encode(&hash(salt, "secret"));
        assert_eq!(hex, "1fb5daae91eac692aaf7cd759a94bbef4f54920226f431095951380d856411e1");
    }

    #[test]
    fn generated_ids_and_secrets_are_alphanumeric_and_differ() {
        let id = new_id();
        let secret = new_secret();
        assert_eq!((id.len(), secret.len()), (20, 40));
        assert!(id.starts_with("TW"));
        assert!(id.chars().chain(secret.chars()).all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(new_id(), id);
        assert_ne!(new_secret(), secret);
    }

    #[test]
    fn text_that_is_not_a_hash_is_refused_and_not_repeated() {
        for text in ["hunter2hunter2hunter2", "sha256:00:11", "sha256::", "md5:00:11", ""] {
            let error = text.parse::<SecretHash>().unwrap_err().to_string();
            assert!(error.contains("sha256:SALT:HASH") && !error.contains("hunter2"), "{error}");
        }
    }
}

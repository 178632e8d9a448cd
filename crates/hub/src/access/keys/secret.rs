//! Secrets of keys: how they are made, and what is kept of them.
//!
//! A secret that this program makes is chance enough (238 bits) that nobody can try them all, so one
//! round of SHA-256 suffices where a password would need a slow hash; the salt keeps equal secrets from
//! looking equal. Of a secret somebody chose himself the same is true as far as he chose well.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use rand::RngExt;
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Least length of a secret, in characters.
pub const SECRET_CHARS_MIN: usize = 16;
/// Most length of an id or a secret, in characters.
pub const SECRET_CHARS_MAX: usize = 128;

const SALT_BYTES: usize = 16;
const ID_PREFIX: &str = "TW";
const ID_CHARS: usize = 18;
const SECRET_CHARS: usize = 40;

/// What is kept of a secret: a salt, and the SHA-256 of salt and secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash {
    salt: [u8; SALT_BYTES],
    hash: [u8; 32],
}

/// A text that is no [`SecretHash`]. It does not tell the text, which may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("secret: expected \"sha256:SALT:HASH\" in hex, as `tickwire keys add` writes it")]
pub struct NotAHash;

impl SecretHash {
    /// Hashes a secret with a salt of its own.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let salt = rand::rng().random();
        Self { salt, hash: hash(salt, secret) }
    }

    /// Whether this is of that secret; takes as long if it is not.
    #[must_use]
    pub fn is_of(&self, secret: &str) -> bool {
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
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let (salt, hash) =
            text.strip_prefix("sha256:").and_then(|rest| rest.split_once(':')).ok_or(NotAHash)?;
        Ok(Self { salt: bytes(salt)?, hash: bytes(hash)? })
    }
}

fn bytes<const N: usize>(hex: &str) -> Result<[u8; N], NotAHash> {
    HEX.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(NotAHash)
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of any value: the error for a wrong type would tell the value.
        let value = toml::Value::deserialize(deserializer)?;
        value.as_str().ok_or(NotAHash).and_then(str::parse).map_err(de::Error::custom)
    }
}

/// A new id: `TW` and 18 letters and digits.
#[must_use]
pub fn new_id() -> String {
    format!("{ID_PREFIX}{}", letters_and_digits(ID_CHARS))
}

/// A new secret: 40 letters and digits.
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
    fn a_hash_knows_its_secret_after_writing_and_reading() {
        let (one, other) =
            (SecretHash::new("correct horse 16"), SecretHash::new("correct horse 16"));
        assert_ne!(one, other, "each has its salt");
        let read: SecretHash = one.to_string().parse().unwrap();
        assert_eq!(read, one);
        assert!(read.is_of("correct horse 16"));
        assert!(!read.is_of("correct horse 17"));
        assert!(!read.is_of(""));
        assert!(!format!("{one:?}").contains(&one.to_string()[7..20]));
    }

    #[test]
    fn a_hash_is_that_of_sha256() {
        // printf 'AAAAAAAAAAAAAAAAsecret' | sha256sum
        let salt = [b'A'; SALT_BYTES];
        let shown = HEX.encode(&hash(salt, "secret"));
        assert_eq!(shown, "1fb5daae91eac692aaf7cd759a94bbef4f54920226f431095951380d856411e1");
    }

    #[test]
    fn new_ones_are_letters_and_digits_and_differ() {
        let (id, secret) = (new_id(), new_secret());
        assert_eq!((id.len(), secret.len()), (20, 40));
        assert!(id.starts_with("TW"));
        assert!(id.chars().chain(secret.chars()).all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(new_id(), id);
        assert_ne!(new_secret(), secret);
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_told() {
        for text in ["hunter2hunter2hunter2", "sha256:00:11", "sha256::", "md5:00:11", ""] {
            let error = text.parse::<SecretHash>().unwrap_err().to_string();
            assert!(error.contains("sha256:SALT:HASH") && !error.contains("hunter2"), "{error}");
        }
    }
}

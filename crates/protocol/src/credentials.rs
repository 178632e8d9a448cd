//! Who a peer says it is.

use std::fmt;

/// Keys that say: the secret is a whole token.
const TOKEN_KEYS: [&str; 2] = ["oauth", "access_token"];

/// A key's id and its secret, as a peer shows them. The secret is never part of a debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The id of the key; empty for a token that names none.
    pub id: String,
    /// The secret of the key, or the token.
    pub secret: String,
}

impl Credentials {
    /// From the `key` and `secret` of an `auth` command. Behind the key `oauth` or `access_token` the
    /// secret is a token.
    #[must_use]
    pub fn from_pair(key: String, secret: String) -> Self {
        if TOKEN_KEYS.contains(&key.as_str()) {
            return Self::from_token(&secret);
        }
        Self { id: key, secret }
    }

    /// From a token, `ID:SECRET`; one without a colon is a secret without an id.
    #[must_use]
    pub fn from_token(token: &str) -> Self {
        let (id, secret) = match token.split_once(':') {
            // A key of that name would be taken for the word again when it is sent on.
            Some((id, secret)) if !TOKEN_KEYS.contains(&id) => (id, secret),
            _ => ("", token),
        };
        Self { id: id.to_owned(), secret: secret.to_owned() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, secret: &str) -> (String, String) {
        let Credentials { id, secret } = Credentials::from_pair(key.into(), secret.into());
        (id, secret)
    }

    #[test]
    fn token_behind_a_word_is_a_pair() {
        assert_eq!(pair("PK1", "s:t"), ("PK1".into(), "s:t".into()));
        for word in ["oauth", "access_token"] {
            assert_eq!(pair(word, "PK1:s:t"), ("PK1".into(), "s:t".into()));
            assert_eq!(pair(word, "whole"), (String::new(), "whole".into()));
            assert_eq!(pair(word, "oauth:x"), (String::new(), "oauth:x".into()));
        }
    }

    #[test]
    fn secret_is_not_shown() {
        let shown = format!("{:?}", Credentials { id: "PK1".into(), secret: "hidden".into() });
        assert!(shown.contains("PK1") && !shown.contains("hidden"), "{shown}");
    }
}

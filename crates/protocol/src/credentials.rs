//! Credentials: the key that a peer authenticates with.

use std::fmt;

/// Values of `key` that mark `secret` as a token that contains both the id and the secret.
const TOKEN_KEYS: [&str; 2] = ["oauth", "access_token"];

/// The id and the secret of a key, as a peer sends them. Debug output leaves the secret out.
///
/// See `docs/protocol/subscriber.md`, section "Authenticate".
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The id of the key; empty if the peer sent a token without an id.
    pub id: String,
    /// The secret of the key, or the token.
    pub secret: String,
}

impl Credentials {
    /// Creates credentials from the `key` and `secret` of an `auth` command. With the key `oauth`
    /// or `access_token`, the secret is a token ([`from_token`](Self::from_token)).
    #[must_use]
    pub fn from_pair(key: String, secret: String) -> Self {
        if TOKEN_KEYS.contains(&key.as_str()) {
            return Self::from_token(&secret);
        }
        Self { id: key, secret }
    }

    /// Creates credentials from a token `ID:SECRET`. A token without a colon is a secret without an
    /// id.
    #[must_use]
    pub fn from_token(token: &str) -> Self {
        let (id, secret) = match token.split_once(':') {
            // An id of `oauth` would mark the secret as a token when the credentials are sent
            // again.
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
    fn key_oauth_marks_the_secret_as_a_token() {
        assert_eq!(pair("PK1", "s:t"), ("PK1".into(), "s:t".into()));
        for word in ["oauth", "access_token"] {
            assert_eq!(pair(word, "PK1:s:t"), ("PK1".into(), "s:t".into()));
            assert_eq!(pair(word, "whole"), (String::new(), "whole".into()));
            assert_eq!(pair(word, "oauth:x"), (String::new(), "oauth:x".into()));
        }
    }

    #[test]
    fn debug_output_leaves_the_secret_out() {
        let shown = format!("{:?}", Credentials { id: "PK1".into(), secret: "hidden".into() });
        assert!(shown.contains("PK1") && !shown.contains("hidden"), "{shown}");
    }
}

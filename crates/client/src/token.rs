//! What a client shows to be let in.

use std::fmt;
use std::str::FromStr;

/// What a client shows to be let in: the id and the secret of a key as `ID:SECRET`.
///
/// ```
/// use tickwire_client::Token;
///
/// let token: Token = "TW1:secret".parse()?;
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// assert!("two words".parse::<Token>().is_err());
/// # Ok::<(), tickwire_client::TokenError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that cannot be sent as a [`Token`]. It does not tell the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token cannot be sent: expected visible ASCII characters, ID:SECRET")]
pub struct TokenError;

impl Token {
    /// The value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let sendable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if sendable { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

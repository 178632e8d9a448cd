//! The key that a client authenticates with.

use std::fmt;
use std::str::FromStr;

/// The key that a client authenticates with: its id and its secret, as `ID:SECRET`. `Debug` does
/// not show it.
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

/// Why a text cannot be sent as a [`Token`]. The message does not contain the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token cannot be sent: expected visible ASCII characters, ID:SECRET")]
pub struct TokenError;

impl Token {
    /// Returns the value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Returns the whole line of the header `Authorization`, for requests that are written by hand.
    pub(crate) fn header_line(&self) -> String {
        format!("Authorization: {}\r\n", self.authorization())
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let is_sendable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sendable { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

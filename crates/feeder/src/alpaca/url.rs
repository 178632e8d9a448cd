//! The address of an upstream.

use std::fmt;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

/// The address of a stream: `wss://HOST[:PORT]/PATH` or `ws://HOST[:PORT]/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlpacaUrl(String);

/// Error for a text that is not an address of a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address with a path such as wss://stream.data.alpaca.markets/v2/sip or ws://127.0.0.1:8080/v2/sip"
)]
pub struct AlpacaUrlError;

impl fmt::Display for AlpacaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AlpacaUrl {
    type Err = AlpacaUrlError;

    fn from_str(text: &str) -> Result<Self, AlpacaUrlError> {
        let uri: Uri = text.parse().map_err(|_| AlpacaUrlError)?;
        let scheme = matches!(uri.scheme_str(), Some("ws" | "wss"));
        let host = uri.authority().is_some_and(|authority| {
            // Credentials are not allowed in the address, because it is logged.
            !authority.host().is_empty() && !authority.as_str().contains('@')
        });
        let path = uri.path().len() > 1;
        (scheme && host && path).then(|| Self(text.to_owned())).ok_or(AlpacaUrlError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_streams_are_accepted() {
        for text in ["wss://stream.data.alpaca.markets/v2/sip", "ws://127.0.0.1:8080/v2/iex"] {
            assert_eq!(text.parse::<AlpacaUrl>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "/v2/sip",
            "https://host/v2/sip",
            "wss://host",
            "wss://host/",
            "ws://me:secret@host/v2/sip",
        ] {
            assert_eq!(text.parse::<AlpacaUrl>(), Err(AlpacaUrlError), "{text}");
        }
    }
}

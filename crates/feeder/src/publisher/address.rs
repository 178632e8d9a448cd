//! Where a hub is.

use std::fmt;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

/// The address of a hub: `ws://HOST:PORT`, or the same with `http`, or with `wss` or `https` for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUrl {
    /// `ws` or `wss`.
    scheme: &'static str,
    /// Host and, unless it is the scheme's, port.
    authority: String,
}

/// Why a text is no address of a hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address such as ws://127.0.0.1:8080, with ws, wss, http or https and without a path"
)]
pub struct HubUrlError;

impl HubUrl {
    /// The address of an endpoint, given its path and query.
    pub(crate) fn endpoint(&self, path_and_query: &str) -> String {
        format!("{self}{path_and_query}")
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl FromStr for HubUrl {
    type Err = HubUrlError;

    fn from_str(text: &str) -> Result<Self, HubUrlError> {
        let uri: Uri = text.parse().map_err(|_| HubUrlError)?;
        let scheme = match uri.scheme_str() {
            Some("ws" | "http") => "ws",
            Some("wss" | "https") => "wss",
            _ => return Err(HubUrlError),
        };
        let path = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().filter(|authority| {
            let port = authority.as_str().rsplit_once(':').is_none_or(|(_, port)| {
                port.ends_with(']') || port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            port && !authority.host().is_empty() && !authority.as_str().contains('@')
        });
        match authority {
            Some(authority) if path => Ok(Self { scheme, authority: authority.to_string() }),
            _ => Err(HubUrlError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_all_schemes() {
        for (text, shown) in [
            ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080"),
            ("http://hub:8080/", "ws://hub:8080"),
            ("ws://[::1]:8080", "ws://[::1]:8080"),
            ("ws://[::1]", "ws://[::1]"),
            ("ws://hub", "ws://hub"),
            ("wss://hub:8443", "wss://hub:8443"),
            ("https://hub/", "wss://hub"),
        ] {
            assert_eq!(text.parse::<HubUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_of_a_hub_is_refused() {
        for text in [
            "",
            "127.0.0.1:8080",
            "ftp://hub:8080",
            "ws://hub:8080/publish",
            "ws://hub:8080?feed=main",
            "ws://hub:99999",
            "ws://hub:",
            "ws://me:secret@hub:8080",
            "ws://",
        ] {
            assert_eq!(text.parse::<HubUrl>(), Err(HubUrlError), "{text}");
        }
    }
}

//! Where a hub is.

use std::fmt;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

/// The address of a hub: `ws://HOST:PORT`, or the same with `http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUrl {
    /// Host and, unless it is 80, port.
    authority: String,
}

/// Why a text is no address of a hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as ws://127.0.0.1:8080, with ws or http and without a path")]
pub struct HubUrlError;

impl HubUrl {
    /// The address of an endpoint, given its path and query.
    pub(crate) fn endpoint(&self, path_and_query: &str) -> String {
        format!("ws://{}{path_and_query}", self.authority)
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}", self.authority)
    }
}

impl FromStr for HubUrl {
    type Err = HubUrlError;

    fn from_str(text: &str) -> Result<Self, HubUrlError> {
        let uri: Uri = text.parse().map_err(|_| HubUrlError)?;
        let scheme = matches!(uri.scheme_str(), Some("ws" | "http"));
        let path = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().filter(|authority| {
            let port = authority.as_str().rsplit_once(':').is_none_or(|(_, port)| {
                port.ends_with(']') || port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            port && !authority.host().is_empty() && !authority.as_str().contains('@')
        });
        match authority {
            Some(authority) if scheme && path => Ok(Self { authority: authority.to_string() }),
            _ => Err(HubUrlError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_both_schemes() {
        for (text, shown) in [
            ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080"),
            ("http://hub:8080/", "ws://hub:8080"),
            ("ws://[::1]:8080", "ws://[::1]:8080"),
            ("ws://[::1]", "ws://[::1]"),
            ("ws://hub", "ws://hub"),
        ] {
            assert_eq!(text.parse::<HubUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_of_a_hub_is_refused() {
        for text in [
            "",
            "127.0.0.1:8080",
            "wss://hub:8080",
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

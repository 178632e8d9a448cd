//! Where a hub is.

use std::fmt;
use std::str::FromStr;

use tickwire_protocol::Feed;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::HubUrlError;

/// The address of a hub: `ws://127.0.0.1:8080`, or `wss://` for TLS, with a path in front of the hub's own
/// paths where a reverse proxy puts one.
///
/// ```
/// use tickwire_client::HubUrl;
///
/// let hub: HubUrl = "ws://127.0.0.1:8080".parse()?;
/// assert_eq!(hub.address(), "127.0.0.1:8080");
/// assert!("wss://example.com".parse::<HubUrl>()?.is_encrypted());
/// # Ok::<(), tickwire_client::HubUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUrl {
    encrypted: bool,
    host: String,
    port: u16,
    /// Invariant: empty, or starts with a slash and ends without one.
    prefix: String,
}

impl HubUrl {
    /// Host and port, to connect to and for the `Host` header.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether TLS is spoken there.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The address of the subscribers' endpoint.
    pub(crate) fn ws_uri(&self, feed: &Feed) -> String {
        format!("{}://{}{}", self.scheme(), self.address(), self.ws_path(feed))
    }

    const fn scheme(&self) -> &'static str {
        if self.encrypted { "wss" } else { "ws" }
    }

    /// The path of the subscribers' endpoint.
    #[must_use]
    pub fn ws_path(&self, feed: &Feed) -> String {
        format!("{}/ws?feed={feed}", self.prefix)
    }

    /// A path of the hub's HTTP API, which must start with a slash.
    #[must_use]
    pub fn http_path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}{}", self.scheme(), self.host, self.port, self.prefix)
    }
}

impl FromStr for HubUrl {
    type Err = HubUrlError;

    fn from_str(given: &str) -> Result<Self, HubUrlError> {
        let invalid = |problem: &str| HubUrlError(problem.to_owned());
        let uri: Uri = given.parse().map_err(|error| invalid(&format!("{error}")))?;
        let encrypted = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(_) => return Err(invalid("the scheme is neither ws nor wss")),
            None => return Err(invalid("the scheme is missing")),
        };
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(invalid("the host is missing"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(invalid("user and password are not allowed"));
        }
        if uri.query().is_some() {
            return Err(invalid("a query is not allowed; the feed is given apart"));
        }
        let port = match uri.port() {
            Some(port) => port.as_u16(),
            None if uri.authority().is_some_and(|authority| authority.as_str() != host) => {
                return Err(invalid("the port is not a number from 1 to 65535"));
            }
            None if encrypted => 443,
            None => 80,
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { encrypted, host: host.to_owned(), port, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> HubUrl {
        text.parse().unwrap()
    }

    #[test]
    fn parts_of_an_address_are_found() {
        let feed = Feed::default();
        assert_eq!(parsed("ws://127.0.0.1:8080").ws_path(&feed), "/ws?feed=main");
        assert_eq!(parsed("ws://127.0.0.1:8080/").address(), "127.0.0.1:8080");
        assert_eq!(parsed("ws://hub").address(), "hub:80");
        assert_eq!(parsed("ws://[::1]:9000").address(), "[::1]:9000");
        let proxied = parsed("ws://example.com/ticks/");
        assert_eq!(proxied.ws_path(&feed), "/ticks/ws?feed=main");
        assert_eq!(proxied.http_path("/api/symbols"), "/ticks/api/symbols");
        assert_eq!(proxied.to_string(), "ws://example.com:80/ticks");
        let encrypted = parsed("wss://example.com/ticks");
        assert_eq!(encrypted.to_string(), "wss://example.com:443/ticks");
        assert_eq!(encrypted.ws_uri(&feed), "wss://example.com:443/ticks/ws?feed=main");
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_allowed() {
        let refused = [
            "",
            "127.0.0.1:8080",
            "http://127.0.0.1:8080",
            "ws://",
            "ws://host:99999",
            "ws://host:port",
            "ws://me@host",
            "ws://host/?feed=x",
        ];
        for text in refused {
            let error = text.parse::<HubUrl>().unwrap_err().to_string();
            assert!(error.contains("expected ws://HOST[:PORT][/PREFIX] or wss://"), "{error}");
        }
    }
}

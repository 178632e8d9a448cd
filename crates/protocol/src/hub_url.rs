//! The address of a hub, as every command and library takes it.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::Feed;

/// The paths that follow the prefix when an address names an endpoint instead of the hub.
const ENDPOINTS: [&str; 2] = ["/ws", "/publish"];

/// The address of a hub: a scheme, a host, and optionally a port and a path prefix.
///
/// - The schemes `http` and `ws` mean a plain connection, `https` and `wss` mean TLS. The hub
///   prints its address with `http`; subscribers and publishers open WebSockets there, and HTTP
///   requests go to the same port, so both spellings of a scheme are equivalent.
/// - The port defaults to 80, or to 443 with TLS. An IPv6 address is written in brackets.
/// - The path prefix is what a reverse proxy puts before the hub's own paths:
///   `https://example.com/market` leads to `https://example.com/market/ws`. A slash at the end does
///   not matter. An endpoint's full path (`…/ws` or `…/publish`) stands for the hub that serves it.
///
/// [`Display`](fmt::Display) writes the canonical form, with `ws` or `wss` and without a default
/// port; parsing that text gives the same address.
///
/// ```
/// use tickwire_protocol::{Feed, HubUrl};
///
/// let hub: HubUrl = "http://127.0.0.1:8080".parse()?;
/// assert_eq!(hub.to_string(), "ws://127.0.0.1:8080");
/// assert_eq!(hub.socket_address(), "127.0.0.1:8080");
///
/// let proxied: HubUrl = "https://example.com/market/".parse()?;
/// assert!(proxied.uses_tls());
/// assert_eq!(proxied.ws_url(&Feed::default()), "wss://example.com/market/ws?feed=main");
/// # Ok::<(), tickwire_protocol::HubUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubUrl {
    tls: bool,
    /// A name, an IPv4 address, or an IPv6 address without brackets. Invariant: in lower case.
    host: String,
    port: u16,
    /// Invariant: empty, or starts with a slash and ends without one.
    prefix: String,
}

/// Why a text is not the address of a hub. The message names the problem and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{problem}; expected http://, https://, ws:// or wss:// and HOST[:PORT][/PREFIX], such as \
     http://127.0.0.1:8080"
)]
pub struct HubUrlError {
    problem: &'static str,
}

impl HubUrl {
    /// Returns whether connections to this hub use TLS.
    #[must_use]
    pub const fn uses_tls(&self) -> bool {
        self.tls
    }

    /// Returns the host, without the brackets of an IPv6 address: the name that a TLS certificate
    /// must be valid for.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns `HOST:PORT`, to resolve and connect to. The port is always present.
    #[must_use]
    pub fn socket_address(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// Returns the value of the `Host` header: `HOST`, or `HOST:PORT` if the port is not the
    /// scheme's default.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == default_port(self.tls) {
            self.bracketed_host()
        } else {
            self.socket_address()
        }
    }

    /// Returns the URL of the subscribers' WebSocket endpoint.
    #[must_use]
    pub fn ws_url(&self, feed: &Feed) -> String {
        self.url(&self.ws_path(feed))
    }

    /// Returns the URL of the publishers' WebSocket endpoint.
    #[must_use]
    pub fn publish_url(&self, feed: &Feed) -> String {
        self.url(&self.path(&format!("/publish?feed={feed}")))
    }

    /// Returns the path and query of the subscribers' endpoint, with the prefix.
    #[must_use]
    pub fn ws_path(&self, feed: &Feed) -> String {
        self.path(&format!("/ws?feed={feed}"))
    }

    /// Returns one of the hub's own paths, which must start with a slash, with the prefix before
    /// it.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.authority())
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url(&self.prefix))?;
        // A prefix that looks like an endpoint would be taken for one when it is parsed.
        let is_ambiguous = ENDPOINTS.iter().any(|endpoint| self.prefix.ends_with(endpoint));
        f.write_str(if is_ambiguous { "/ws" } else { "" })
    }
}

impl FromStr for HubUrl {
    type Err = HubUrlError;

    fn from_str(text: &str) -> Result<Self, HubUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(invalid("the scheme is missing"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(invalid("the scheme is not one of http, https, ws and wss")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(invalid("a user or password is not allowed; give a key separately"));
        }
        let (host, port) = split_port(authority)?;
        let port = port.map_or_else(|| Ok(default_port(tls)), parse_port)?;
        Ok(Self { tls, host: parse_host(host)?, port, prefix: parse_prefix(path)? })
    }
}

const fn invalid(problem: &'static str) -> HubUrlError {
    HubUrlError { problem }
}

/// Splits an authority into its host, with the brackets of an IPv6 address, and its port.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), HubUrlError> {
    let host_len = match authority.find(']') {
        Some(end) => end + 1,
        None if authority.matches(':').count() > 1 => {
            return Err(invalid("an IPv6 address must be in brackets, such as [::1]"));
        }
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_len);
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        None => Err(invalid("there is text between the host and the port")),
        port => Ok((host, port)),
    }
}

fn parse_port(text: &str) -> Result<u16, HubUrlError> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| all_digits && *port > 0);
    port.ok_or(invalid("the port is not a number from 1 to 65535"))
}

fn parse_host(text: &str) -> Result<String, HubUrlError> {
    if text.is_empty() {
        return Err(invalid("the host is missing"));
    }
    if let Some(bracketed) = text.strip_prefix('[') {
        let address = bracketed.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok());
        let address = address.ok_or(invalid("the brackets do not hold an IPv6 address"))?;
        return Ok(address.to_string());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.bytes().all(is_plain) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(invalid("the host may only hold A-Z a-z 0-9 - . and _"))
    }
}

fn parse_prefix(path: &str) -> Result<String, HubUrlError> {
    if path.contains('#') {
        return Err(invalid("a fragment is not allowed"));
    }
    if path.contains('?') {
        return Err(invalid("a query is not allowed; give the feed separately"));
    }
    if !is_path(path) {
        return Err(invalid("the path holds characters that must be percent-encoded"));
    }
    let path = path.trim_end_matches('/');
    let prefix = ENDPOINTS.iter().find_map(|endpoint| path.strip_suffix(endpoint)).unwrap_or(path);
    Ok(prefix.trim_end_matches('/').to_owned())
}

/// Returns whether a text consists of the characters of a path (RFC 3986, section 3.3).
fn is_path(text: &str) -> bool {
    let is_pchar = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap_or_default();
    first.bytes().all(is_pchar)
        && pieces.all(|piece| {
            piece.bytes().all(is_pchar)
                && piece
                    .as_bytes()
                    .first_chunk::<2>()
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> HubUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_scheme_is_accepted_with_its_default_port() {
        for (text, canonical, address) in [
            ("http://hub", "ws://hub", "hub:80"),
            ("ws://hub", "ws://hub", "hub:80"),
            ("https://hub", "wss://hub", "hub:443"),
            ("wss://hub", "wss://hub", "hub:443"),
            ("HTTP://Hub:8080/", "ws://hub:8080", "hub:8080"),
            ("https://hub:80", "wss://hub:80", "hub:80"),
            ("wss://hub:443", "wss://hub", "hub:443"),
        ] {
            assert_eq!(parsed(text).to_string(), canonical, "{text}");
            assert_eq!(parsed(text).socket_address(), address, "{text}");
        }
        assert!(parsed("https://hub").uses_tls() && !parsed("http://hub").uses_tls());
    }

    #[test]
    fn ipv6_address_keeps_its_brackets_except_as_a_host_name() {
        for (text, address, authority) in [
            ("http://[::1]:8080", "[::1]:8080", "[::1]:8080"),
            ("http://[::1]", "[::1]:80", "[::1]"),
            ("wss://[2001:DB8:0::1]/x", "[2001:db8::1]:443", "[2001:db8::1]"),
        ] {
            let hub = parsed(text);
            assert_eq!((hub.socket_address(), hub.authority()), (address.into(), authority.into()));
        }
        assert_eq!(parsed("ws://[::1]:9000").host(), "::1");
    }

    #[test]
    fn endpoints_follow_the_prefix_of_a_reverse_proxy() {
        let feed = Feed::default();
        for text in ["https://example.com/market", "wss://example.com/market//"] {
            let hub = parsed(text);
            assert_eq!(hub.ws_url(&feed), "wss://example.com/market/ws?feed=main");
            assert_eq!(hub.publish_url(&feed), "wss://example.com/market/publish?feed=main");
            assert_eq!(hub.path("/api/symbols"), "/market/api/symbols");
        }
        assert_eq!(parsed("http://hub:8080").ws_path(&feed), "/ws?feed=main");
        assert_eq!(parsed("http://hub/a%20b/").path("/readyz"), "/a%20b/readyz");
    }

    #[test]
    fn path_of_an_endpoint_names_its_hub() {
        for (text, canonical) in [
            ("ws://hub/ws", "ws://hub"),
            ("ws://hub/publish", "ws://hub"),
            ("ws://hub/market/ws/", "ws://hub/market"),
            ("ws://hub/news", "ws://hub/news"),
            ("ws://hub/ws/ws", "ws://hub/ws/ws"),
            ("ws://hub/publish/ws", "ws://hub/publish/ws"),
        ] {
            assert_eq!(parsed(text).to_string(), canonical);
        }
        assert_eq!(parsed("ws://hub/ws/ws").path("/readyz"), "/ws/readyz");
    }

    #[test]
    fn refused_texts_say_what_is_wrong_and_what_is_allowed() {
        for (text, problem) in [
            ("", "the scheme is missing"),
            ("127.0.0.1:8080", "the scheme is missing"),
            ("ftp://hub", "the scheme is not one of http, https, ws and wss"),
            ("http://", "the host is missing"),
            ("http://:8080", "the host is missing"),
            ("http://::1:8080", "an IPv6 address must be in brackets"),
            ("http://[::1", "an IPv6 address must be in brackets"),
            ("http://[hub]", "the brackets do not hold an IPv6 address"),
            ("http://[::1]8080", "there is text between the host and the port"),
            ("http://hub:", "the port is not a number from 1 to 65535"),
            ("http://hub:0", "the port is not a number from 1 to 65535"),
            ("http://hub:+1", "the port is not a number from 1 to 65535"),
            ("http://hub:99999", "the port is not a number from 1 to 65535"),
            ("http://hub:port", "the port is not a number from 1 to 65535"),
            ("http://me:secret@hub", "a user or password is not allowed"),
            ("http://a b", "the host may only hold"),
            ("http://bücher.example", "the host may only hold"),
            ("http://hub/?feed=main", "a query is not allowed; give the feed separately"),
            ("http://hub#x", "a fragment is not allowed"),
            ("http://hub/a b", "the path holds characters that must be percent-encoded"),
            ("http://hub/%2", "the path holds characters that must be percent-encoded"),
            ("http://hub/\r\n", "the path holds characters that must be percent-encoded"),
        ] {
            let error = text.parse::<HubUrl>().unwrap_err().to_string();
            assert!(error.starts_with(problem), "{text}: {error}");
            assert!(error.contains("expected http://, https://, ws:// or wss://"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn canonical_form_is_parsed_to_the_same_address(
            scheme in "https?|wss?",
            host in "[a-zA-Z0-9.-]{1,12}|\\[[0-9a-f]{1,4}::[0-9a-f]{1,4}\\]",
            port in proptest::option::of(1..=u16::MAX),
            path in "(/(ws|publish|[a-z%20]{0,3})){0,4}",
        ) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            if let Ok(hub) = format!("{scheme}://{host}{port}{path}").parse::<HubUrl>() {
                prop_assert_eq!(hub.to_string().parse::<HubUrl>(), Ok(hub));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", rest in "[\\[\\]:/?#@%.a1]{0,12}") {
            let _ = text.parse::<HubUrl>();
            let _ = format!("http://{rest}").parse::<HubUrl>();
        }
    }
}

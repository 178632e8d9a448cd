//! Addresses of clients that connect through reverse proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::Cidr;

/// Header to which each proxy appends the address that it received the request from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose statements about the addresses of clients are believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<Cidr>);

impl TrustedProxies {
    /// Creates the set of the proxies in these networks.
    pub(crate) const fn new(networks: Vec<Cidr>) -> Self {
        Self(networks)
    }

    /// Returns whether an address is that of a trusted proxy.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Returns the address of the client that sent a request.
    ///
    /// That is `peer`, the other end of the connection, unless it is a trusted proxy. Then it is
    /// the last address of `X-Forwarded-For` that is not a trusted proxy: a client may send the
    /// header too, but proxies append to it. An entry that is not an address ends the search.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.0.is_empty() {
            return client;
        }
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let entries = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        for entry in entries {
            if !self.contains(client) {
                break;
            }
            let Some(address) = parse_address(entry.trim()) else { break };
            client = address;
        }
        client
    }
}

/// Parses an address, which some proxies send with a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let networks = ["127.0.0.1", "10.0.0.0/8"].map(|network| network.parse().unwrap());
        let proxies = TrustedProxies::new(networks.to_vec());
        let name = FORWARDED_FOR.parse::<axum::http::HeaderName>().unwrap();
        let headers = forwarded.iter().map(|value| (name.clone(), value.parse().unwrap()));
        let headers: HeaderMap = headers.collect();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn client_is_the_last_address_that_is_not_a_trusted_proxy() {
        for (peer, forwarded, expected) in [
            ("127.0.0.1", &["192.0.2.1"][..], "192.0.2.1"),
            ("127.0.0.1", &["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            ("::ffff:127.0.0.1", &["203.0.113.9", "192.0.2.1:4711"], "192.0.2.1"),
            ("127.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            ("127.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            ("127.0.0.1", &["203.0.113.9", ""], "127.0.0.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
        ] {
            assert_eq!(client(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn header_of_anybody_else_is_ignored() {
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client("127.0.0.2", &["203.0.113.9"]), "127.0.0.2");
    }
}

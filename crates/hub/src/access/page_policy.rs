//! Which web pages may use the hub: the checks of `Origin` and `Host`.
//!
//! Browsers let every website send requests to every server. They say which page sends one in
//! `Origin`, and which name the server was reached by in `Host`. A name proves nothing, though: a
//! website can let its own name resolve to the address of a hub that the visitor can reach, and a
//! browser then takes the hub for that website (DNS rebinding).

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};

/// Longest name or origin in an error, in characters.
const SHOWN_MAX: usize = 100;

/// Browsers send this header only to servers that they reach over HTTPS or on their own machine,
/// and no page can set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How a request has reached the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A plain connection, which may be that of a proxy that ended TLS.
    Plain,
    /// TLS of the hub itself.
    Tls,
}

/// Decides which web pages may use the hub.
#[derive(Debug, Clone)]
pub(crate) struct PagePolicy {
    /// Origins of pages that may connect, in addition to the hub's own page.
    pub(crate) allow_origins: Vec<String>,
    /// Host names that are known to be those of the hub.
    pub(crate) allowed_hosts: Vec<String>,
}

impl PagePolicy {
    /// Checks whether the page that sends a request may open a session or change the hub.
    ///
    /// Browsers always send an `Origin` with a WebSocket handshake or a POST. Programs may send
    /// none, or one that is equal to `Host`. The hub's own page has an origin equal to `Host`, and
    /// passes if the name is [known](Self::knows), or if the origin is HTTPS while the connection
    /// is plain: the browser has then verified the name with the certificate of a proxy.
    ///
    /// # Errors
    /// Names the origin, why it is refused, and how to allow it.
    pub(crate) fn check_origin(
        &self,
        headers: &HeaderMap,
        transport: Transport,
    ) -> Result<(), String> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("(not text)");
        if self.allow_origins.iter().any(|allowed| allowed == origin) {
            return Ok(());
        }
        let host = host(headers).unwrap_or_default();
        let (scheme, authority) = origin.split_once("://").unwrap_or_default();
        let shown = cut(origin);
        if !matches!(scheme, "http" | "https") || !authority.eq_ignore_ascii_case(host) {
            return Err(format!(
                "origin {shown} is not allowed, because it is not that of the hub's own page here, \
                 which is at {}; a proxy in between has to pass Host on, and the hub's operator \
                 can allow other pages with --allow-origins {shown}",
                cut(host)
            ));
        }
        if self.knows(host) || (scheme == "https" && transport == Transport::Plain) {
            return Ok(());
        }
        Err(format!(
            "origin {shown} is not allowed, because any website can let its name resolve to this \
             hub (DNS rebinding); {}",
            remedy(host)
        ))
    }

    /// Checks the `Host` of a request that needs no key.
    ///
    /// A GET that a page sends to its own server has no `Origin`. The name in `Host` therefore has
    /// to be [known](Self::knows), or verified by a browser that has reached a proxy over HTTPS.
    ///
    /// # Errors
    /// Names the host, and how to allow it.
    pub(crate) fn check_host(
        &self,
        headers: &HeaderMap,
        transport: Transport,
    ) -> Result<(), String> {
        let Some(host) = host(headers) else { return Ok(()) };
        let is_verified = transport == Transport::Plain && headers.contains_key(SEC_FETCH_SITE);
        if self.knows(host) || is_verified {
            return Ok(());
        }
        Err(format!("host {} is not allowed without a key; {}", cut(name(host)), remedy(host)))
    }

    /// Returns whether the hub may be reached by the name in a `Host` header: an IP address,
    /// `localhost`, a name without a dot, which no website can have, an allowed host, or the host
    /// of an allowed origin.
    fn knows(&self, host: &str) -> bool {
        let name = name(host);
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let has_no_dot = |name: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !name.is_empty() && name.bytes().all(is_part)
        };
        let is_of = |origin: &String| {
            origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
        };
        has_no_dot(name)
            || bare.parse::<IpAddr>().is_ok()
            || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
            || self.allow_origins.iter().any(is_of)
    }
}

/// Returns the `Host` of a request.
fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).map(|host| host.to_str().unwrap_or("(not text)"))
}

/// Returns the name in a `Host` header, without the port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Says how to reach a hub whose name is not known.
fn remedy(host: &str) -> String {
    let name = cut(name(host));
    format!(
        "use the hub's IP address or localhost, or let the hub's operator add --allowed-hosts {name}"
    )
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn policy() -> PagePolicy {
        PagePolicy {
            allow_origins: vec!["https://shop.example".to_owned()],
            allowed_hosts: vec!["hub.lan".to_owned()],
        }
    }

    fn origin(origin: &str, host: &str, transport: Transport) -> Result<(), String> {
        policy().check_origin(&headers(&[("origin", origin), ("host", host)]), transport)
    }

    #[test]
    fn only_the_hubs_own_page_and_allowed_origins_pass() {
        let check = |of: &str, host: &str| origin(of, host, Transport::Plain).is_ok();
        let none = headers(&[("host", "h.example")]);
        assert!(policy().check_origin(&none, Transport::Plain).is_ok(), "programs send no origin");
        assert!(check("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(check("http://localhost:8080", "localhost:8080"));
        assert!(check("http://[::1]:8080", "[::1]:8080"));
        assert!(check("https://shop.example", "hub.example"));
        assert!(!check("http://evil.example", "127.0.0.1:8080"));
        assert!(!check("http://localhost:3000", "localhost:8080"), "another program's page");
        assert!(!check("null", "127.0.0.1:8080"));
        assert!(!check("null", ""));
        assert!(!check("http://", ""));
        assert!(!check("file://hub", "hub"));
    }

    #[test]
    fn own_page_passes_under_a_name_that_no_website_can_have() {
        let check = |of: &str, host: &str| origin(of, host, Transport::Plain).is_ok();
        assert!(check("http://hub:8080", "hub:8080"));
        assert!(check("http://tick-wire_1", "TICK-wire_1"), "names are in any case");
        assert!(check("http://hub.lan:8080", "hub.lan:8080"), "an allowed host");
        assert!(!check("http://other:8080", "hub:8080"));
        for host in ["evil.example:8080", "evil.", "localhost.evil.example", "hub.lan.evil.example"]
        {
            let refusal = origin(&format!("http://{host}"), host, Transport::Plain).unwrap_err();
            assert!(refusal.contains("DNS rebinding"), "{refusal}");
            assert!(refusal.contains(&format!("--allowed-hosts {}", name(host))), "{refusal}");
        }
    }

    /// A website cannot serve HTTPS from a plain connection, so a proxy ended TLS.
    #[test]
    fn own_page_passes_behind_a_proxy_that_ended_tls() {
        let own = ("https://prices.example", "prices.example");
        assert_eq!(origin(own.0, own.1, Transport::Plain), Ok(()));
        assert!(origin(own.0, own.1, Transport::Tls).is_err(), "not without a proxy");
        assert!(origin("http://prices.example", own.1, Transport::Plain).is_err());
        let refusal = origin(own.0, "127.0.0.1:8080", Transport::Plain).unwrap_err();
        for part in ["at 127.0.0.1:8080;", "pass Host on", "--allow-origins https://prices.example"]
        {
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn requests_without_a_key_need_a_known_host() {
        let check = |host: &str, transport, more: &[(&'static str, &str)]| {
            let headers = headers(&[&[("host", host)], more].concat());
            policy().check_host(&headers, transport)
        };
        for host in ["localhost", "127.0.0.1", "[::1]:80", "hub:8080", "HUB.lan", "shop.example"] {
            assert_eq!(check(host, Transport::Plain, &[]), Ok(()), "{host}");
        }
        let fetched = [("sec-fetch-site", "same-origin")];
        for host in ["evil.example:8080", "hub.lan.evil.example", "[::1", ""] {
            let refusal = check(host, Transport::Plain, &[]).unwrap_err();
            assert!(refusal.contains("--allowed-hosts"), "{refusal}");
            assert!(check(host, Transport::Tls, &fetched).is_err(), "{host}");
        }
        assert_eq!(check("prices.example", Transport::Plain, &fetched), Ok(()), "a TLS proxy");
    }
}

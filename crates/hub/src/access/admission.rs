//! Limits on sessions and connections, and the check of a page's origin.

mod connection_limiter;
mod publisher_limiter;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use tokio::sync::Notify;

use crate::config::Config;
pub(crate) use connection_limiter::{ConnectionLimiter, LimitReached, client_prefix};
pub(crate) use publisher_limiter::{PublisherHolder, PublisherLimiter, PublisherSlot};

/// Limits the subscriber sessions of the hub, in total and per client address.
#[derive(Debug)]
pub(crate) struct SessionLimiter {
    counts: Mutex<Counts>,
    max: usize,
    per_address_max: usize,
    /// Notified when the last session has ended.
    none_left: Notify,
}

#[derive(Debug)]
struct Counts {
    total: usize,
    by_client: ConnectionLimiter,
}

/// The right to one session. Dropping it makes room for another session.
#[derive(Debug)]
pub(crate) struct SessionPermit {
    limiter: Arc<SessionLimiter>,
    address: IpAddr,
}

impl SessionLimiter {
    /// Creates a limiter with the limits of the configuration.
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        let per_address_max = config.sessions_per_address_max;
        let by_client = ConnectionLimiter::new(per_address_max);
        Arc::new(Self {
            counts: Mutex::new(Counts { total: 0, by_client }),
            max: config.sessions_max,
            per_address_max,
            none_left: Notify::new(),
        })
    }

    /// Admits a session from an address.
    ///
    /// # Errors
    /// Fails if the hub or the address has as many sessions as are allowed. The error names the
    /// limit.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<SessionPermit, String> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.max {
            return Err(format!("the hub has {} sessions, the most allowed", self.max));
        }
        let address = address.to_canonical();
        counts.by_client.admit(address).map_err(|LimitReached| {
            format!("{address} has {} sessions, the most allowed", self.per_address_max)
        })?;
        counts.total += 1;
        Ok(SessionPermit { limiter: self.clone(), address })
    }

    /// Waits until no session is left.
    pub(crate) async fn none_left(&self) {
        let ended = self.none_left.notified(); // before the check: the last one may end meanwhile
        let total = self.counts.lock().unwrap_or_else(PoisonError::into_inner).total;
        if total > 0 {
            ended.await;
        }
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        let mut counts = self.limiter.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if counts.total == 0 {
            self.limiter.none_left.notify_waiters();
        }
        counts.by_client.release(self.address);
    }
}

/// Checks whether the web page that sends a request may use the hub.
///
/// Programs send no `Origin` and pass. Browsers always send one with a WebSocket handshake or a
/// POST, so that no other website can read from, or publish to, a hub on the visitor's own machine.
///
/// The hub's own page has an origin equal to `Host`. A host name proves nothing, though: a website
/// can let its own name resolve to a loopback address (DNS rebinding). The hub's page therefore
/// passes under an IP address or `localhost`; other names have to be in `allowed`.
///
/// # Errors
/// Fails if the origin is not allowed. The error names the origin, and how to allow it.
pub(crate) fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> Result<(), String> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("(not text)");
    if allowed.iter().any(|allowed| allowed == origin) {
        return Ok(());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if authority == Some(host) && is_address_or_localhost(host) {
        return Ok(());
    }
    let origin: String = origin.chars().take(100).collect();
    Err(format!(
        "origin {origin} is not allowed; the hub's operator can allow it with --allow-origins"
    ))
}

/// Returns the name in a `Host` header, without the port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Returns whether a `Host` header names an IP address or `localhost`, with or without a port.
fn is_address_or_localhost(host: &str) -> bool {
    let name = host_name(host);
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Checks the `Host` of a request that needs no key.
///
/// A GET that a page sends to its own server has no `Origin`. A website could let its own name
/// resolve to the address of a hub that the visitor can reach, and read from it (DNS rebinding).
/// `Host` therefore has to be `localhost`, an IP address, the host of an allowed origin or one of
/// the allowed hosts.
///
/// # Errors
/// Names the host, and how to allow it.
pub(crate) fn host_allowed(
    headers: &HeaderMap,
    allowed_hosts: &[String],
    allowed_origins: &[String],
) -> Result<(), String> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or("(not text)");
    let name = host_name(host);
    let is_of = |origin: &String| origin.split_once("://").is_some_and(|(_, of)| of == host);
    if is_address_or_localhost(host)
        || allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
        || allowed_origins.iter().any(is_of)
    {
        return Ok(());
    }
    let name: String = name.chars().take(100).collect();
    Err(format!(
        "host {name} is not allowed without a key; use localhost or an IP address, or the hub's \
         operator can allow it with --allowed-hosts {name}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_hubs_own_page_and_allowed_origins_pass() {
        let check = |origin: &str, host: &str| {
            let allowed = ["https://shop.example".to_owned()];
            origin_allowed(&headers(&[("origin", origin), ("host", host)]), &allowed).is_ok()
        };
        assert!(origin_allowed(&headers(&[("host", "h")]), &[]).is_ok(), "programs send no origin");
        assert!(check("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(check("http://localhost:8080", "localhost:8080"));
        assert!(check("http://[::1]:8080", "[::1]:8080"));
        assert!(check("https://shop.example", "hub.example"));
        assert!(!check("http://evil.example", "127.0.0.1:8080"));
        assert!(!check("http://evil.example:8080", "evil.example:8080"), "DNS rebinding");
        assert!(!check("http://localhost:3000", "localhost:8080"), "another program's page");
        assert!(!check("null", "127.0.0.1:8080"));
        assert!(!check("http://localhost.evil.example", "localhost.evil.example"));
    }

    #[test]
    fn sessions_are_limited_by_address_except_on_loopback() {
        let config = Config { sessions_max: 3, sessions_per_address_max: 1, ..Config::default() };
        let limiter = SessionLimiter::new(&config);
        let near = IpAddr::from([127, 0, 0, 1]);
        let far = IpAddr::from([192, 0, 2, 1]);
        let first = limiter.admit(far).unwrap();
        assert!(limiter.admit(far).is_err());
        let _near = [limiter.admit(near).unwrap(), limiter.admit(near).unwrap()];
        assert!(limiter.admit(near).unwrap_err().contains('3'));
        drop(first);
        assert!(limiter.admit(far).is_ok());
    }
}

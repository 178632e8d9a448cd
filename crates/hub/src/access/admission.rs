//! Who may come in: limits of sessions, and origins.

mod connection_limiter;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use tokio::sync::Notify;

use crate::config::Config;
pub(crate) use connection_limiter::{ConnectionLimiter, LimitReached, client_prefix};

/// Counts sessions, in all and by machine.
#[derive(Debug)]
pub(crate) struct SessionLimiter {
    counts: Mutex<Counts>,
    max: usize,
    per_address_max: usize,
    /// Told when the last session has gone.
    none_left: Notify,
}

#[derive(Debug)]
struct Counts {
    total: usize,
    by_client: ConnectionLimiter,
}

/// One session's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct SessionPermit {
    sessions: Arc<SessionLimiter>,
    address: IpAddr,
}

impl SessionLimiter {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        let (max, per_address_max) = (config.sessions_max, config.sessions_per_address_max);
        let counts =
            Mutex::new(Counts { total: 0, by_client: ConnectionLimiter::new(per_address_max) });
        let none_left = Notify::new();
        Arc::new(Self { counts, max, per_address_max, none_left })
    }

    /// A place for a session from an address, or which limit is reached.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<SessionPermit, String> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.max {
            return Err(format!("the hub has {} sessions, as many as it may", self.max));
        }
        let address = address.to_canonical();
        counts.by_client.enter(address).map_err(|LimitReached| {
            format!("{address} has {} sessions, as many as it may", self.per_address_max)
        })?;
        counts.total += 1;
        Ok(SessionPermit { sessions: self.clone(), address })
    }

    /// Waits until there is no session.
    pub(crate) async fn none_left(&self) {
        let gone = self.none_left.notified(); // before looking: it may go meanwhile
        let total = self.counts.lock().unwrap_or_else(PoisonError::into_inner).total;
        if total > 0 {
            gone.await;
        }
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        let mut counts = self.sessions.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if counts.total == 0 {
            self.sessions.none_left.notify_waiters();
        }
        counts.by_client.leave(self.address);
    }
}

/// Whether a request may come from the page it comes from. Programs send no `Origin`; a browser
/// always does, so that no website can read or publish through somebody's loopback hub.
///
/// The hub's own page is known by an origin equal to `Host`. A name in `Host` proves nothing, since a
/// website can let its own name point at loopback (DNS rebinding): names other than localhost have to
/// be allowed by configuration, addresses do not.
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
    let shown: String = origin.chars().take(100).collect();
    Err(format!(
        "origin {shown} is not allowed; the hub's operator can allow it with --allow-origins"
    ))
}

pub(crate) fn is_address_or_localhost(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_hubs_own_page_and_allowed_origins_may_connect() {
        let check = |origin: &str, host: &str| {
            let allowed = ["https://shop.example".to_owned()];
            origin_allowed(&headers(&[("origin", origin), ("host", host)]), &allowed).is_ok()
        };
        assert!(origin_allowed(&headers(&[("host", "h")]), &[]).is_ok(), "programs send none");
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
    fn places_are_limited_by_address_but_not_on_loopback_and_are_given_back() {
        let config = Config { sessions_max: 3, sessions_per_address_max: 1, ..Config::default() };
        let sessions = SessionLimiter::new(&config);
        let (near, far) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        let first = sessions.admit(far).unwrap();
        assert!(sessions.admit(far).is_err());
        let _near = [sessions.admit(near).unwrap(), sessions.admit(near).unwrap()];
        assert!(sessions.admit(near).unwrap_err().contains('3'));
        drop(first);
        assert!(sessions.admit(far).is_ok());
    }
}

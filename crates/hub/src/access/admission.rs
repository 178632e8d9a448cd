//! Limits on sessions and connections.

mod connection_limiter;
mod publisher_limiter;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

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

#[cfg(test)]
mod tests {
    use super::*;

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

//! Limits how many connections one client holds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Counts connections per client, up to a limit. Loopback clients have no limit (see
/// [`limited_client`]): a program on the hub's own machine can do worse than open connections.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    max: usize,
    /// Connections by client prefix. Clients without connections have no entry.
    by_client: HashMap<IpAddr, usize>,
}

impl ConnectionLimiter {
    /// Creates a limiter that allows `max` connections per client.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, by_client: HashMap::new() }
    }

    /// Counts one more connection from an address. After a success, the caller must call
    /// [`release`](Self::release) once, when the connection has ended.
    ///
    /// # Errors
    /// Fails if the client holds the maximum number of connections.
    pub(crate) fn admit(&mut self, address: IpAddr) -> Result<(), LimitReached> {
        let Some(client) = limited_client(address) else { return Ok(()) };
        let count = self.by_client.entry(client).or_default();
        if *count >= self.max {
            return Err(LimitReached);
        }
        *count += 1;
        Ok(())
    }

    /// Removes one connection of an address from the count.
    pub(crate) fn release(&mut self, address: IpAddr) {
        let client = client_prefix(address);
        if let Some(count) = self.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}

/// Error: a client holds the maximum number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitReached;

/// Returns the client of an address if it may only have a share of what the hub offers. Loopback
/// clients have no such limit.
pub(crate) fn limited_client(address: IpAddr) -> Option<IpAddr> {
    (!address.to_canonical().is_loopback()).then(|| client_prefix(address))
}

/// Returns the part of an address that identifies a client: a whole IPv4 address, or the first 64
/// bits of an IPv6 address, since one machine usually has a network of 64 bits to itself.
pub(crate) fn client_prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ipv6_clients_are_counted_by_64_bit_prefix() {
        let mut limiter = ConnectionLimiter::new(2);
        for first in ["192.0.2.1", "2001:db8:0:1::1"] {
            limiter.admit(address(first)).unwrap();
        }
        limiter.admit(address("::ffff:192.0.2.1")).unwrap();
        limiter.admit(address("2001:db8:0:1:ffff::2")).unwrap();
        assert_eq!(limiter.admit(address("192.0.2.1")), Err(LimitReached));
        assert_eq!(limiter.admit(address("2001:db8:0:1::3")), Err(LimitReached));
        for other in ["192.0.2.2", "2001:db8:0:2::1"] {
            limiter.admit(address(other)).unwrap();
        }
        limiter.release(address("2001:db8:0:1::1"));
        limiter.admit(address("2001:db8:0:1::3")).unwrap();
    }

    #[test]
    fn loopback_has_no_limit_and_counts_return_to_zero() {
        let mut limiter = ConnectionLimiter::new(1);
        for here in ["127.0.0.1", "127.0.0.1", "::1", "::1", "::ffff:127.0.0.1"] {
            limiter.admit(address(here)).unwrap();
        }
        limiter.admit(address("192.0.2.1")).unwrap();
        for here in ["127.0.0.1", "::1", "192.0.2.1"] {
            limiter.release(address(here));
        }
        assert!(limiter.by_client.is_empty());
    }
}

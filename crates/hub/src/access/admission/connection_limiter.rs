//! Who counts as one of those who come over the network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// How many are there from each machine, of which there may be so many. On loopback there is no limit:
/// who is there can do worse.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    max: usize,
    /// Only machines of which somebody is there.
    by_client: HashMap<IpAddr, usize>,
}

impl ConnectionLimiter {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, by_client: HashMap::new() }
    }

    /// One more comes, unless there are as many as may be. Whoever has come has to leave.
    pub(crate) fn enter(&mut self, address: IpAddr) -> Result<(), LimitReached> {
        if address.to_canonical().is_loopback() {
            return Ok(());
        }
        let count = self.by_client.entry(client_prefix(address)).or_default();
        if *count >= self.max {
            return Err(LimitReached);
        }
        *count += 1;
        Ok(())
    }

    /// One who came has left.
    pub(crate) fn leave(&mut self, address: IpAddr) {
        let address = client_prefix(address);
        if let Some(count) = self.by_client.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&address);
            }
        }
    }
}

/// As many are there from a machine as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitReached;

/// Who counts as one: an IPv4 address, or the network of 64 bits one machine has in IPv6.
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
    fn a_machine_is_an_address_or_a_network_of_64_bits() {
        let mut limiter = ConnectionLimiter::new(2);
        for first in ["192.0.2.1", "2001:db8:0:1::1"] {
            limiter.enter(address(first)).unwrap();
        }
        limiter.enter(address("::ffff:192.0.2.1")).unwrap();
        limiter.enter(address("2001:db8:0:1:ffff::2")).unwrap();
        assert_eq!(limiter.enter(address("192.0.2.1")), Err(LimitReached));
        assert_eq!(limiter.enter(address("2001:db8:0:1::3")), Err(LimitReached));
        for other in ["192.0.2.2", "2001:db8:0:2::1"] {
            limiter.enter(address(other)).unwrap();
        }
        limiter.leave(address("2001:db8:0:1::1"));
        limiter.enter(address("2001:db8:0:1::3")).unwrap();
    }

    #[test]
    fn loopback_has_no_limit_and_who_has_left_is_forgotten() {
        let mut limiter = ConnectionLimiter::new(1);
        for here in ["127.0.0.1", "127.0.0.1", "::1", "::1", "::ffff:127.0.0.1"] {
            limiter.enter(address(here)).unwrap();
        }
        limiter.enter(address("192.0.2.1")).unwrap();
        for here in ["127.0.0.1", "::1", "192.0.2.1"] {
            limiter.leave(address(here));
        }
        assert!(limiter.by_client.is_empty());
    }
}

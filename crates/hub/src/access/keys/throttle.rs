//! Failed logins by address: each one makes the answer to the next one later.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::access::admission::client_prefix;

/// Delay after the first failure. It doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(2);
/// Time without a failure after which an address counts as new.
const FORGET_AFTER: Duration = Duration::from_secs(30);
/// Maximum number of addresses that are remembered.
const ADDRESSES_MAX: usize = 4_096;

/// Addresses with recent failures. Loopback is not exempt: a bot that retries a wrong key without a
/// pause costs the same wherever it runs.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: HashMap<IpAddr, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// Returns the delay after this number of failures.
    fn delay(self) -> Duration {
        FIRST_DELAY.saturating_mul(1 << self.count.saturating_sub(1).min(16)).min(DELAY_MAX)
    }

    fn is_forgotten(self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGET_AFTER
    }
}

impl Throttle {
    /// Counts a wrong key from an address, and returns the delay before its rejection is sent.
    pub(crate) fn failed(&mut self, address: IpAddr, now: Instant) -> Duration {
        let address = client_prefix(address);
        if !self.failures.contains_key(&address) {
            self.make_room(now);
        }
        let failures = self.failures.entry(address).or_insert(Failures { count: 0, last: now });
        if failures.is_forgotten(now) {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
        failures.delay()
    }

    /// Returns how long the next handshake from an address should be delayed.
    pub(crate) fn delay(&self, address: IpAddr, now: Instant) -> Duration {
        match self.failures.get(&client_prefix(address)) {
            Some(failures) if !failures.is_forgotten(now) => failures.delay(),
            _ => Duration::ZERO,
        }
    }

    /// Forgets the failures of an address that has sent a right key.
    pub(crate) fn succeeded(&mut self, address: IpAddr) {
        self.failures.remove(&client_prefix(address));
    }

    /// Makes room for another address when the table is full: forgets all addresses whose failures
    /// are old, or else the one with the oldest failure.
    fn make_room(&mut self, now: Instant) {
        if self.failures.len() < ADDRESSES_MAX {
            return;
        }
        self.failures.retain(|_, failures| !failures.is_forgotten(now));
        if self.failures.len() < ADDRESSES_MAX {
            return;
        }
        let oldest = self.failures.iter().min_by_key(|(_, failures)| failures.last);
        if let Some(address) = oldest.map(|(address, _)| *address) {
            self.failures.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[expect(clippy::disallowed_methods, reason = "a start time; later times are computed from it")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn delay_doubles_to_two_seconds_and_is_forgotten() {
        let mut throttle = Throttle::default();
        let now = start();
        assert_eq!(throttle.delay(NEAR, now), Duration::ZERO);
        let delays: Vec<u128> = (0..7).map(|_| throttle.failed(NEAR, now).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(throttle.delay(NEAR, now), DELAY_MAX);
        assert_eq!(throttle.delay(NEAR, now + FORGET_AFTER), Duration::ZERO);
        assert_eq!(throttle.failed(NEAR, now + FORGET_AFTER), FIRST_DELAY);
    }

    #[test]
    fn right_key_clears_its_address_and_no_other() {
        let mut throttle = Throttle::default();
        let now = start();
        let far = IpAddr::from([192, 0, 2, 1]);
        throttle.failed(NEAR, now);
        throttle.failed(far, now);
        throttle.succeeded(NEAR);
        assert_eq!(throttle.delay(NEAR, now), Duration::ZERO);
        assert_eq!(throttle.delay(far, now), FIRST_DELAY);
    }

    #[test]
    fn one_machine_cannot_fill_the_table_with_its_ipv6_addresses() {
        let mut throttle = Throttle::default();
        let now = start();
        for last in 0..100 {
            throttle.failed(IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]), now);
        }
        assert_eq!(throttle.failures.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_are_kept() {
        let mut throttle = Throttle::default();
        let now = start();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let count = u32::try_from(ADDRESSES_MAX).unwrap() + 100;
        for n in 0..count {
            throttle.failed(address(n), now + Duration::from_micros(n.into()));
        }
        assert_eq!(throttle.failures.len(), ADDRESSES_MAX);
        assert_eq!(throttle.delay(address(0), now), Duration::ZERO);
        assert_eq!(throttle.delay(address(count - 1), now), FIRST_DELAY);
    }
}

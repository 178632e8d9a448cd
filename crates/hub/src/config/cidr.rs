//! Networks of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network of IP addresses in CIDR notation, such as `10.0.0.0/8`. An address alone is a network
/// of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix_bits: u32,
}

/// The text is not a [`Cidr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a network such as 10.0.0.0/8 or fd00::/8")]
pub struct CidrError;

impl Cidr {
    /// Returns whether the network contains an address. IPv4 addresses that are mapped to IPv6
    /// count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let [network, address] = [self.address, address.to_canonical()];
        if network.is_ipv4() != address.is_ipv4() {
            return false;
        }
        let differing = bits(network) ^ bits(address);
        // A shift by all 128 bits would overflow; no address differs then.
        differing.checked_shr(width(network) - self.prefix_bits).unwrap_or(0) == 0
    }
}

const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Returns the number of bits of an address.
const fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError)?;
        let address = if prefix.is_none() { address.to_canonical() } else { address };
        let prefix_bits =
            prefix.map_or_else(|| Ok(width(address)), str::parse).map_err(|_| CidrError)?;
        if prefix_bits > width(address) {
            return Err(CidrError);
        }
        Ok(Self { address, prefix_bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_contains_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", &["10.0.0.1", "10.255.255.255", "::ffff:10.1.2.3"][..], "11.0.0.0"),
            ("192.0.2.7", &["192.0.2.7"], "192.0.2.6"),
            ("192.0.2.7/31", &["192.0.2.7", "192.0.2.6"], "192.0.2.5"),
            ("0.0.0.0/0", &["0.0.0.0", "255.1.2.3"], "::1"),
            ("fd00::/8", &["fd00::1", "fdff::"], "fe00::1"),
            ("::/0", &["::1", "2001:db8::1"], "127.0.0.1"),
            ("::1", &["::1"], "::2"),
        ] {
            let network: Cidr = network.parse().unwrap();
            for address in inside {
                assert!(network.contains(address.parse().unwrap()), "{address} in {network}");
            }
            assert!(!network.contains(outside.parse().unwrap()), "{outside} in {network}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "10", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/-1", "host/8"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError), "{text}");
        }
    }
}

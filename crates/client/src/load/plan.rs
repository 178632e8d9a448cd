//! The plan of a load test.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tickwire_protocol::{Channel, Delivery, Feed, HubUrl, OnLag, Symbol, ValueError};

use crate::Token;

/// What a load test does: how many connections, what they subscribe to, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The hub under load.
    pub hub: HubUrl,
    /// The feed to subscribe to.
    pub feed: Feed,
    /// The key that each connection sends.
    pub token: Option<Token>,
    /// TLS settings for a hub at `wss://` or `https://`; `None` trusts the system's certificate
    /// authorities.
    pub tls: Option<Arc<ClientConfig>>,
    /// Number of connections.
    pub connections: usize,
    /// The symbols to choose from; at least one.
    pub symbols: Vec<Symbol>,
    /// How many of the symbols each connection subscribes to; at most as many as there are.
    pub per_connection: usize,
    /// The channels to subscribe to; at least one.
    pub channels: Vec<Channel>,
    /// Whether every tick is sent or only the newest.
    pub delivery: Delivery,
    /// What the hub does with a connection that lags; `None` leaves it to the hub.
    pub on_lag: Option<OnLag>,
    /// Time over which the connections are opened, evenly.
    pub ramp: Duration,
    /// Time between the last connection and the start of the measurement.
    pub warmup: Duration,
    /// Length of the measurement.
    pub duration: Duration,
    /// Number of threads that share the connections; at least one.
    pub threads: usize,
}

/// Returns `universe` symbols: `prefix0000`, `prefix0001`, …
///
/// # Errors
/// Fails if the prefix and a number do not make a symbol.
pub fn numbered_symbols(prefix: &str, universe: usize) -> Result<Vec<Symbol>, ValueError> {
    (0..universe).map(|number| Symbol::new(&format!("{prefix}{number:04}"))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a plan with one connection to `SYM0000`, `SYM0001`, … in trades and quotes; every
    /// duration is zero.
    pub(crate) fn plan(symbols: usize, per_connection: usize) -> Plan {
        Plan {
            hub: "ws://127.0.0.1:1".parse().unwrap(),
            feed: Feed::default(),
            token: None,
            tls: None,
            connections: 1,
            symbols: numbered_symbols("SYM", symbols).unwrap(),
            per_connection,
            channels: vec![Channel::Trades, Channel::Quotes],
            delivery: Delivery::Every,
            on_lag: None,
            ramp: Duration::ZERO,
            warmup: Duration::ZERO,
            duration: Duration::ZERO,
            threads: 1,
        }
    }
}

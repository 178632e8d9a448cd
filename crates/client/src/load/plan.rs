//! What a load test does.

use std::time::Duration;

use tickwire_protocol::{Channel, Delivery, Feed, OnLag, Symbol};

use crate::{HubUrl, Token};

/// What a load test does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The hub under load.
    pub hub: HubUrl,
    /// The market.
    pub feed: Feed,
    /// What the connections show to be let in.
    pub token: Option<Token>,
    /// How many connections.
    pub connections: usize,
    /// The symbols to choose from; at least one.
    pub symbols: Vec<Symbol>,
    /// How many of them each connection subscribes to, at most as many as there are.
    pub per_connection: usize,
    /// In which channels; at least one.
    pub channels: Vec<Channel>,
    /// Whether they want every tick or the newest.
    pub delivery: Delivery,
    /// What becomes of a connection that lags; `None` leaves it to the hub.
    pub on_lag: Option<OnLag>,
    /// Over what time the connections are opened, evenly.
    pub ramp: Duration,
    /// How long to wait after the last has been opened.
    pub warmup: Duration,
    /// How long to measure.
    pub duration: Duration,
    /// How many threads share the connections; at least one.
    pub threads: usize,
}

/// `prefix0000`, `prefix0001`, … `universe` symbols in all.
///
/// # Errors
/// If the prefix makes no symbols.
pub fn numbered(
    prefix: &str,
    universe: usize,
) -> Result<Vec<Symbol>, tickwire_protocol::ValueError> {
    (0..universe).map(|number| Symbol::new(&format!("{prefix}{number:04}"))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `SYM0000`, `SYM0001`, …; trades and quotes; no time for anything.
    pub(crate) fn plan(symbols: usize, per_connection: usize) -> Plan {
        Plan {
            hub: "ws://127.0.0.1:1".parse().unwrap(),
            feed: Feed::default(),
            token: None,
            connections: 1,
            symbols: numbered("SYM", symbols).unwrap(),
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

//! The symbols of the market, and which client subscribes to which.

use std::collections::HashMap;

use tickwire_feeder::{SimConfig, Simulator};

/// All symbols of the market, the most active first.
#[derive(Debug)]
pub(crate) struct Universe {
    symbols: Vec<String>,
    numbers: HashMap<Vec<u8>, usize>,
    /// Number of symbols of each client.
    names: usize,
    /// Distance between two symbols of a client.
    stride: usize,
}

impl Universe {
    /// Creates the simulator's market of `symbols` symbols, of which each client subscribes to
    /// `names`.
    pub(crate) fn new(symbols: usize, names: usize) -> Self {
        let market = Simulator::new(SimConfig { symbols, ..SimConfig::default() });
        let symbols: Vec<String> = market.symbols().map(|symbol| symbol.to_string()).collect();
        let numbers =
            symbols.iter().enumerate().map(|(number, name)| (name.as_bytes().to_vec(), number));
        let numbers = numbers.collect();
        let stride = symbols.len() / names;
        Self { symbols, numbers, names, stride }
    }

    pub(crate) const fn names(&self) -> usize {
        self.names
    }

    /// Returns the symbols of a client as the items of a JSON list. They include active and quiet
    /// ones.
    pub(crate) fn names_of(&self, client: usize) -> String {
        let first = client % self.stride;
        let names = (0..self.names).map(|name| &self.symbols[first + name * self.stride]);
        let quoted: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
        quoted.join(",")
    }

    /// Returns the number of a symbol among those of a client, or `None` if it is not one of them.
    pub(crate) fn name_of(&self, client: usize, symbol: &[u8]) -> Option<usize> {
        let number = *self.numbers.get(symbol)?;
        (number % self.stride == client % self.stride).then_some(number / self.stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_know_only_their_own_symbols() {
        let universe = Universe::new(1_000, 50);
        for client in [0, 19, 20, 777] {
            let names = universe.names_of(client);
            let names: Vec<&str> = names.split(',').map(|name| name.trim_matches('"')).collect();
            assert_eq!(names.len(), universe.names());
            for (number, name) in names.iter().enumerate() {
                assert_eq!(universe.name_of(client, name.as_bytes()), Some(number));
                assert_eq!(universe.name_of(client + 1, name.as_bytes()), None);
            }
        }
    }
}

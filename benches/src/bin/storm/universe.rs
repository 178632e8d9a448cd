//! The symbols there are, and which client wants which.

use std::collections::HashMap;

use tickwire_feeder::{SimConfig, Simulator};

/// All symbols of the market, the most active first.
#[derive(Debug)]
pub(crate) struct Universe {
    symbols: Vec<String>,
    numbers: HashMap<Vec<u8>, usize>,
    /// Names of a client, and how far they are apart.
    names: usize,
    stride: usize,
}

impl Universe {
    /// The market the simulator makes of so many symbols, of which each client wants some.
    pub(crate) fn new(symbols: usize, names: usize) -> Self {
        let market = Simulator::new(SimConfig { symbols, ..SimConfig::default() });
        let symbols: Vec<String> = market.symbols().map(|symbol| symbol.to_string()).collect();
        let numbers =
            symbols.iter().enumerate().map(|(number, name)| (name.as_bytes().to_vec(), number));
        let (numbers, stride) = (numbers.collect(), symbols.len() / names);
        Self { symbols, numbers, names, stride }
    }

    pub(crate) const fn names(&self) -> usize {
        self.names
    }

    /// The names of a client as a list of JSON. They are spread over busy and quiet symbols.
    pub(crate) fn names_of(&self, client: usize) -> String {
        let first = client % self.stride;
        let names = (0..self.names).map(|name| &self.symbols[first + name * self.stride]);
        let quoted: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
        quoted.join(",")
    }

    /// Which of its names a symbol is to a client; `None`: none.
    pub(crate) fn name_of(&self, client: usize, symbol: &[u8]) -> Option<usize> {
        let number = *self.numbers.get(symbol)?;
        (number % self.stride == client % self.stride).then_some(number / self.stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_know_their_names_and_no_others() {
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

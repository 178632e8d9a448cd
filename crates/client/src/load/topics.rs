//! Which connection subscribes to what, and where its numbers are kept.

use rustc_hash::FxHashMap;
use tickwire_protocol::{
    Channel, Command, Delivery, OnLag, Selection, SubscribeRequest, SubscriptionSet, Symbol,
};

use crate::load::Plan;

/// How far the symbols of neighbouring connections lie apart.
const SHIFT: usize = 7;

/// Connection `c` subscribes to the symbols `7 c + k * step`, `k` from 0 to `per_connection`: spread
/// over all of them, so that busy and quiet ones are mixed alike. A topic's place within a connection
/// then follows from arithmetic, and a connection keeps nothing but one number per topic.
#[derive(Debug)]
pub(crate) struct Topics {
    symbols: Vec<Symbol>,
    by_name: FxHashMap<Box<[u8]>, usize>,
    /// By distance from a connection's first symbol: the place among its symbols.
    places: Vec<Option<usize>>,
    per_connection: usize,
    channels: Vec<Channel>,
    /// By letter: the place among the channels.
    letters: [Option<u8>; 256],
    delivery: Delivery,
    on_lag: Option<OnLag>,
}

/// A topic as one connection sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the connection keeps its number.
    pub(crate) slot: usize,
    /// The same for all connections.
    pub(crate) topic: usize,
}

impl Topics {
    pub(crate) fn new(plan: &Plan) -> Self {
        let symbols = plan.symbols.clone();
        let by_name = symbols
            .iter()
            .enumerate()
            .map(|(index, symbol)| (symbol.as_bytes().into(), index))
            .collect();
        let per_connection = plan.per_connection.clamp(1, symbols.len().max(1));
        let step = (symbols.len() / per_connection).max(1);
        let mut places = vec![None; symbols.len()];
        for (place, distance) in (0..per_connection).map(|place| (place, place * step)) {
            places[distance] = Some(place);
        }
        let mut letters = [None; 256];
        for (place, channel) in (0..).zip(&plan.channels) {
            letters[usize::from(channel.letter().as_bytes()[0])] = Some(place);
        }
        let channels = plan.channels.clone();
        let (delivery, on_lag) = (plan.delivery, plan.on_lag);
        Self { symbols, by_name, places, per_connection, channels, letters, delivery, on_lag }
    }

    /// How many numbers a connection keeps.
    pub(crate) fn slots(&self) -> usize {
        self.per_connection * self.channels.len()
    }

    /// The index of a connection's first symbol.
    pub(crate) fn first(&self, connection: usize) -> usize {
        connection * SHIFT % self.symbols.len()
    }

    /// Where a tick belongs on a connection; `None` if it did not ask for it.
    #[inline]
    pub(crate) fn place(&self, first: usize, letter: u8, symbol: &[u8]) -> Option<Place> {
        let channel = usize::from(self.letters[usize::from(letter)]?);
        let symbol = *self.by_name.get(symbol)?;
        let distance =
            if symbol >= first { symbol - first } else { symbol + self.symbols.len() - first };
        let slot = self.places[distance]? * self.channels.len() + channel;
        Some(Place { slot, topic: symbol * self.channels.len() + channel })
    }

    /// The subscribe command of a connection.
    pub(crate) fn command(&self, first: usize) -> Vec<u8> {
        let wanted = self.places.iter().enumerate().filter(|(_, place)| place.is_some());
        let symbols = wanted
            .map(|(distance, _)| self.symbols[(first + distance) % self.symbols.len()])
            .collect();
        let selection = Selection { all: false, symbols };
        let mut names = SubscriptionSet::default();
        for channel in &self.channels {
            names[*channel] = selection.clone();
        }
        let (delivery, on_lag) = (self.delivery, self.on_lag);
        let mut text = Vec::new();
        let asked = SubscribeRequest { names, delivery, on_lag, ..SubscribeRequest::default() };
        Command::Subscribe(asked).write_json(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::tests::plan;

    #[test]
    fn every_name_of_a_command_has_a_slot_of_its_own() {
        for (symbols, per_connection) in
            [(500, 50), (500, 500), (7, 3), (1, 1), (10, 7), (500, 333)]
        {
            let topics = Topics::new(&plan(symbols, per_connection));
            for connection in [0, 1, 71, 72, 12_345] {
                let first = topics.first(connection);
                let text = topics.command(first);
                let Ok(Command::Subscribe(command)) = Command::from_json(&text) else { panic!() };
                let mut slots = Vec::new();
                for (channel, selection) in command.names.iter() {
                    let letter = channel.letter().as_bytes()[0];
                    let place =
                        |symbol: &Symbol| topics.place(first, letter, symbol.as_bytes()).unwrap();
                    slots.extend(selection.symbols.iter().map(|symbol| place(symbol).slot));
                }
                slots.sort_unstable();
                assert_eq!(slots, (0..2 * per_connection).collect::<Vec<_>>());
                assert_eq!(slots.len(), topics.slots());
            }
        }
    }

    #[test]
    fn command_asks_for_the_delivery_of_the_plan() {
        let delivery = Delivery::Latest { max_rate: None };
        let on_lag = Some(OnLag::Latest);
        let topics = Topics::new(&Plan { delivery, on_lag, ..plan(10, 1) });
        let Ok(Command::Subscribe(asked)) = Command::from_json(&topics.command(0)) else {
            panic!("a subscribe")
        };
        assert_eq!((asked.delivery, asked.on_lag), (delivery, on_lag));
    }

    #[test]
    fn what_was_not_asked_for_has_no_place() {
        let topics = Topics::new(&plan(100, 10));
        assert_eq!(topics.place(0, b'b', b"SYM0000"), None);
        assert_eq!(topics.place(0, b't', b"OTHER"), None);
        assert_eq!(topics.place(0, b't', b"SYM0001"), None);
        assert!(topics.place(0, b't', b"SYM0010").is_some());
    }
}

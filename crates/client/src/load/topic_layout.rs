//! Which connection subscribes to which topics, and where it keeps their sequence numbers.

use rustc_hash::FxHashMap;
use tickwire_protocol::{
    Channel, Command, Delivery, OnLag, Selection, SubscribeRequest, SubscriptionSet, Symbol,
};

use crate::load::Plan;

/// The distance between the first symbols of neighbouring connections in the list of symbols.
const SHIFT: usize = 7;

/// The topics of each connection.
///
/// Connection `c` subscribes to the symbols `7 c + k * step` for `k` from 0 to `per_connection`.
/// They are spread over all symbols, so that every connection has busy and quiet ones. The slot of
/// a topic on a connection then follows from arithmetic, and a connection stores one number per
/// topic.
#[derive(Debug)]
pub(crate) struct TopicLayout {
    symbols: Vec<Symbol>,
    by_name: FxHashMap<Box<[u8]>, usize>,
    /// By distance from a connection's first symbol: the index among the connection's symbols.
    by_distance: Vec<Option<usize>>,
    per_connection: usize,
    channels: Vec<Channel>,
    /// By letter: the index among `channels`.
    by_letter: [Option<u8>; 256],
    delivery: Delivery,
    on_lag: Option<OnLag>,
}

/// The two numbers of a topic on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicSlot {
    /// Index of the sequence number that the connection keeps of the topic.
    pub(crate) slot: usize,
    /// Number of the topic, which is the same on all connections.
    pub(crate) topic: usize,
}

impl TopicLayout {
    pub(crate) fn new(plan: &Plan) -> Self {
        let symbols = plan.symbols.clone();
        let by_name = symbols
            .iter()
            .enumerate()
            .map(|(index, symbol)| (symbol.as_bytes().into(), index))
            .collect();
        let per_connection = plan.per_connection.clamp(1, symbols.len().max(1));
        let step = (symbols.len() / per_connection).max(1);
        let mut by_distance = vec![None; symbols.len()];
        for index in 0..per_connection {
            by_distance[index * step] = Some(index);
        }
        let mut by_letter = [None; 256];
        for (index, channel) in (0..).zip(&plan.channels) {
            by_letter[usize::from(channel.letter().as_bytes()[0])] = Some(index);
        }
        Self {
            symbols,
            by_name,
            by_distance,
            per_connection,
            channels: plan.channels.clone(),
            by_letter,
            delivery: plan.delivery,
            on_lag: plan.on_lag,
        }
    }

    /// Returns the number of topics of a connection.
    pub(crate) fn slots(&self) -> usize {
        self.per_connection * self.channels.len()
    }

    /// Returns the index of a connection's first symbol.
    pub(crate) fn first_symbol(&self, connection: usize) -> usize {
        connection * SHIFT % self.symbols.len()
    }

    /// Returns the slot of a topic on the connection with this first symbol; `None` if the
    /// connection has not subscribed to it.
    #[inline]
    pub(crate) fn slot(&self, first: usize, letter: u8, symbol: &[u8]) -> Option<TopicSlot> {
        let channel = usize::from(self.by_letter[usize::from(letter)]?);
        let symbol = *self.by_name.get(symbol)?;
        let distance =
            if symbol >= first { symbol - first } else { symbol + self.symbols.len() - first };
        let slot = self.by_distance[distance]? * self.channels.len() + channel;
        Some(TopicSlot { slot, topic: symbol * self.channels.len() + channel })
    }

    /// Returns the subscribe command of the connection with this first symbol, as JSON.
    pub(crate) fn subscribe_command(&self, first: usize) -> Vec<u8> {
        let distances = (0..self.symbols.len()).filter(|at| self.by_distance[*at].is_some());
        let symbols = distances
            .map(|distance| self.symbols[(first + distance) % self.symbols.len()])
            .collect();
        let selection = Selection { all: false, symbols };
        let mut names = SubscriptionSet::default();
        for channel in &self.channels {
            names[*channel] = selection.clone();
        }
        let request = SubscribeRequest {
            names,
            delivery: self.delivery,
            on_lag: self.on_lag,
            ..SubscribeRequest::default()
        };
        let mut text = Vec::new();
        Command::Subscribe(request).write_json(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::tests::plan;

    #[test]
    fn every_name_of_a_command_has_its_own_slot() {
        for (symbols, per_connection) in
            [(500, 50), (500, 500), (7, 3), (1, 1), (10, 7), (500, 333)]
        {
            let layout = TopicLayout::new(&plan(symbols, per_connection));
            for connection in [0, 1, 71, 72, 12_345] {
                let first = layout.first_symbol(connection);
                let text = layout.subscribe_command(first);
                let Ok(Command::Subscribe(command)) = Command::from_json(&text) else { panic!() };
                let mut slots = Vec::new();
                for (channel, selection) in command.names.iter() {
                    let letter = channel.letter().as_bytes()[0];
                    slots.extend(
                        selection.symbols.iter().map(|symbol| {
                            layout.slot(first, letter, symbol.as_bytes()).unwrap().slot
                        }),
                    );
                }
                slots.sort_unstable();
                assert_eq!(slots, (0..2 * per_connection).collect::<Vec<_>>());
                assert_eq!(slots.len(), layout.slots());
            }
        }
    }

    #[test]
    fn command_asks_for_the_delivery_of_the_plan() {
        let delivery = Delivery::Latest { max_rate: None };
        let on_lag = Some(OnLag::Latest);
        let layout = TopicLayout::new(&Plan { delivery, on_lag, ..plan(10, 1) });
        let Ok(Command::Subscribe(request)) = Command::from_json(&layout.subscribe_command(0))
        else {
            panic!("a subscribe")
        };
        assert_eq!((request.delivery, request.on_lag), (delivery, on_lag));
    }

    #[test]
    fn topics_without_a_subscription_have_no_slot() {
        let layout = TopicLayout::new(&plan(100, 10));
        assert_eq!(layout.slot(0, b'b', b"SYM0000"), None);
        assert_eq!(layout.slot(0, b't', b"OTHER"), None);
        assert_eq!(layout.slot(0, b't', b"SYM0001"), None);
        assert!(layout.slot(0, b't', b"SYM0010").is_some());
    }
}

//! What the application wants to get.

use std::collections::BTreeSet;

use tickwire_protocol::{Channel, Names, PerChannel, Selection, Symbol, ValueError};

use crate::Topic;

/// Names for [`Client::subscribe`](crate::Client::subscribe): every symbol in every channel; `"*"` is
/// every symbol the hub has.
///
/// ```
/// use tickwire_client::{Channel, names};
///
/// let names = names(&[Channel::Trades, Channel::Quotes], ["AAPL", "MSFT"])?;
/// assert_eq!(names.total(), 4);
/// # Ok::<(), tickwire_client::ValueError>(())
/// ```
///
/// # Errors
/// If a name is neither a symbol nor `"*"`.
pub fn names<'a>(
    channels: &[Channel],
    symbols: impl IntoIterator<Item = &'a str>,
) -> Result<Names, ValueError> {
    let mut selection = Selection::default();
    for symbol in symbols {
        selection.add(symbol)?;
    }
    let mut names = Names::default();
    for channel in channels {
        names[*channel] = selection.clone();
    }
    Ok(names)
}

/// Most names in one command, so that it stays well below the hub's limit of 1 MiB.
const NAMES_PER_COMMAND: usize = 20_000;

/// The set of names that is asked for again after a reconnect.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    channels: PerChannel<Channelled>,
}

#[derive(Debug, Default)]
struct Channelled {
    all: bool,
    symbols: BTreeSet<Symbol>,
}

impl Wanted {
    /// Adds names; those that were not there before come back.
    pub(crate) fn add(&mut self, names: &Names) -> Names {
        let mut added = Names::default();
        for (channel, selection) in names.iter() {
            let has = &mut self.channels[channel];
            added[channel].all = selection.all && !has.all;
            has.all |= selection.all;
            added[channel].symbols = selection
                .symbols
                .iter()
                .copied()
                .filter(|symbol| has.symbols.insert(*symbol))
                .collect();
        }
        added
    }

    /// Takes names away.
    pub(crate) fn remove(&mut self, names: &Names) {
        for (channel, selection) in names.iter() {
            let has = &mut self.channels[channel];
            has.all &= !selection.all;
            for symbol in &selection.symbols {
                has.symbols.remove(symbol);
            }
        }
    }

    /// Whether ticks of a topic are asked for.
    pub(crate) fn covers(&self, topic: &Topic) -> bool {
        let has = &self.channels[topic.channel];
        has.all || has.symbols.contains(&topic.symbol)
    }

    /// All names.
    pub(crate) fn names(&self) -> Names {
        let mut names = Names::default();
        for (channel, has) in self.channels.iter() {
            names[channel] =
                Selection { all: has.all, symbols: has.symbols.iter().copied().collect() };
        }
        names
    }
}

/// Cuts names into pieces that fit one command each; nothing gives no piece.
pub(crate) fn pieces(names: &Names) -> Vec<Names> {
    let mut pieces = Vec::new();
    let mut piece = Names::default();
    let mut room = NAMES_PER_COMMAND;
    for (channel, selection) in names.iter() {
        piece[channel].all = selection.all;
        for symbol in &selection.symbols {
            if room == 0 {
                pieces.push(std::mem::take(&mut piece));
                room = NAMES_PER_COMMAND;
            }
            piece[channel].symbols.push(*symbol);
            room -= 1;
        }
    }
    if piece.total() > 0 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADES: &[Channel] = &[Channel::Trades];

    #[test]
    fn only_new_names_come_back() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.add(&names(TRADES, ["A", "B"]).unwrap()).total(), 2);
        let added = wanted.add(&names(TRADES, ["B", "C", "*"]).unwrap());
        assert_eq!(added, names(TRADES, ["C", "*"]).unwrap());
        assert_eq!(wanted.names().total(), 4);
        wanted.remove(&names(TRADES, ["*", "A"]).unwrap());
        assert_eq!(wanted.names(), names(TRADES, ["B", "C"]).unwrap());
    }

    #[test]
    fn every_symbol_covers_each_of_them() {
        let mut wanted = Wanted::default();
        let topic = |channel| Topic { symbol: Symbol::new("X").unwrap(), channel };
        wanted.add(&names(TRADES, ["*"]).unwrap());
        assert!(wanted.covers(&topic(Channel::Trades)));
        assert!(!wanted.covers(&topic(Channel::Quotes)));
    }

    #[test]
    fn pieces_hold_every_name_once() {
        let symbols: Vec<String> =
            (0..NAMES_PER_COMMAND * 3 / 2).map(|n| format!("S{n}")).collect();
        let all = names(
            &[Channel::Trades, Channel::Quotes],
            symbols.iter().map(String::as_str).chain(["*"]),
        )
        .unwrap();
        let pieces = pieces(&all);
        assert_eq!(pieces.len(), 3);
        let mut wanted = Wanted::default();
        for piece in &pieces {
            assert!(piece.total() <= NAMES_PER_COMMAND + Channel::COUNT);
            assert_eq!(wanted.add(piece), *piece);
        }
        assert_eq!(wanted.names().total(), all.total());
        assert!(super::pieces(&Names::default()).is_empty());
    }
}

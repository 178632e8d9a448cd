//! What the application wants to get.

use std::collections::BTreeMap;

use tickwire_protocol::{
    Channel, Delivery, Mode, Names, PerChannel, Selection, Symbol, ValueError,
};

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

/// Names, and how each is delivered.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    channels: PerChannel<Channelled>,
}

#[derive(Debug, Default)]
struct Channelled {
    all: Option<Delivery>,
    symbols: BTreeMap<Symbol, Delivery>,
}

/// What a name was before it was added: not there, or delivered in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    channel: Channel,
    /// `None` is `"*"`.
    symbol: Option<Symbol>,
    delivery: Option<Delivery>,
}

impl Channelled {
    /// The delivery of a name, after that of `"*"` or of a symbol was set; `None` takes it away.
    fn set(&mut self, symbol: Option<Symbol>, delivery: Option<Delivery>) -> Option<Delivery> {
        match (symbol, delivery) {
            (None, delivery) => std::mem::replace(&mut self.all, delivery),
            (Some(symbol), Some(delivery)) => self.symbols.insert(symbol, delivery),
            (Some(symbol), None) => self.symbols.remove(&symbol),
        }
    }
}

impl Wanted {
    /// Adds names; what those were that it changed comes back.
    pub(crate) fn add(&mut self, names: &Names, delivery: Delivery) -> Vec<Before> {
        let mut changed = Vec::new();
        for (channel, symbol) in each(names) {
            let delivery = Some(delivery.on(channel));
            let before = self.channels[channel].set(symbol, delivery);
            if before != delivery {
                changed.push(Before { channel, symbol, delivery: before });
            }
        }
        changed
    }

    /// Takes back what [`Wanted::add`] changed, where nothing has changed it again.
    pub(crate) fn undo(&mut self, changed: &[Before], delivery: Delivery) {
        for Before { channel, symbol, delivery: before } in changed {
            let has = &mut self.channels[*channel];
            let now = match symbol {
                Some(symbol) => has.symbols.get(symbol).copied(),
                None => has.all,
            };
            if now == Some(delivery.on(*channel)) {
                has.set(*symbol, *before);
            }
        }
    }

    /// Takes names away.
    pub(crate) fn remove(&mut self, names: &Names) {
        for (channel, symbol) in each(names) {
            self.channels[channel].set(symbol, None);
        }
    }

    /// How ticks of a topic are delivered; a name beats `"*"`. `None` if they are not asked for.
    pub(crate) fn delivery(&self, topic: &Topic) -> Option<Delivery> {
        let has = &self.channels[topic.channel];
        has.symbols.get(&topic.symbol).copied().or(has.all)
    }

    /// Whether ticks of a topic are asked for.
    pub(crate) fn covers(&self, topic: &Topic) -> bool {
        self.delivery(topic).is_some()
    }

    /// Turns every name to delivery `latest`, as the hub does when the session lags.
    pub(crate) fn degrade(&mut self) {
        for channel in Channel::ALL {
            let latest = Delivery::Latest { max_rate: None }.on(channel);
            let has = &mut self.channels[channel];
            has.all = has.all.map(|_| latest);
            has.symbols.values_mut().for_each(|delivery| *delivery = latest);
        }
    }

    /// All names, in groups of the same delivery.
    pub(crate) fn modes(&self) -> Vec<Mode> {
        let mut modes = Vec::<Mode>::new();
        for (channel, has) in self.channels.iter() {
            let symbols = has.symbols.iter().map(|(symbol, delivery)| (Some(*symbol), *delivery));
            for (symbol, delivery) in
                has.all.map(|delivery| (None, delivery)).into_iter().chain(symbols)
            {
                let place = modes.iter().position(|mode| mode.delivery == delivery);
                let place = place.unwrap_or_else(|| {
                    modes.push(Mode { delivery, names: Names::default() });
                    modes.len() - 1
                });
                let selection = &mut modes[place].names[channel];
                match symbol {
                    Some(symbol) => selection.symbols.push(symbol),
                    None => selection.all = true,
                }
            }
        }
        modes
    }
}

/// Every name with its channel; `None` is `"*"`.
pub(crate) fn each(names: &Names) -> impl Iterator<Item = (Channel, Option<Symbol>)> {
    names.iter().flat_map(|(channel, selection)| {
        let all = selection.all.then_some(None);
        let symbols = selection.symbols.iter().copied().map(Some);
        all.into_iter().chain(symbols).map(move |symbol| (channel, symbol))
    })
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

    const LATEST: Delivery = Delivery::Latest { max_rate: None };

    fn topic(symbol: &str, channel: Channel) -> Topic {
        Topic { symbol: Symbol::new(symbol).unwrap(), channel }
    }

    fn modes(wanted: &Wanted) -> Vec<(Delivery, Names)> {
        wanted.modes().into_iter().map(|mode| (mode.delivery, mode.names)).collect()
    }

    #[test]
    fn refused_names_are_again_what_they_were() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.add(&names(TRADES, ["A", "B"]).unwrap(), Delivery::Every).len(), 2);
        let before = modes(&wanted);
        let changed = wanted.add(&names(TRADES, ["B", "C", "*"]).unwrap(), LATEST);
        assert_eq!(changed.len(), 3);
        assert!(wanted.add(&names(TRADES, ["C"]).unwrap(), LATEST).is_empty(), "it is there");
        wanted.undo(&changed, LATEST);
        assert_eq!(modes(&wanted), before);
        let changed = wanted.add(&names(TRADES, ["A"]).unwrap(), LATEST);
        wanted.add(&names(TRADES, ["A"]).unwrap(), Delivery::Every);
        wanted.undo(&changed, LATEST);
        assert_eq!(modes(&wanted), before, "what came later stays");
    }

    #[test]
    fn name_beats_every_symbol_and_the_last_delivery_counts() {
        let mut wanted = Wanted::default();
        wanted.add(&names(TRADES, ["*"]).unwrap(), LATEST);
        wanted.add(&names(TRADES, ["A"]).unwrap(), Delivery::Every);
        let delivery = |wanted: &Wanted, symbol| wanted.delivery(&topic(symbol, Channel::Trades));
        assert_eq!(delivery(&wanted, "A"), Some(Delivery::Every));
        assert_eq!(delivery(&wanted, "X"), Some(LATEST));
        assert!(!wanted.covers(&topic("X", Channel::Quotes)));
        wanted.add(&names(TRADES, ["A"]).unwrap(), LATEST);
        assert_eq!(modes(&wanted), [(LATEST, names(TRADES, ["*", "A"]).unwrap())]);
        wanted.remove(&names(TRADES, ["*"]).unwrap());
        assert_eq!(delivery(&wanted, "X"), None);
    }

    #[test]
    fn corrections_are_always_delivered_every() {
        let channels = [Channel::Trades, Channel::Corrections, Channel::CancelErrors];
        let mut wanted = Wanted::default();
        wanted.add(&names(&channels, ["A"]).unwrap(), LATEST);
        wanted.degrade();
        assert_eq!(wanted.delivery(&topic("A", Channel::Trades)), Some(LATEST));
        for channel in &channels[1..] {
            assert_eq!(wanted.delivery(&topic("A", *channel)), Some(Delivery::Every));
        }
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
            assert_eq!(wanted.add(piece, Delivery::Every).len(), piece.total());
        }
        assert_eq!(wanted.modes()[0].names.total(), all.total());
        assert!(super::pieces(&Names::default()).is_empty());
    }
}

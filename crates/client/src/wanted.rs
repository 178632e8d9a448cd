//! What the application wants to get.

use std::collections::BTreeMap;

use tickwire_protocol::{
    Channel, Delivery, PerChannel, Replay, Selection, SubscriptionSet, Symbol, ValueError,
};

use crate::{Position, Topic};

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
) -> Result<SubscriptionSet, ValueError> {
    let mut selection = Selection::default();
    for symbol in symbols {
        selection.add(symbol)?;
    }
    let mut names = SubscriptionSet::default();
    for channel in channels {
        names[*channel] = selection.clone();
    }
    Ok(names)
}

/// Most names in one command, so that it stays well below the hub's limit of 1 MiB.
const NAMES_PER_COMMAND: usize = 20_000;

/// Where the ticks of a name begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// Now, perhaps with the last value.
    Now,
    /// With what has been.
    Replay(Replay),
    /// Behind a position that the application brought.
    Behind(Position),
    /// They have begun: the name continues where the session stands.
    Begun,
}

/// How a name is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) delivery: Delivery,
    pub(crate) start: Start,
}

/// Names that are wanted in the same way.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) how: How,
    pub(crate) names: SubscriptionSet,
}

/// Names, and how each is wanted.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    channels: PerChannel<Channelled>,
}

#[derive(Debug, Default)]
struct Channelled {
    all: Option<How>,
    symbols: BTreeMap<Symbol, How>,
}

/// What a name was before it was added: not there, or wanted in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    channel: Channel,
    /// `None` is `"*"`.
    symbol: Option<Symbol>,
    how: Option<How>,
}

impl Channelled {
    fn get_mut(&mut self, symbol: Option<Symbol>) -> Option<&mut How> {
        match symbol {
            None => self.all.as_mut(),
            Some(symbol) => self.symbols.get_mut(&symbol),
        }
    }

    /// How a name was wanted, after that of `"*"` or of a symbol was set; `None` takes it away.
    fn set(&mut self, symbol: Option<Symbol>, how: Option<How>) -> Option<How> {
        match (symbol, how) {
            (None, how) => std::mem::replace(&mut self.all, how),
            (Some(symbol), Some(how)) => self.symbols.insert(symbol, how),
            (Some(symbol), None) => self.symbols.remove(&symbol),
        }
    }
}

impl Wanted {
    /// Adds names; what those were that it changed comes back. A name that has begun and is to be
    /// delivered as it is stays as it is.
    pub(crate) fn add(&mut self, names: &SubscriptionSet, how: &How) -> Vec<Before> {
        let mut changed = Vec::new();
        for (channel, symbol) in each(names) {
            let how = How { delivery: how.delivery.for_channel(channel), ..how.clone() };
            let has = &mut self.channels[channel];
            if has.get_mut(symbol).is_some_and(|has| {
                *has == how || (has.start == Start::Begun && has.delivery == how.delivery)
            }) {
                continue;
            }
            let before = has.set(symbol, Some(how));
            changed.push(Before { channel, symbol, how: before });
        }
        changed
    }

    /// Takes back what [`Wanted::add`] changed, where nothing has changed it again.
    pub(crate) fn undo(&mut self, changed: Vec<Before>, delivery: Delivery) {
        for Before { channel, symbol, how: before } in changed {
            let has = &mut self.channels[channel];
            let now = has.get_mut(symbol).map(|how| how.delivery);
            if now == Some(delivery.for_channel(channel)) {
                has.set(symbol, before);
            }
        }
    }

    /// Takes names away.
    pub(crate) fn remove(&mut self, names: &SubscriptionSet) {
        for (channel, symbol) in each(names) {
            self.channels[channel].set(symbol, None);
        }
    }

    /// The ticks of names have begun. Whether some of them can be continued: every tick of theirs
    /// comes.
    pub(crate) fn begin(&mut self, names: &SubscriptionSet) -> bool {
        let mut every = false;
        for (channel, symbol) in each(names) {
            if let Some(how) = self.channels[channel].get_mut(symbol)
                && how.delivery == Delivery::Every
            {
                how.start = Start::Begun;
                every = true;
            }
        }
        every
    }

    /// The session stands nowhere any more: what has begun starts in this way again.
    pub(crate) fn interrupt(&mut self, start: &Start) {
        for channel in Channel::ALL {
            let has = &mut self.channels[channel];
            let ways = has.all.iter_mut().chain(has.symbols.values_mut());
            for how in ways.filter(|how| how.start == Start::Begun) {
                how.start = start.clone();
            }
        }
    }

    /// How ticks of a topic are delivered; a name beats `"*"`. `None` if they are not asked for.
    pub(crate) fn delivery(&self, topic: &Topic) -> Option<Delivery> {
        let has = &self.channels[topic.channel];
        has.symbols.get(&topic.symbol).or(has.all.as_ref()).map(|how| how.delivery)
    }

    /// Whether a topic is asked for by its own name.
    pub(crate) fn names(&self, topic: &Topic) -> bool {
        self.channels[topic.channel].symbols.contains_key(&topic.symbol)
    }

    /// Whether there is a name that comes as `latest` here and is wanted tick by tick there.
    pub(crate) fn lags(&self, wanted: &Self) -> bool {
        let lags = |(has, wanted): (&How, &How)| {
            has.delivery != Delivery::Every && wanted.delivery == Delivery::Every
        };
        self.channels.iter().any(|(channel, has)| {
            let wanted = &wanted.channels[channel];
            has.all.as_ref().zip(wanted.all.as_ref()).is_some_and(lags)
                || has.symbols.iter().any(|(symbol, has)| {
                    wanted.symbols.get(symbol).is_some_and(|how| lags((has, how)))
                })
        })
    }

    /// Whether ticks of a topic are asked for.
    pub(crate) fn covers(&self, topic: &Topic) -> bool {
        self.delivery(topic).is_some()
    }

    /// Whether there is a name that continues where the session stands.
    pub(crate) fn has_begun(&self) -> bool {
        self.channels.iter().any(|(_, has)| {
            has.all.iter().chain(has.symbols.values()).any(|how| how.start == Start::Begun)
        })
    }

    /// Turns every name to delivery `latest`, as the hub does when the session lags.
    pub(crate) fn degrade(&mut self) {
        for channel in Channel::ALL {
            let latest = Delivery::Latest { max_rate: None }.for_channel(channel);
            let has = &mut self.channels[channel];
            for how in has.all.iter_mut().chain(has.symbols.values_mut()) {
                how.delivery = latest;
            }
        }
    }

    /// All names, in groups of the same way.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::<Group>::new();
        for (channel, has) in self.channels.iter() {
            let symbols = has.symbols.iter().map(|(symbol, how)| (Some(*symbol), how));
            for (symbol, how) in has.all.iter().map(|how| (None, how)).chain(symbols) {
                let place = groups.iter().position(|group| group.how == *how);
                let place = place.unwrap_or_else(|| {
                    groups.push(Group { how: how.clone(), names: SubscriptionSet::default() });
                    groups.len() - 1
                });
                let selection = &mut groups[place].names[channel];
                match symbol {
                    Some(symbol) => selection.symbols.push(symbol),
                    None => selection.all = true,
                }
            }
        }
        groups
    }
}

/// Every name with its channel; `None` is `"*"`.
pub(crate) fn each(names: &SubscriptionSet) -> impl Iterator<Item = (Channel, Option<Symbol>)> {
    names.iter().flat_map(|(channel, selection)| {
        let all = selection.all.then_some(None);
        let symbols = selection.symbols.iter().copied().map(Some);
        all.into_iter().chain(symbols).map(move |symbol| (channel, symbol))
    })
}

/// Cuts names into pieces that fit one command each; nothing gives no piece.
pub(crate) fn pieces(names: &SubscriptionSet) -> Vec<SubscriptionSet> {
    let mut pieces = Vec::new();
    let mut piece = SubscriptionSet::default();
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
mod tests;

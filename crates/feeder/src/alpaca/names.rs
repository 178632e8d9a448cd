//! Names as a set: symbols of channels, and `"*"` of channels.

use std::collections::BTreeSet;

use tickwire_protocol::{Channel, SubscriptionSet, Symbol};

/// A symbol of a channel; `None` for `"*"`, every symbol.
pub(super) type Name = (Channel, Option<Symbol>);

/// Several of them, in the order of the channels.
pub(super) type NameSet = BTreeSet<Name>;

/// Every name there is in a selection.
pub(super) fn each(names: &SubscriptionSet) -> impl Iterator<Item = Name> {
    names.iter().flat_map(|(channel, selection)| {
        let all = selection.all.then_some((channel, None));
        all.into_iter().chain(selection.symbols.iter().map(move |&symbol| (channel, Some(symbol))))
    })
}

/// As the wire has them.
pub(super) fn collect(names: impl IntoIterator<Item = Name>) -> SubscriptionSet {
    let mut collected = SubscriptionSet::default();
    for (channel, symbol) in names {
        match symbol {
            Some(symbol) => collected[channel].symbols.push(symbol),
            None => collected[channel].all = true,
        }
    }
    collected
}

/// The channel one subscribes to in order to get this one: corrections and cancels come with trades.
pub(super) const fn carrier(channel: Channel) -> Channel {
    match channel {
        Channel::Corrections | Channel::CancelErrors => Channel::Trades,
        other => other,
    }
}

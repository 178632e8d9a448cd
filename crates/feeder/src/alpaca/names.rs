//! Sets of names: symbols of channels, and `"*"` of channels.

use std::collections::BTreeSet;

use tickwire_protocol::{Channel, SubscriptionSet, Symbol};

/// A symbol of a channel, or `None` for `"*"` (every symbol).
pub(super) type Name = (Channel, Option<Symbol>);

/// A set of names, sorted by channel and then by symbol, with `"*"` first.
pub(super) type NameSet = BTreeSet<Name>;

/// What the hub's subscribers demand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Demand {
    pub(super) names: NameSet,
    /// What each client demands. The hub reports it while the upstream is full.
    pub(super) clients: Vec<NameSet>,
}

/// Iterates over the names of a subscription set.
pub(super) fn each(names: &SubscriptionSet) -> impl Iterator<Item = Name> {
    names.iter().flat_map(|(channel, selection)| {
        let all = selection.all.then_some((channel, None));
        all.into_iter().chain(selection.symbols.iter().map(move |&symbol| (channel, Some(symbol))))
    })
}

/// Converts names to a subscription set.
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

/// Returns the channel to subscribe to in order to receive this one: corrections and cancels are
/// sent with trades.
pub(super) const fn carrier(channel: Channel) -> Channel {
    match channel {
        Channel::Corrections | Channel::CancelErrors => Channel::Trades,
        other => other,
    }
}

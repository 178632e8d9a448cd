//! The names that an application has subscribed to, and the options of each.

use std::collections::BTreeMap;

use tickwire_protocol::{
    Channel, Delivery, PerChannel, Replay, Selection, SubscriptionSet, Symbol, ValueError,
};

use crate::{Position, Topic};

/// Makes the names for [`Client::subscribe`](crate::Client::subscribe): every symbol in every
/// channel. `"*"` stands for all symbols.
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
/// Fails if a name is neither a symbol nor `"*"`.
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

/// The most names in one command, so that the command stays well below the hub's limit of 1 MiB.
const NAMES_PER_COMMAND: usize = 20_000;

/// Where the ticks of a name begin when it is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the next tick, after a snapshot if there is one.
    Now,
    /// With the ticks of a replay.
    Replay(Replay),
    /// After a position that the application passed to [`Client::resume`](crate::Client::resume).
    After(Position),
    /// After the session's own position. This is the start of a name once the hub has answered its
    /// subscribe: a reconnect then continues it.
    Started,
}

/// The options of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscribeOptions {
    pub(crate) delivery: Delivery,
    pub(crate) start: Start,
}

/// Names that have the same options.
#[derive(Debug)]
pub(crate) struct SubscriptionGroup {
    pub(crate) options: SubscribeOptions,
    pub(crate) names: SubscriptionSet,
}

/// The names that should be subscribed to, and the options of each.
#[derive(Debug, Default)]
pub(crate) struct DesiredSubscriptions {
    channels: PerChannel<ChannelSubscriptions>,
}

/// The names of one channel.
#[derive(Debug, Default)]
struct ChannelSubscriptions {
    /// The options of `"*"`, if it is subscribed to.
    wildcard: Option<SubscribeOptions>,
    symbols: BTreeMap<Symbol, SubscribeOptions>,
}

/// The options of a name before [`DesiredSubscriptions::add`] changed them, so that the change can
/// be reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreviousOptions {
    channel: Channel,
    /// The symbol; `None` stands for `"*"`.
    symbol: Option<Symbol>,
    /// Its previous options; `None` if the name was not subscribed to.
    options: Option<SubscribeOptions>,
}

impl ChannelSubscriptions {
    /// Returns the options of a symbol, or of `"*"` for `None`.
    fn get_mut(&mut self, symbol: Option<Symbol>) -> Option<&mut SubscribeOptions> {
        match symbol {
            None => self.wildcard.as_mut(),
            Some(symbol) => self.symbols.get_mut(&symbol),
        }
    }

    /// Sets the options of a symbol, or of `"*"` for `None`, and returns the previous ones. Options
    /// of `None` remove the name.
    fn set(
        &mut self,
        symbol: Option<Symbol>,
        options: Option<SubscribeOptions>,
    ) -> Option<SubscribeOptions> {
        match (symbol, options) {
            (None, options) => std::mem::replace(&mut self.wildcard, options),
            (Some(symbol), Some(options)) => self.symbols.insert(symbol, options),
            (Some(symbol), None) => self.symbols.remove(&symbol),
        }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut SubscribeOptions> {
        self.wildcard.iter_mut().chain(self.symbols.values_mut())
    }
}

impl DesiredSubscriptions {
    /// Adds names. Returns the previous options of those that changed. A name that has started does
    /// not change unless its delivery does.
    pub(crate) fn add(
        &mut self,
        names: &SubscriptionSet,
        options: &SubscribeOptions,
    ) -> Vec<PreviousOptions> {
        let mut changed = Vec::new();
        for (channel, symbol) in each_name(names) {
            let delivery = options.delivery.for_channel(channel);
            let options = SubscribeOptions { delivery, ..options.clone() };
            let subscriptions = &mut self.channels[channel];
            if subscriptions.get_mut(symbol).is_some_and(|present| {
                *present == options
                    || (present.start == Start::Started && present.delivery == delivery)
            }) {
                continue;
            }
            let previous = subscriptions.set(symbol, Some(options));
            changed.push(PreviousOptions { channel, symbol, options: previous });
        }
        changed
    }

    /// Reverts a change of [`DesiredSubscriptions::add`] that set this delivery. Names that have
    /// another delivery by now are left as they are.
    pub(crate) fn revert(&mut self, changed: Vec<PreviousOptions>, delivery: Delivery) {
        for PreviousOptions { channel, symbol, options: previous } in changed {
            let subscriptions = &mut self.channels[channel];
            let present = subscriptions.get_mut(symbol).map(|options| options.delivery);
            if present == Some(delivery.for_channel(channel)) {
                subscriptions.set(symbol, previous);
            }
        }
    }

    /// Removes names.
    pub(crate) fn remove(&mut self, names: &SubscriptionSet) {
        for (channel, symbol) in each_name(names) {
            self.channels[channel].set(symbol, None);
        }
    }

    /// Marks names as started. Returns whether some of them can be resumed, which only names of
    /// delivery `every` can.
    pub(crate) fn mark_started(&mut self, names: &SubscriptionSet) -> bool {
        let mut any = false;
        for (channel, symbol) in each_name(names) {
            if let Some(options) = self.channels[channel].get_mut(symbol)
                && options.delivery == Delivery::Every
            {
                options.start = Start::Started;
                any = true;
            }
        }
        any
    }

    /// Makes the names that have started begin with `start` again, because the session has lost its
    /// position.
    pub(crate) fn restart_from(&mut self, start: &Start) {
        for channel in Channel::ALL {
            let started =
                self.channels[channel].iter_mut().filter(|options| options.start == Start::Started);
            started.for_each(|options| options.start = start.clone());
        }
    }

    /// Returns the delivery of a topic; `None` if no name covers it. The symbol's own name takes
    /// precedence over `"*"`.
    pub(crate) fn delivery(&self, topic: &Topic) -> Option<Delivery> {
        let ChannelSubscriptions { wildcard, symbols } = &self.channels[topic.channel];
        symbols.get(&topic.symbol).or(wildcard.as_ref()).map(|options| options.delivery)
    }

    /// Returns whether a topic is subscribed to by its own name.
    pub(crate) fn has_name_of(&self, topic: &Topic) -> bool {
        self.channels[topic.channel].symbols.contains_key(&topic.symbol)
    }

    /// Returns whether some name is delivered `latest` here although `desired` asks for `every`.
    pub(crate) fn is_downgraded_from(&self, desired: &Self) -> bool {
        let is_downgraded = |(present, desired): (&SubscribeOptions, &SubscribeOptions)| {
            present.delivery != Delivery::Every && desired.delivery == Delivery::Every
        };
        self.channels.iter().any(|(channel, present)| {
            let desired = &desired.channels[channel];
            present.wildcard.as_ref().zip(desired.wildcard.as_ref()).is_some_and(is_downgraded)
                || present.symbols.iter().any(|(symbol, options)| {
                    desired.symbols.get(symbol).is_some_and(|other| is_downgraded((options, other)))
                })
        })
    }

    /// Returns whether a topic is subscribed to, by its symbol or by `"*"`.
    pub(crate) fn covers(&self, topic: &Topic) -> bool {
        self.delivery(topic).is_some()
    }

    /// Returns whether at least one name has started ([`Start::Started`]).
    pub(crate) fn has_started(&self) -> bool {
        self.channels.iter().any(|(_, subscriptions)| {
            let ChannelSubscriptions { wildcard, symbols } = subscriptions;
            wildcard.iter().chain(symbols.values()).any(|options| options.start == Start::Started)
        })
    }

    /// Changes every name to delivery `latest`, as the hub does when the session lags.
    pub(crate) fn downgrade_to_latest(&mut self) {
        for channel in Channel::ALL {
            let latest = Delivery::Latest { max_rate: None }.for_channel(channel);
            self.channels[channel].iter_mut().for_each(|options| options.delivery = latest);
        }
    }

    /// Returns all names, grouped by their options.
    pub(crate) fn groups(&self) -> Vec<SubscriptionGroup> {
        let mut groups = Vec::<SubscriptionGroup>::new();
        for (channel, ChannelSubscriptions { wildcard, symbols }) in self.channels.iter() {
            let symbols = symbols.iter().map(|(symbol, options)| (Some(*symbol), options));
            let all = wildcard.iter().map(|options| (None, options)).chain(symbols);
            for (symbol, options) in all {
                let index = groups.iter().position(|group| group.options == *options);
                let index = index.unwrap_or_else(|| {
                    let names = SubscriptionSet::default();
                    groups.push(SubscriptionGroup { options: options.clone(), names });
                    groups.len() - 1
                });
                let selection = &mut groups[index].names[channel];
                match symbol {
                    Some(symbol) => selection.symbols.push(symbol),
                    None => selection.all = true,
                }
            }
        }
        groups
    }
}

/// Returns each name with its channel; `None` stands for `"*"`.
pub(crate) fn each_name(
    names: &SubscriptionSet,
) -> impl Iterator<Item = (Channel, Option<Symbol>)> {
    names.iter().flat_map(|(channel, selection)| {
        let all = selection.all.then_some(None);
        let symbols = selection.symbols.iter().copied().map(Some);
        all.into_iter().chain(symbols).map(move |symbol| (channel, symbol))
    })
}

/// Splits names into parts that fit one command each. An empty set has no parts.
pub(crate) fn split_by_command(names: &SubscriptionSet) -> Vec<SubscriptionSet> {
    let mut parts = Vec::new();
    let mut part = SubscriptionSet::default();
    let mut room = NAMES_PER_COMMAND;
    for (channel, selection) in names.iter() {
        part[channel].all = selection.all;
        for symbol in &selection.symbols {
            if room == 0 {
                parts.push(std::mem::take(&mut part));
                room = NAMES_PER_COMMAND;
            }
            part[channel].symbols.push(*symbol);
            room -= 1;
        }
    }
    if part.total() > 0 {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests;

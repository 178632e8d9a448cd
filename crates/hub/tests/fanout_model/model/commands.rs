//! The commands subscribe, unsubscribe and list.

use std::collections::BTreeSet;

use tickwire_protocol::{
    Channel, Control, Delivery, DeliveryGroup, ErrorCode, PerChannel, SubscriptionSet, Symbol, Tick,
};

use super::session::{Item, Session, comparable, error};
use super::{Key, NAMES, NAMES_PER_SESSION, Name, RATES_PER_SESSION, Shard};
use crate::ops::{self, SubscribeArgs};

impl Shard {
    pub(crate) fn subscribe(&mut self, slot: u32, args: &SubscribeArgs, id: Option<u64>) {
        let now_ns = self.now_ns;
        let held: usize = self.sessions.values().map(Session::total).sum();
        let waiting = self.waiting();
        let session = self.sessions.get_mut(&slot).unwrap();
        if session.detached {
            return;
        }
        let (named, wildcards) = split(&args.names);
        let known = |(channel, symbol): &Name| {
            let key = (session.feed, *channel, *symbol);
            self.last.contains_key(&key) || waiting.contains(&key)
        };
        let unknown = named.iter().filter(|name| !known(name)).count();
        let as_asked = |channel| delivery_of(args.delivery, channel);
        let names: BTreeSet<Name> = named
            .into_iter()
            .filter(|name| session.names.get(name) != Some(&as_asked(name.0)))
            .collect();
        let wildcards: BTreeSet<Channel> = wildcards
            .into_iter()
            .filter(|channel| session.wildcards.get(channel) != Some(&as_asked(*channel)))
            .collect();
        let added = names.iter().filter(|name| !session.names.contains_key(name)).count()
            + wildcards.iter().filter(|channel| !session.wildcards.contains_key(channel)).count();
        if (unknown > 0 && waiting.len() + unknown > self.setting.waiting_topics)
            || session.total() + added > NAMES_PER_SESSION
            || held + added > NAMES
            || has_too_many_rates(session, args.delivery)
        {
            return session.control(error(ErrorCode::SymbolLimit, id), now_ns);
        }
        session.apply_subscribe(&names, &wildcards, args);
        session.acknowledge(id, joined(&names, &wildcards), args.delivery, Vec::new(), now_ns);
        self.snapshot(slot, &names, &wildcards, args.snapshot);
    }

    /// Queues the snapshot of the names that a subscribe changed. Their newest ticks are no longer
    /// pending.
    fn snapshot(
        &mut self,
        slot: u32,
        names: &BTreeSet<Name>,
        wildcards: &BTreeSet<Channel>,
        asked: Option<bool>,
    ) {
        let session = self.sessions.get_mut(&slot).unwrap();
        let of_names = asked.unwrap_or(true) && !names.is_empty();
        let of_wild = asked == Some(true) && !wildcards.is_empty();
        if !of_names && !of_wild {
            return;
        }
        let wanted = |(channel, symbol): Name| {
            of_names && names.contains(&(channel, symbol))
                || of_wild && wildcards.contains(&channel)
        };
        let ticks: Vec<Tick> = self
            .last
            .iter()
            .filter(|((feed, channel, symbol), last)| {
                *feed == session.feed
                    && wanted((*channel, *symbol))
                    && last.count > self.seen_before
            })
            .map(|(_, last)| last.tick.clone())
            .collect();
        session.rate_groups.forget(|name| wanted(*name));
        session.control(Control::Snapshot { ticks: ticks.len() as u64 }, self.now_ns);
        if !ticks.is_empty() {
            session.push(Item::LastValues { ticks, queued_ns: self.now_ns });
        }
        session.control(Control::Live, self.now_ns);
    }

    pub(crate) fn unsubscribe(&mut self, slot: u32, asked: &ops::SubscriptionSet, id: Option<u64>) {
        let now_ns = self.now_ns;
        let session = self.session(slot);
        if session.detached {
            return;
        }
        let (mut names, mut wildcards) = split(asked);
        names.retain(|name| session.names.remove(name).is_some());
        wildcards.retain(|channel| session.wildcards.remove(channel).is_some());
        session.forget(&names, &wildcards);
        session.acknowledge(id, joined(&names, &wildcards), Delivery::Every, Vec::new(), now_ns);
    }

    pub(crate) fn list(&mut self, slot: u32, id: Option<u64>) {
        let now_ns = self.now_ns;
        let session = self.session(slot);
        if session.detached {
            return;
        }
        let mut names = SubscriptionSet::default();
        let mut modes: Vec<DeliveryGroup> = Vec::new();
        for (channel, symbol, delivery) in session.all() {
            add(&mut names, channel, symbol);
            if delivery == Delivery::Every {
                continue;
            }
            if !modes.iter().any(|mode| mode.delivery == delivery) {
                modes.push(DeliveryGroup { delivery, names: SubscriptionSet::default() });
            }
            let mode = modes.iter_mut().find(|mode| mode.delivery == delivery).unwrap();
            add(&mut mode.names, channel, symbol);
        }
        session.acknowledge(id, names, Delivery::Every, modes, now_ns);
    }

    pub(crate) fn reject(&mut self, slot: u32, id: Option<u64>) {
        let now_ns = self.now_ns;
        let session = self.session(slot);
        if !session.detached {
            session.control(error(ErrorCode::InvalidSyntax, id), now_ns);
        }
    }

    /// Returns the subscribed names that have never ticked.
    fn waiting(&self) -> BTreeSet<Key> {
        let names = self.sessions.values().flat_map(|session| {
            session.names.keys().map(|(channel, symbol)| (session.feed, *channel, *symbol))
        });
        names.filter(|key| !self.last.contains_key(key)).collect()
    }
}

impl Session {
    /// Applies a subscribe. Changed names are treated like new ones, without pending ticks.
    fn apply_subscribe(
        &mut self,
        names: &BTreeSet<Name>,
        wildcards: &BTreeSet<Channel>,
        args: &SubscribeArgs,
    ) {
        self.forget(names, wildcards);
        self.names.extend(names.iter().map(|name| (*name, delivery_of(args.delivery, name.0))));
        self.wildcards.extend(
            wildcards.iter().map(|channel| (*channel, delivery_of(args.delivery, *channel))),
        );
        self.on_lag = args.on_lag.unwrap_or(self.on_lag);
        self.was_paced |= !self.rates().is_empty();
    }

    /// Drops the pending ticks of changed names. A change of `"*"` does not affect named
    /// subscriptions.
    fn forget(&mut self, names: &BTreeSet<Name>, wildcards: &BTreeSet<Channel>) {
        let own = &self.names;
        self.rate_groups.forget(|name| {
            names.contains(name) || wildcards.contains(&name.0) && !own.contains_key(name)
        });
    }

    fn acknowledge(
        &mut self,
        id: Option<u64>,
        names: SubscriptionSet,
        delivery: Delivery,
        modes: Vec<DeliveryGroup>,
        now_ns: u64,
    ) {
        let mut total = PerChannel::<u64>::default();
        for (channel, ..) in self.all() {
            total[channel] += 1;
        }
        let names = Box::new(names);
        let on_lag = self.on_lag;
        let ack = Control::Subscription {
            id,
            names,
            total,
            delivery,
            on_lag,
            modes,
            pos: None,
            resumed: None,
            from: None,
        };
        self.control(comparable(ack), now_ns);
    }
}

/// Returns the delivery that a channel gets for a requested one. Corrections and cancels are never
/// conflated.
pub(super) fn delivery_of(delivery: Delivery, channel: Channel) -> Delivery {
    if conflates(channel) { delivery } else { Delivery::Every }
}

pub(super) fn conflates(channel: Channel) -> bool {
    channel != Channel::Corrections && channel != Channel::CancelErrors
}

fn has_too_many_rates(session: &Session, asked: Delivery) -> bool {
    let rates = session.rates();
    match asked {
        Delivery::Latest { max_rate: Some(rate) } => {
            !rates.contains(&rate) && rates.len() >= RATES_PER_SESSION
        }
        _ => false,
    }
}

/// Returns the names of a command without duplicates.
fn split(asked: &ops::SubscriptionSet) -> (BTreeSet<Name>, BTreeSet<Channel>) {
    let mut names = BTreeSet::new();
    let mut wildcards = BTreeSet::new();
    for (channel, symbol) in asked {
        match symbol {
            Some(symbol) => drop(names.insert((*channel, Symbol::new(symbol).unwrap()))),
            None => drop(wildcards.insert(*channel)),
        }
    }
    (names, wildcards)
}

fn joined(names: &BTreeSet<Name>, wildcards: &BTreeSet<Channel>) -> SubscriptionSet {
    let mut joined = SubscriptionSet::default();
    names.iter().for_each(|(channel, symbol)| add(&mut joined, *channel, Some(*symbol)));
    wildcards.iter().for_each(|channel| add(&mut joined, *channel, None));
    joined
}

fn add(names: &mut SubscriptionSet, channel: Channel, symbol: Option<Symbol>) {
    match symbol {
        Some(symbol) => names[channel].symbols.push(symbol),
        None => names[channel].all = true,
    }
}

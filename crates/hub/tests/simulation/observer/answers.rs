//! Answers to commands: which names a session has from then on, and with which delivery.

use std::collections::{BTreeMap, BTreeSet};

use tickwire_protocol::{
    Channel, Command, Delivery, PerChannel, SubscribeRequest, SubscriptionSet, Symbol,
};

use super::{Mode, Observer, Snapshot, Track, history};
use crate::connection::Expected;
use crate::oracle::{Facts, Name};

impl Observer {
    pub(super) fn totals(&self) -> PerChannel<u64> {
        let mut totals = PerChannel::default();
        for (channel, _) in self.names.keys() {
            totals[*channel] += 1;
        }
        for channel in self.wildcards.keys() {
            totals[*channel] += 1;
        }
        totals
    }

    pub(super) fn answer(
        &mut self,
        expected: &Expected,
        names: &SubscriptionSet,
        delivery: Delivery,
        facts: &Facts<'_>,
    ) {
        if !expected.is_live {
            self.catches_up = true;
            self.position = 0;
        }
        match &expected.command {
            Command::Subscribe(asked) => {
                assert_eq!(delivery, asked.delivery);
                self.on_lag = asked.on_lag.unwrap_or(self.on_lag);
                self.subscribed(expected, asked, names, facts);
            }
            Command::Unsubscribe(_) => {
                for (channel, selection) in names.iter() {
                    for symbol in &selection.symbols {
                        let name = (channel, *symbol);
                        self.settle(name, expected.head, facts);
                        let track = self.track(name, facts);
                        self.names.remove(&name).expect("the name was subscribed");
                        self.fall_back_to_wildcard(name, track, expected.head, facts);
                    }
                    if selection.all {
                        self.settle_wildcard(channel, expected.head, facts);
                        self.wildcards.remove(&channel).expect("the channel was subscribed");
                    }
                }
            }
            Command::List { .. } => {
                let mut listed = 0;
                for (channel, selection) in names.iter() {
                    let has = |symbol: &Symbol| self.names.contains_key(&(channel, *symbol));
                    assert!(selection.symbols.iter().all(has));
                    assert_eq!(selection.all, self.wildcards.contains_key(&channel));
                    listed += selection.symbols.len();
                }
                assert_eq!(listed, self.names.len());
            }
            Command::Auth(_) => unreachable!("the hub is open"),
            Command::Publish(_) | Command::Report(_) => unreachable!("subscribers do not publish"),
        }
    }

    pub(super) fn subscribed(
        &mut self,
        expected: &Expected,
        asked: &SubscribeRequest,
        names: &SubscriptionSet,
        facts: &Facts<'_>,
    ) {
        let mut values = BTreeMap::new();
        let mut snapshot = false;
        for (channel, selection) in names.iter() {
            let delivery = asked.delivery.for_channel(channel);
            for symbol in &selection.symbols {
                let name = (channel, *symbol);
                assert!(
                    asked.names[channel].symbols.contains(symbol),
                    "{name:?} was not requested"
                );
                let begin =
                    history::begin(expected, asked, Some(name), self.epoch.as_deref(), facts);
                if begin.is_none() && self.continues(expected, name, delivery) {
                    let track = self.track(name, facts).expect("the wildcard covers it");
                    self.tracks.insert(name, track);
                    self.names.insert(name, Mode { delivery, base: expected.head });
                    continue;
                }
                self.settle(name, expected.head, facts);
                self.forget(name);
                let base = begin.unwrap_or(expected.head);
                self.names.insert(name, Mode { delivery, base });
                self.begin_resumed(expected, asked, name, begin, facts);
                if begin.is_none() && asked.snapshot != Some(false) {
                    snapshot = true;
                    values.extend(expected.values.get(&name).map(|seq| (name, *seq)));
                }
            }
            if selection.all {
                assert!(asked.names[channel].all, "all {channel} were not requested");
                self.settle_wildcard(channel, expected.head, facts);
                let begin = history::begin(expected, asked, None, self.epoch.as_deref(), facts);
                let base = begin.unwrap_or(expected.head);
                self.wildcards.insert(channel, Mode { delivery, base });
                for name in facts.oracle.names(self.feed).filter(|name| name.0 == channel) {
                    if !self.names.contains_key(&name) {
                        self.begin_resumed(expected, asked, name, begin, facts);
                    }
                }
                if begin.is_none() && asked.snapshot == Some(true) {
                    snapshot = true;
                    let all = expected.values.iter().filter(|(name, _)| name.0 == channel);
                    values.extend(all.map(|(name, seq)| (*name, *seq)));
                }
            }
        }
        if snapshot {
            self.snapshot = Snapshot::Due(values);
        }
    }

    /// Returns whether a name continues where its wildcard was: the session catches up, and gets
    /// every tick as before.
    fn continues(&self, expected: &Expected, name: Name, delivery: Delivery) -> bool {
        let every = |mode: &Mode| mode.delivery == Delivery::Every;
        !expected.was_live
            && delivery == Delivery::Every
            && !self.names.contains_key(&name)
            && self.wildcards.get(&name.0).is_some_and(every)
    }

    /// Asserts that everything expected of a name has arrived, before a command restarts the name.
    pub(super) fn settle(&self, name: Name, head: u64, facts: &Facts<'_>) {
        if !self.may_skip
            && !self.catches_up
            && let Some(Track::Every { next }) = self.track(name, facts)
        {
            let topic = self.topic(name);
            let last = facts.last_before(topic, head);
            // The hub reports no gaps to a session without subscriptions.
            let at = facts.oracle.position(topic, next);
            let is_evicted = at.is_some_and(|at| at < facts.start);
            assert!(next - 1 == last || is_evicted, "all of {name:?}: next {next}, last {last}");
        }
    }

    /// Restarts the names that the wildcard of a channel covers.
    pub(super) fn settle_wildcard(&mut self, channel: Channel, head: u64, facts: &Facts<'_>) {
        let ticked = facts.oracle.names(self.feed);
        let names: BTreeSet<Name> = ticked.chain(self.tracks.keys().copied()).collect();
        for name in names {
            if name.0 == channel && !self.names.contains_key(&name) {
                self.settle(name, head, facts);
                self.forget(name);
            }
        }
    }

    pub(super) fn forget(&mut self, name: Name) {
        self.tracks.remove(&name);
        self.received.remove(&name);
    }

    /// Removes a name. A wildcard of its channel covers the name from here on.
    pub(super) fn fall_back_to_wildcard(
        &mut self,
        name: Name,
        had: Option<Track>,
        head: u64,
        facts: &Facts<'_>,
    ) {
        let every = |mode: &Mode| mode.delivery == Delivery::Every;
        if self.catches_up
            && self.wildcards.get(&name.0).is_some_and(every)
            && let Some(track @ (Track::Every { .. } | Track::AfterGap { .. })) = had
        {
            self.tracks.insert(name, track); // the name keeps its progress
            return;
        }
        self.forget(name);
        if let Some(Mode { delivery, .. }) = self.wildcards.get(&name.0) {
            let last = facts.last_before(self.topic(name), head);
            self.tracks.insert(name, Track::after(*delivery, last));
        }
    }
}

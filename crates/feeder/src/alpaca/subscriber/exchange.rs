//! Shares the places of an upstream that has no room for all wanted names.
//!
//! Clients take turns: the first name of every client comes before the second of any. A name takes
//! the place of another only if it comes in an earlier turn, so clients in the same turn do not
//! displace each other. A client's names that already have places come first in its order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tickwire_protocol::{Channel, ErrorCode};

use super::{REQUEST_NAMES_MAX, Request, Subscriber};
use crate::alpaca::names::{Name, NameSet, carrier};

/// The turn of a name that no client is known to want.
const NO_TURN: u32 = u32::MAX;

/// Maximum number of exchanges after a change: enough for every pair of channels.
const EXCHANGES_MAX: u32 = 64;

/// State of the exchange of names.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// What each client wants; empty if that is unknown.
    clients: Vec<NameSet>,
    /// Number of exchanges that may follow the last change; 0: no names have to be exchanged.
    due: u32,
    /// The request for the names that take the places of those that are being removed.
    replacement: Option<Request>,
    /// Whether the outstanding request is such a request, and the channel that gave its places.
    asked: Option<(Channel, Channel)>,
    /// Whether an exchange may have left places empty.
    has_room: bool,
    /// Whether a place of one channel is none of another.
    is_per_channel: bool,
}

impl Exchange {
    /// Handles a new connection, on which nothing is subscribed to yet.
    pub(super) fn begin(&mut self) {
        let clients = std::mem::take(&mut self.clients);
        *self = Self { clients, due: EXCHANGES_MAX, ..Self::default() };
    }

    /// Returns whether a removal makes room for other names.
    pub(super) const fn has_replacement(&self) -> bool {
        self.replacement.is_some()
    }

    /// Takes the request for the names that take the places of removed ones.
    pub(super) fn take_replacement(&mut self) -> Option<Request> {
        let request = self.replacement.take();
        if request.is_none() {
            self.asked = None;
        }
        request
    }

    /// Handles the refusal of a request. Returns the channel in which an exchange has made room for
    /// the names of the request, if only these names are at fault.
    pub(super) fn deny(&mut self, code: ErrorCode) -> Option<Channel> {
        let (from, to) = self.asked.take()?;
        if code != ErrorCode::SymbolLimit {
            self.has_room = true;
            return Some(to);
        }
        if from != to {
            self.is_per_channel = true;
            self.has_room = true;
        } // otherwise the upstream has lowered its limit
        None
    }
}

impl Subscriber {
    /// Replaces what each client wants.
    pub(in super::super) fn set_clients(&mut self, clients: &[NameSet]) {
        let relayed = |names: &NameSet| {
            let carried = names.iter().map(|(channel, symbol)| (carrier(*channel), *symbol));
            carried.filter(|(channel, _)| self.channels.contains(channel)).collect()
        };
        self.exchange.clients = clients.iter().map(relayed).collect();
        self.exchange.due = EXCHANGES_MAX;
    }

    /// Returns a request to unsubscribe from names whose places other names are to have, if there
    /// are any. After an exchange that left places empty, it returns a request to fill them.
    pub(super) fn exchange(&mut self) -> Option<Request> {
        if !self.parts.is_empty() {
            return None;
        }
        if std::mem::take(&mut self.exchange.has_room) {
            self.retry_beyond_limit();
            return self.addition();
        }
        let is_due = self.exchange.due > 0 && self.is_full();
        if !is_due || self.exchange.clients.is_empty() {
            return None;
        }
        let turns = self.turns();
        let turn = |name: &Name| match self.always.contains(name) {
            true => 0,
            false => turns.get(name).copied().unwrap_or(NO_TURN),
        };
        let beyond = self.refused.iter().filter(|(_, code)| **code == ErrorCode::SymbolLimit);
        let mut beyond: Vec<_> = beyond.map(|(name, _)| (turn(name), *name)).collect();
        beyond.sort_unstable();
        let mut held: Vec<_> = self.held.iter().map(|name| (turn(name), *name)).collect();
        held.sort_unstable_by_key(|entry| Reverse(*entry));
        let Some((from, to)) = self.channels_to_exchange(&beyond, &held) else {
            self.exchange.due = 0;
            return None;
        };
        self.exchange.due -= 1;
        let of = |channel| move |(_, name): &&(u32, Name)| name.0 == channel && name.1.is_some();
        let pairs = held.iter().filter(of(from)).zip(beyond.iter().filter(of(to)));
        let pairs = pairs.take_while(|(held, beyond)| beyond.0 < held.0).take(REQUEST_NAMES_MAX);
        let (removed, added): (Vec<_>, Vec<_>) =
            pairs.map(|(held, beyond)| (held.1, beyond.1)).unzip();
        for name in &added {
            self.refused.remove(name);
        }
        self.exchange.replacement = Some(Request { adds: true, channel: to, names: added });
        self.exchange.asked = Some((from, to));
        Some(Request { adds: false, channel: from, names: removed })
    }

    /// Returns the channel that gives places and the one that gets them, if a place is to change
    /// hands. `beyond` begins with the earliest turn, `held` with the latest.
    fn channels_to_exchange(
        &self,
        beyond: &[(u32, Name)],
        held: &[(u32, Name)],
    ) -> Option<(Channel, Channel)> {
        let symbols = |(_, name): &&(u32, Name)| name.1.is_some();
        let is_per_channel = self.exchange.is_per_channel;
        let mut seen = BTreeSet::new();
        beyond.iter().filter(symbols).filter(|(_, name)| seen.insert(name.0)).find_map(|first| {
            let to = first.1.0;
            let mut last = held.iter().filter(symbols);
            let last = last.find(|(_, name)| !is_per_channel || name.0 == to)?;
            (first.0 < last.0).then_some((last.1.0, to))
        })
    }

    /// Returns the turn in which each name gets a place: the earliest among its clients.
    fn turns(&self) -> BTreeMap<Name, u32> {
        let mut turns = BTreeMap::new();
        for names in &self.exchange.clients {
            let takes_place = |name: &&Name| {
                let refused = self.refused.get(name);
                self.wanted.contains(name)
                    && !self.always.contains(name)
                    && refused.is_none_or(|code| *code == ErrorCode::SymbolLimit)
            };
            let mut names: Vec<_> = names.iter().filter(takes_place).collect();
            names.sort_by_key(|name| !self.held.contains(name));
            for (name, turn) in names.into_iter().zip(1..) {
                let earliest = turns.entry(*name).or_insert(turn);
                *earliest = turn.min(*earliest);
            }
        }
        turns
    }
}

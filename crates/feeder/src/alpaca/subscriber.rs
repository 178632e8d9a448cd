//! Tracks which names to request from the upstream, and which it grants.
//!
//! One request, of one channel, is outstanding at a time, so that its answer is unambiguous. A
//! request that is refused as a whole is split in halves until the invalid names are found. Any
//! reader can cause such a search, so a search never delays new names: names that were invalid once
//! are requested separately, and all searches together make a few requests per second.
//!
//! If the upstream has no room for all wanted names, clients of the hub share its places
//! (`exchange`).

mod exchange;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tickwire_protocol::{
    Channel, Command, ErrorCode, SubscribeRequest, SubscriptionSet, UnixNanos,
};

use exchange::Exchange;

use super::names::{Name, NameSet, carrier, collect};

/// Maximum number of names in a request, which keeps it below 300 KB with symbols of 24 bytes.
const REQUEST_NAMES_MAX: usize = 10_000;
/// Average interval between the requests of all searches for invalid names.
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);
/// How far searches may be ahead of that rate, as time: it allows a burst of 1,000 requests.
const SEARCH_AHEAD: Duration = Duration::from_secs(250);
/// Maximum number of invalid names to remember. When it is exceeded, those that are no longer
/// wanted are forgotten.
const SUSPECTS_MAX: usize = 10_000;
/// Time limit for the upstream's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A request to add or remove names of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    adds: bool,
    channel: Channel,
    names: Vec<Name>,
}

/// The names that the relay wants and those that the upstream has confirmed, and the requests that
/// make both equal.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    linger: Duration,
    /// Names wanted regardless of demand.
    always: NameSet,
    /// Channels that the relay may subscribe to; demand for others is ignored.
    channels: BTreeSet<Channel>,
    wanted: NameSet,
    /// Names that the upstream has confirmed.
    held: NameSet,
    /// Names of `held` without demand, and when to unsubscribe them.
    leaving: BTreeMap<Name, UnixNanos>,
    /// Names that the upstream refused, by reason. They are not requested again on this connection,
    /// except those beyond the symbol limit when an unsubscribe has made room.
    refused: BTreeMap<Name, ErrorCode>,
    /// Names that the upstream once called invalid, on any connection. They are requested apart
    /// from new names.
    suspects: NameSet,
    /// Channels that accept no more names.
    closed_channels: BTreeMap<Channel, ErrorCode>,
    /// Requests of searches: parts of refused requests, and requests for `suspects`. The last one
    /// is sent first.
    parts: Vec<Request>,
    /// Time up to which the requests of searches so far have used up their rate
    /// ([`SEARCH_INTERVAL`] each).
    searched: UnixNanos,
    asked: Option<(Request, UnixNanos)>,
    /// Whether there may be wanted names that have not been requested yet.
    changed: bool,
    exchange: Exchange,
}

impl Subscriber {
    pub(super) fn new(always: NameSet, channels: BTreeSet<Channel>, linger: Duration) -> Self {
        Self { linger, wanted: always.clone(), always, channels, ..Self::default() }
    }

    /// Handles a new connection, on which nothing is subscribed to yet.
    pub(super) fn begin(&mut self) {
        self.held.clear();
        self.leaving.clear();
        self.refused.clear();
        self.closed_channels.clear();
        self.parts.clear();
        self.asked = None;
        self.changed = true;
        self.exchange.begin();
    }

    /// Replaces the names that the hub's subscribers demand.
    pub(super) fn set_demand(&mut self, demanded: &NameSet, now: UnixNanos) {
        let carried = demanded.iter().map(|(channel, symbol)| (carrier(*channel), *symbol));
        let relayed = carried.filter(|(channel, _)| self.channels.contains(channel));
        self.wanted = relayed.chain(self.always.iter().copied()).collect();
        let linger = if self.is_full() { Duration::ZERO } else { self.linger };
        let wanted = &self.wanted;
        let until = now + linger;
        self.leaving.retain(|name, _| !wanted.contains(name));
        for &name in self.held.difference(wanted) {
            self.leaving.entry(name).or_insert(until);
        }
        self.refused.retain(|name, _| wanted.contains(name));
        self.changed = true;
    }

    /// Returns the next request to send; `None` if nothing is to be requested or an answer is
    /// outstanding.
    pub(super) fn ask(&mut self, now: UnixNanos) -> Option<Command> {
        if self.asked.is_some() {
            return None;
        }
        let request = (self.exchange.take_replacement())
            .or_else(|| self.removal(now))
            .or_else(|| self.addition())
            .or_else(|| self.part(now))
            .or_else(|| self.exchange())?;
        let names = collect(request.names.iter().copied());
        let subscription = SubscribeRequest { names, ..SubscribeRequest::default() };
        let adds = request.adds;
        self.asked = Some((request, now));
        Some(if adds {
            Command::Subscribe(subscription)
        } else {
            Command::Unsubscribe(subscription)
        })
    }

    /// Returns a request to unsubscribe from names whose linger time has passed.
    fn removal(&mut self, now: UnixNanos) -> Option<Request> {
        let due = |until: &UnixNanos| *until <= now;
        let (&(channel, _), _) = self.leaving.iter().find(|(_, until)| due(until))?;
        let gone = self.leaving.iter().filter(|(name, until)| name.0 == channel && due(until));
        let names: Vec<_> = gone.map(|(&name, _)| name).take(REQUEST_NAMES_MAX).collect();
        for name in &names {
            self.leaving.remove(name);
        }
        Some(Request { adds: false, channel, names })
    }

    /// Returns a request to subscribe to wanted names that are neither refused nor suspects. Moves
    /// wanted suspects to the searches.
    fn addition(&mut self) -> Option<Request> {
        while self.changed {
            let missing = self.missing();
            let (suspects, fresh): (Vec<_>, Vec<_>) =
                missing.into_iter().partition(|name| self.suspects.contains(name));
            let is_fresh = !fresh.is_empty();
            let mut names = if is_fresh { fresh } else { suspects };
            let Some(&(channel, _)) = names.first() else {
                self.changed = false;
                return None;
            };
            names.truncate(names.partition_point(|name| name.0 == channel).min(REQUEST_NAMES_MAX));
            let request = Request { adds: true, channel, names };
            match self.closed_channels.get(&channel) {
                Some(&code) => self.refuse(request.names, code),
                None if is_fresh => return Some(request),
                None => self.parts.insert(0, request),
            }
        }
        None
    }

    /// Returns the wanted names that still have to be requested: they are neither subscribed to,
    /// nor refused, nor part of a search.
    fn missing(&self) -> Vec<Name> {
        let everything = |channel| {
            let all = (channel, None);
            self.wanted.contains(&all) && !self.refused.contains_key(&all)
        };
        let parts: BTreeSet<_> = self.parts.iter().flat_map(|part| &part.names).collect();
        let missing = self.wanted.difference(&self.held).filter(|name| {
            let covered = name.1.is_some() && everything(name.0);
            !covered && !self.refused.contains_key(name) && !parts.contains(name)
        });
        missing.copied().collect()
    }

    /// Returns the next request of the searches, without the names that are no longer wanted.
    /// Returns `None` if there is none, or the searches have used up their rate.
    fn part(&mut self, now: UnixNanos) -> Option<Request> {
        if self.searched.since(now) >= SEARCH_AHEAD {
            return None;
        }
        while let Some(mut part) = self.parts.pop() {
            part.names.retain(|name| self.wanted.contains(name));
            match self.closed_channels.get(&part.channel) {
                Some(&code) => self.refuse(part.names, code),
                None if part.names.is_empty() => {}
                None => {
                    self.searched = self.searched.max(now) + SEARCH_INTERVAL;
                    return Some(part);
                }
            }
        }
        None
    }

    /// Handles the ack of the outstanding request. `all` are all names that the connection is now
    /// subscribed to.
    pub(super) fn confirmed(&mut self, all: &SubscriptionSet, now: UnixNanos) {
        let Some((request, _)) = self.asked.take() else { return };
        self.changed = true;
        if !request.adds {
            self.forget(&request.names);
            if self.exchange.has_replacement() {
                self.refuse(request.names, ErrorCode::SymbolLimit);
            } else {
                self.retry_beyond_limit();
            }
            return;
        }
        let selection = &all[request.channel];
        let symbols: BTreeSet<_> = selection.symbols.iter().copied().collect();
        let given = |name: &Name| match name.1 {
            Some(symbol) => symbols.contains(&symbol),
            None => selection.all,
        };
        let (held, missing): (Vec<_>, Vec<_>) = request.names.into_iter().partition(given);
        // Names may have lost their demand while the request was outstanding.
        let unwanted = held.iter().filter(|name| !self.wanted.contains(name));
        self.leaving.extend(unwanted.map(|&name| (name, now + self.linger)));
        for name in held {
            self.suspects.remove(&name);
            self.held.insert(name);
        }
        self.refuse(missing, ErrorCode::InvalidSyntax);
    }

    /// Requests the names again that were beyond the symbol limit: there is room now.
    fn retry_beyond_limit(&mut self) {
        let full = |code: &mut ErrorCode| *code != ErrorCode::SymbolLimit;
        self.refused.retain(|_, code| full(code));
        self.closed_channels.retain(|_, code| full(code));
        self.changed = true;
    }

    /// Records that names are no longer subscribed to.
    fn forget(&mut self, names: &[Name]) {
        for name in names {
            self.held.remove(name);
            self.leaving.remove(name);
        }
    }

    /// Handles the refusal of the outstanding request. Returns `false` if no request is
    /// outstanding.
    pub(super) fn denied(&mut self, code: ErrorCode) -> bool {
        let Some((request, _)) = self.asked.take() else { return false };
        if request.adds
            && let Some(channel) = self.exchange.deny(code)
        {
            self.closed_channels.remove(&channel); // to find the names at fault
        }
        let Request { adds, channel, names } = request;
        if !adds {
            // The upstream does not have these names.
            self.forget(&names);
            self.changed = true;
            return true;
        }
        if code == ErrorCode::SymbolLimit {
            // Unsubscribe lingering names at once, to make room for wanted ones.
            self.leaving.values_mut().for_each(|until| *until = UnixNanos(0));
        }
        if code == ErrorCode::InvalidAction {
            self.closed_channels.insert(channel, code);
            self.refuse(names, code);
        } else if names.len() > 1 {
            let (first, second) = names.split_at(names.len() / 2);
            for half in [second, first] {
                self.parts.push(Request { adds, channel, names: half.to_vec() });
            }
        } else {
            let is_everything = names.contains(&(channel, None));
            if is_everything {
                // Names that the wildcard would have covered can still be requested one by one.
                self.changed = true;
            } else if code == ErrorCode::SymbolLimit {
                self.closed_channels.insert(channel, code);
            }
            self.refuse(names, code);
        }
        true
    }

    fn refuse(&mut self, names: Vec<Name>, code: ErrorCode) {
        if code == ErrorCode::InvalidSyntax {
            if self.suspects.len() + names.len() > SUSPECTS_MAX {
                self.suspects.retain(|name| self.wanted.contains(name));
            }
            self.suspects.extend(&names);
        }
        let wanted = names.into_iter().filter(|name| self.wanted.contains(name));
        self.refused.extend(wanted.map(|name| (name, code)));
    }

    /// Returns whether an answer is outstanding.
    pub(super) const fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// Waits for an outstanding answer from now on: the process could not receive it.
    pub(super) fn on_suspension(&mut self, now: UnixNanos) {
        if let Some((_, since)) = &mut self.asked {
            *since = now;
        }
    }

    /// Returns whether an answer is overdue.
    pub(super) fn is_overdue(&self, now: UnixNanos) -> bool {
        self.asked.as_ref().is_some_and(|(_, since)| now.since(*since) >= ANSWER_TIMEOUT)
    }

    /// Returns whether any name of this channel is subscribed to.
    pub(super) fn holds(&self, channel: Channel) -> bool {
        self.held.range((channel, None)..).next().is_some_and(|name| name.0 == channel)
    }

    /// Returns whether the upstream has no room for some wanted names.
    pub(super) fn is_full(&self) -> bool {
        self.refused.values().any(|&code| code == ErrorCode::SymbolLimit)
    }

    /// Returns the number of refused names.
    pub(super) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Returns a description of the subscriptions for people: how many names are subscribed to, and
    /// how many were refused, by reason.
    pub(super) fn describe(&self) -> String {
        if self.wanted.is_empty() {
            return "no names are wanted".to_owned();
        }
        let count = |code| self.refused.values().filter(|&&refused| refused == code).count();
        let mut parts = match self.held.len() {
            1 => vec!["1 name subscribed".to_owned()],
            names => vec![format!("{names} names subscribed")],
        };
        for (code, why) in [
            (ErrorCode::SymbolLimit, "over the upstream's symbol limit (405)"),
            (ErrorCode::InvalidSyntax, "that the upstream rejects (400)"),
            (ErrorCode::InvalidAction, "of channels this upstream feed does not have (410)"),
        ] {
            match count(code) {
                0 => {}
                names => parts.push(format!("{names} {why}")),
            }
        }
        match self.parts.iter().map(|part| part.names.len()).sum() {
            0 => {}
            names @ 1.. => parts.push(format!("{names} still to be tried")),
        }
        parts.join(", ")
    }
}

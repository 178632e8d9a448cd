//! Which names the upstream is asked for, and which it gives.
//!
//! One request is under way at a time, of one channel, so that its answer says what it is about. A
//! request that is refused as a whole is asked again in halves, until the names at fault are found.
//! The names are those of anybody who may read, so a search never holds up what is asked for anew:
//! names that were at fault once are asked for apart from the others, and all searches together
//! make a few requests a second at most.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tickwire_protocol::{
    Channel, Command, ErrorCode, SubscribeRequest, SubscriptionSet, UnixNanos,
};

use super::names::{Name, NameSet, carrier, collect};

/// Most names in a request: with 24 bytes a symbol it stays below 300 KB.
const REQUEST_NAMES_MAX: usize = 10_000;
/// Searches make one request in this time,
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);
/// but may be ahead of that by so much: 1,000 requests.
const SEARCH_AHEAD: Duration = Duration::from_secs(250);
/// So many names that were at fault once are remembered, beside those that are wanted.
const DOUBTED_MAX: usize = 10_000;
/// How long the upstream may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Names of one channel to be added or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    adds: bool,
    channel: Channel,
    names: Vec<Name>,
}

/// What is wanted, what is subscribed, and what is to be asked next.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    linger: Duration,
    /// Wanted whatever is demanded.
    always: NameSet,
    /// Channels that may be demanded.
    channels: BTreeSet<Channel>,
    wanted: NameSet,
    /// What the upstream has confirmed.
    held: NameSet,
    /// Names of `held` that nobody wants any more, and when they are given back.
    leaving: BTreeMap<Name, UnixNanos>,
    /// What it does not give, and is not asked for again in this connection unless room is made.
    refused: BTreeMap<Name, ErrorCode>,
    /// Names that it called malformed once, in whatever connection.
    doubted: NameSet,
    /// Channels in which it takes no more names, or none at all.
    shut: BTreeMap<Channel, ErrorCode>,
    /// Parts of refused requests, and doubted names; the last is asked first.
    parts: Vec<Request>,
    /// When the searches would have come so far at their pace.
    searched: UnixNanos,
    asked: Option<(Request, UnixNanos)>,
    /// Whether there may be something to ask for.
    stirred: bool,
}

impl Subscriber {
    pub(super) fn new(always: NameSet, channels: BTreeSet<Channel>, linger: Duration) -> Self {
        Self { linger, wanted: always.clone(), always, channels, ..Self::default() }
    }

    /// A connection begins: nothing is subscribed.
    pub(super) fn begin(&mut self) {
        self.held.clear();
        self.leaving.clear();
        self.refused.clear();
        self.shut.clear();
        self.parts.clear();
        self.asked = None;
        self.stirred = true;
    }

    /// The hub's subscribers want these names.
    pub(super) fn want(&mut self, demanded: &NameSet, now: UnixNanos) {
        let carried = demanded.iter().map(|(channel, symbol)| (carrier(*channel), *symbol));
        let relayed = carried.filter(|(channel, _)| self.channels.contains(channel));
        self.wanted = relayed.chain(self.always.iter().copied()).collect();
        let limited = self.refused.values().any(|&code| code == ErrorCode::SymbolLimit);
        let linger = if limited { Duration::ZERO } else { self.linger };
        let (wanted, until) = (&self.wanted, now + linger);
        self.leaving.retain(|name, _| !wanted.contains(name));
        for &name in self.held.difference(wanted) {
            self.leaving.entry(name).or_insert(until);
        }
        self.refused.retain(|name, _| wanted.contains(name));
        self.stirred = true;
    }

    /// What to ask now, if nothing is under way.
    pub(super) fn ask(&mut self, now: UnixNanos) -> Option<Command> {
        if self.asked.is_some() {
            return None;
        }
        let request = self.removal(now).or_else(|| self.addition()).or_else(|| self.part(now))?;
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

    /// Names that nobody has wanted for long enough.
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

    /// Names that are wanted, and that nothing speaks against.
    fn addition(&mut self) -> Option<Request> {
        while self.stirred {
            let missing = self.missing();
            let (doubted, fresh): (Vec<_>, Vec<_>) =
                missing.into_iter().partition(|name| self.doubted.contains(name));
            let is_fresh = !fresh.is_empty();
            let mut names = if is_fresh { fresh } else { doubted };
            let Some(&(channel, _)) = names.first() else {
                self.stirred = false;
                return None;
            };
            names.truncate(names.partition_point(|name| name.0 == channel).min(REQUEST_NAMES_MAX));
            let request = Request { adds: true, channel, names };
            match self.shut.get(&channel) {
                Some(&code) => self.refuse(request.names, code),
                None if is_fresh => return Some(request),
                None => self.parts.insert(0, request),
            }
        }
        None
    }

    /// What is wanted, and neither subscribed, nor refused, nor among the parts.
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

    /// A part of what was refused as a whole, of what is still wanted.
    fn part(&mut self, now: UnixNanos) -> Option<Request> {
        if self.searched.since(now) >= SEARCH_AHEAD {
            return None;
        }
        while let Some(mut part) = self.parts.pop() {
            part.names.retain(|name| self.wanted.contains(name));
            match self.shut.get(&part.channel) {
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

    /// The upstream has confirmed what was asked, and says what is subscribed now.
    pub(super) fn confirmed(&mut self, all: &SubscriptionSet, now: UnixNanos) {
        let Some((request, _)) = self.asked.take() else { return };
        self.stirred = true;
        if !request.adds {
            self.forget(&request.names);
            // There is room again.
            let full = |code: &mut ErrorCode| *code != ErrorCode::SymbolLimit;
            self.refused.retain(|_, code| full(code));
            self.shut.retain(|_, code| full(code));
            return;
        }
        let selection = &all[request.channel];
        let symbols: BTreeSet<_> = selection.symbols.iter().copied().collect();
        let given = |name: &Name| match name.1 {
            Some(symbol) => symbols.contains(&symbol),
            None => selection.all,
        };
        let (held, missing): (Vec<_>, Vec<_>) = request.names.into_iter().partition(given);
        // Some may have become unwanted while they were asked for.
        let unwanted = held.iter().filter(|name| !self.wanted.contains(name));
        self.leaving.extend(unwanted.map(|&name| (name, now + self.linger)));
        for name in held {
            self.doubted.remove(&name);
            self.held.insert(name);
        }
        self.refuse(missing, ErrorCode::InvalidSyntax);
    }

    /// These names are not subscribed any more.
    fn forget(&mut self, names: &[Name]) {
        for name in names {
            self.held.remove(name);
            self.leaving.remove(name);
        }
    }

    /// The upstream has refused what was asked, and changed nothing; `false` if nothing was asked.
    pub(super) fn denied(&mut self, code: ErrorCode) -> bool {
        let Some((request, _)) = self.asked.take() else { return false };
        let Request { adds, channel, names } = request;
        if !adds {
            // It does not know these names; whatever it had of them nobody wants.
            self.forget(&names);
            self.stirred = true;
            return true;
        }
        if code == ErrorCode::SymbolLimit {
            // Nobody keeps a place that somebody else needs.
            self.leaving.values_mut().for_each(|until| *until = UnixNanos(0));
        }
        if code == ErrorCode::InvalidAction {
            self.shut.insert(channel, code);
            self.refuse(names, code);
        } else if names.len() > 1 {
            let (first, second) = names.split_at(names.len() / 2);
            for half in [second, first] {
                self.parts.push(Request { adds, channel, names: half.to_vec() });
            }
        } else {
            let is_everything = names.contains(&(channel, None));
            if is_everything {
                // The names it would have covered may be had all the same.
                self.stirred = true;
            } else if code == ErrorCode::SymbolLimit {
                self.shut.insert(channel, code);
            }
            self.refuse(names, code);
        }
        true
    }

    fn refuse(&mut self, names: Vec<Name>, code: ErrorCode) {
        if code == ErrorCode::InvalidSyntax {
            if self.doubted.len() + names.len() > DOUBTED_MAX {
                self.doubted.retain(|name| self.wanted.contains(name));
            }
            self.doubted.extend(&names);
        }
        let wanted = names.into_iter().filter(|name| self.wanted.contains(name));
        self.refused.extend(wanted.map(|name| (name, code)));
    }

    /// Whether an answer is still to come.
    pub(super) const fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether an answer is overdue.
    pub(super) fn is_overdue(&self, now: UnixNanos) -> bool {
        self.asked.as_ref().is_some_and(|(_, since)| now.since(*since) >= ANSWER_TIMEOUT)
    }

    /// Whether anything of this channel is subscribed.
    pub(super) fn holds(&self, channel: Channel) -> bool {
        self.held.range((channel, None)..).next().is_some_and(|name| name.0 == channel)
    }

    /// How many names the upstream does not give.
    pub(super) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// For people: what is subscribed, and what is not and why.
    pub(super) fn describe(&self) -> String {
        if self.wanted.is_empty() {
            return "nothing is asked for".to_owned();
        }
        let count = |code| self.refused.values().filter(|&&refused| refused == code).count();
        let mut parts = match self.held.len() {
            1 => vec!["1 name subscribed".to_owned()],
            names => vec![format!("{names} names subscribed")],
        };
        for (code, why) in [
            (ErrorCode::SymbolLimit, "over the upstream's symbol limit (405)"),
            (ErrorCode::InvalidSyntax, "that the upstream does not take (400)"),
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

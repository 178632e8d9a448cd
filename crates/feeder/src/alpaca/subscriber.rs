//! Which names the upstream is asked for, and which it gives.
//!
//! One request is under way at a time, of one channel, so that its answer says what it is about. A
//! request that is refused as a whole is asked again in halves, until the names at fault are found.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tickwire_protocol::{Channel, Command, ErrorCode, Names, Subscription, UnixNanos};

use super::names::{Name, NameSet, carrier, collect};

/// Most names in a request: with 24 bytes a symbol it stays below 300 KB.
const REQUEST_NAMES_MAX: usize = 10_000;
/// After so many malformed names nobody looks for the others one by one.
const INVALID_MAX: usize = 100;
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
    /// Channels in which it takes no more names, or none at all.
    shut: BTreeMap<Channel, ErrorCode>,
    /// Parts of refused requests, to be asked before anything else.
    parts: Vec<Request>,
    asked: Option<(Request, UnixNanos)>,
    /// Whether there may be something to ask for.
    stirred: bool,
    invalid: usize,
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
        self.invalid = 0;
    }

    /// The hub's subscribers want these names.
    pub(super) fn want(&mut self, demanded: &NameSet, now: UnixNanos) {
        let carried = demanded.iter().map(|(channel, symbol)| (carrier(*channel), *symbol));
        let relayed = carried.filter(|(channel, _)| self.channels.contains(channel));
        self.wanted = relayed.chain(self.always.iter().copied()).collect();
        let (wanted, until) = (&self.wanted, now + self.linger);
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
        let request = self.removal(now).or_else(|| self.part()).or_else(|| self.addition())?;
        let names = collect(request.names.iter().copied());
        let subscription = Subscription { names, ..Subscription::default() };
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

    /// A part of what was refused as a whole, of what is still wanted.
    fn part(&mut self) -> Option<Request> {
        while let Some(mut part) = self.parts.pop() {
            part.names.retain(|name| self.wanted.contains(name));
            match self.shut.get(&part.channel) {
                Some(&code) => self.refuse(part.names, code),
                None if part.names.is_empty() => {}
                None => return Some(part),
            }
        }
        None
    }

    fn addition(&mut self) -> Option<Request> {
        if !self.stirred {
            return None;
        }
        let everything = |channel| {
            let all = (channel, None);
            self.wanted.contains(&all) && !self.refused.contains_key(&all)
        };
        let mut missing = self.wanted.difference(&self.held).copied().filter(|name| {
            let covered = name.1.is_some() && everything(name.0);
            !covered && !self.refused.contains_key(name)
        });
        let Some(first) = missing.next() else {
            self.stirred = false;
            return None;
        };
        let channel = first.0;
        let more = missing.take_while(|name| name.0 == channel).take(REQUEST_NAMES_MAX - 1);
        let names = std::iter::once(first).chain(more).collect();
        self.parts.push(Request { adds: true, channel, names });
        self.part().or_else(|| self.addition())
    }

    /// The upstream has confirmed what was asked, and says what is subscribed now.
    pub(super) fn confirmed(&mut self, all: &Names, now: UnixNanos) {
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
        self.held.extend(held);
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
        self.stirred = true;
        if !request.adds {
            // It does not know these names; whatever it had of them nobody wants.
            self.forget(&request.names);
            return true;
        }
        let channel = request.channel;
        if code == ErrorCode::InvalidAction {
            self.shut.insert(channel, code);
            self.refuse(request.names, code);
        } else if request.names.len() > 1 && self.invalid < INVALID_MAX {
            let (first, second) = request.names.split_at(request.names.len() / 2);
            for half in [second, first] {
                self.parts.push(Request { adds: true, channel, names: half.to_vec() });
            }
        } else {
            if code == ErrorCode::SymbolLimit {
                self.shut.insert(channel, code);
            }
            self.invalid += usize::from(code == ErrorCode::InvalidSyntax);
            self.refuse(request.names, code);
        }
        true
    }

    fn refuse(&mut self, names: Vec<Name>, code: ErrorCode) {
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

    /// Whether anything is subscribed.
    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
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
        parts.join(", ")
    }
}

//! What each session must receive, computed in the simplest way there is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tickwire_hub::fanout::{CloseReason, Stats};
use tickwire_protocol::{
    Channel, Control, Delivery, Element, Encoding, ErrorCode, Names, OnLag, PerChannel, Symbol,
    Tick,
};

use crate::ops::{Ask, Setting};

pub(crate) const NAMES_PER_SESSION: usize = 7;
pub(crate) const NAMES: usize = 16;
pub(crate) const AGE_MS: u64 = 300;

pub(crate) type Name = (Channel, Symbol);
pub(crate) type Key = (u8, Channel, Symbol);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Idle,
    Ready,
    Blocked,
}

/// Something a session must receive.
#[derive(Debug)]
pub(crate) enum Item {
    Tick {
        tick: Tick,
        batch_end: u64,
        received_ms: u64,
    },
    Control {
        control: Control,
        queued_ms: u64,
    },
    /// In any order.
    LastValues {
        ticks: Vec<Tick>,
        queued_ms: u64,
    },
}

/// A batch as it came to a shard, with positions as they are in the log.
pub(crate) struct Taken<'a> {
    pub(crate) end: u64,
    pub(crate) received_ms: u64,
    pub(crate) ticks: &'a [(u8, Tick)],
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) feed: u8,
    pub(crate) encoding: Encoding,
    names: BTreeSet<Name>,
    wild: BTreeSet<Channel>,
    pub(crate) pending: VecDeque<Item>,
    pub(crate) deaf: bool,
    pub(crate) ending: Option<CloseReason>,
    pub(crate) flow: Flow,
    pub(crate) blocked_ms: u64,
    /// The socket takes no more.
    pub(crate) stalled: bool,
    /// All is sent and the close frame stands behind it.
    pub(crate) close_queued: bool,
    pub(crate) close_written: bool,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) sessions: BTreeMap<u32, Session>,
    last: BTreeMap<Key, Tick>,
    /// Batches that end here or before are gone.
    pub(crate) gone: u64,
    pub(crate) head: u64,
    pub(crate) now_ms: u64,
    pub(crate) lagged: BTreeSet<u32>,
    applied: u64,
    pub(crate) delivered: u64,
    fell_out: u64,
    backlog_ticks: usize,
    waiting_topics: usize,
}

impl Session {
    fn new(feed: u8, encoding: Encoding) -> Self {
        Self {
            feed,
            encoding,
            names: BTreeSet::new(),
            wild: BTreeSet::new(),
            pending: VecDeque::new(),
            deaf: false,
            ending: None,
            flow: Flow::Idle,
            blocked_ms: 0,
            stalled: false,
            close_queued: false,
            close_written: false,
        }
    }

    fn total(&self) -> usize {
        self.names.len() + self.wild.len()
    }

    pub(crate) fn wake(&mut self) {
        if self.flow == Flow::Idle {
            self.flow = Flow::Ready;
        }
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.pending.push_back(item);
        self.wake();
    }

    pub(crate) fn control(&mut self, control: Control, queued_ms: u64) {
        self.push(Item::Control { control, queued_ms });
    }

    pub(crate) fn pending_ticks(&self) -> usize {
        self.pending.iter().filter(|item| matches!(item, Item::Tick { .. })).count()
    }

    pub(crate) fn has_control(&self) -> bool {
        self.pending.iter().any(|item| !matches!(item, Item::Tick { .. }))
    }

    /// Drops what is pending and every name.
    fn empty(&mut self) {
        self.names.clear();
        self.wild.clear();
        self.deaf = true;
    }

    fn subscription(&self, id: Option<u64>, mut names: Names) -> Control {
        let mut total = PerChannel::<u64>::default();
        for (channel, _) in &self.names {
            total[*channel] += 1;
        }
        for channel in &self.wild {
            total[*channel] += 1;
        }
        sort(&mut names);
        Control::Subscription {
            id,
            names: Box::new(names),
            total,
            delivery: Delivery::Every,
            on_lag: OnLag::Close,
            modes: Vec::new(),
        }
    }

    /// Takes one received element off the list, and says whether it was a live tick.
    pub(crate) fn receive(&mut self, element: Element) -> bool {
        let front = self.pending.front_mut().expect("nothing more is due");
        match (front, element) {
            (Item::Tick { tick, .. }, Element::Tick(got)) => {
                assert_eq!(*tick, got);
                self.pending.pop_front();
                true
            }
            (Item::LastValues { ticks, .. }, Element::Tick(got)) => {
                let place = ticks.iter().position(|tick| *tick == got);
                ticks.swap_remove(place.expect("a last value, once"));
                if ticks.is_empty() {
                    self.pending.pop_front();
                }
                false
            }
            (Item::Control { control, .. }, Element::Control(got)) => {
                assert_eq!(*control, comparable(got));
                self.pending.pop_front();
                false
            }
            (due, got) => panic!("due: {due:?}, received: {got:?}"),
        }
    }
}

impl Shard {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self {
            sessions: BTreeMap::new(),
            last: BTreeMap::new(),
            gone: 0,
            head: 1,
            now_ms: 0,
            lagged: BTreeSet::new(),
            applied: 0,
            delivered: 0,
            fell_out: 0,
            backlog_ticks: setting.backlog_ticks,
            waiting_topics: setting.waiting_topics,
        }
    }

    pub(crate) fn open(&mut self, slot: u32, feed: u8, encoding: Encoding) {
        let before = self.sessions.insert(slot, Session::new(feed, encoding));
        assert!(before.is_none(), "the slot is in use");
    }

    pub(crate) fn close(&mut self, slot: u32) {
        self.sessions.remove(&slot).unwrap();
        self.lagged.remove(&slot);
    }

    pub(crate) fn session(&mut self, slot: u32) -> &mut Session {
        self.sessions.get_mut(&slot).unwrap()
    }

    pub(crate) fn apply(&mut self, batch: &Taken<'_>) {
        for (feed, tick) in batch.ticks {
            let name = (tick.channel(), tick.symbol);
            self.last.insert((*feed, name.0, name.1), tick.clone());
            for (slot, session) in &mut self.sessions {
                let wants = session.names.contains(&name) || session.wild.contains(&name.0);
                if session.feed != *feed || !wants || session.deaf {
                    continue;
                }
                let (batch_end, received_ms) = (batch.end, batch.received_ms);
                session.push(Item::Tick { tick: tick.clone(), batch_end, received_ms });
                if session.pending_ticks() > self.backlog_ticks {
                    session.deaf = true;
                    self.lagged.insert(*slot);
                }
            }
        }
        self.applied += batch.ticks.len() as u64;
        self.head = batch.end;
    }

    pub(crate) fn fell_out(&mut self, to: u64) {
        self.gone = self.gone.max(self.head);
        self.head = to;
        self.fell_out += 1;
        for (slot, session) in &mut self.sessions {
            if session.total() > 0 && !session.deaf {
                session.deaf = true;
                self.lagged.insert(*slot);
            }
        }
    }

    /// Says whether any session is blocked.
    pub(crate) fn check_ages(&mut self) -> bool {
        let mut blocked = false;
        let old = |since: u64| self.now_ms.saturating_sub(since) > AGE_MS;
        for (slot, session) in &mut self.sessions {
            if session.flow != Flow::Blocked {
                continue;
            }
            blocked = true;
            let oldest_tick = session.pending.iter().find_map(|item| match item {
                Item::Tick { batch_end, received_ms, .. } => Some((*batch_end, *received_ms)),
                _ => None,
            });
            let behind = oldest_tick.is_some_and(|(end, at)| end <= self.gone || old(at));
            let stuck = session.pending.iter().any(|item| match item {
                Item::Tick { .. } => false,
                Item::Control { queued_ms, .. } | Item::LastValues { queued_ms, .. } => {
                    old(*queued_ms)
                }
            });
            if !session.deaf && (behind || stuck || old(session.blocked_ms)) {
                session.deaf = true;
                self.lagged.insert(*slot);
            }
        }
        blocked
    }

    pub(crate) fn finish(&mut self, slot: u32, reason: CloseReason) {
        let now_ms = self.now_ms;
        let session = self.session(slot);
        session.empty();
        session.ending = Some(reason);
        if reason == CloseReason::SlowClient {
            session.pending.clear();
            session.control(error(ErrorCode::SlowClient, None), now_ms);
        }
        session.wake();
    }

    pub(crate) fn hush(&mut self, slot: u32) {
        let session = self.session(slot);
        session.empty();
        session.pending.clear();
        session.wake();
    }

    pub(crate) fn subscribe(
        &mut self,
        slot: u32,
        asked: &Ask,
        snapshot: Option<bool>,
        id: Option<u64>,
    ) {
        let now_ms = self.now_ms;
        let held: usize = self.sessions.values().map(Session::total).sum();
        let waiting = self.waiting();
        let session = self.sessions.get_mut(&slot).unwrap();
        if session.deaf {
            return;
        }
        let (named, wild) = split(asked);
        let known = |name: &Name| {
            let key = (session.feed, name.0, name.1);
            self.last.contains_key(&key) || waiting.contains(&key)
        };
        let unknown = named.iter().filter(|name| !known(name)).count();
        let names: Vec<Name> =
            named.into_iter().filter(|name| !session.names.contains(name)).collect();
        let wild: Vec<Channel> =
            wild.into_iter().filter(|channel| !session.wild.contains(channel)).collect();
        let added = names.len() + wild.len();
        if (unknown > 0 && waiting.len() + unknown > self.waiting_topics)
            || session.total() + added > NAMES_PER_SESSION
            || held + added > NAMES
        {
            return session.control(error(ErrorCode::SymbolLimit, id), now_ms);
        }
        session.names.extend(&names);
        session.wild.extend(&wild);
        session.control(session.subscription(id, joined(&names, &wild)), now_ms);

        let of_names = snapshot.unwrap_or(true) && !names.is_empty();
        let of_wild = snapshot == Some(true) && !wild.is_empty();
        let wanted = |(feed, channel, symbol): &Key| {
            let named = of_names && names.contains(&(*channel, *symbol));
            *feed == session.feed && (named || (of_wild && wild.contains(channel)))
        };
        let ticks: Vec<Tick> =
            self.last.iter().filter(|(key, _)| wanted(key)).map(|(_, tick)| tick.clone()).collect();
        if of_names || of_wild {
            session.control(Control::Snapshot { ticks: ticks.len() as u64 }, now_ms);
            if !ticks.is_empty() {
                session.push(Item::LastValues { ticks, queued_ms: now_ms });
            }
            session.control(Control::Live, now_ms);
        }
    }

    pub(crate) fn unsubscribe(&mut self, slot: u32, asked: &Ask, id: Option<u64>) {
        let now_ms = self.now_ms;
        let session = self.session(slot);
        if session.deaf {
            return;
        }
        let (named, wild) = split(asked);
        let names: Vec<Name> =
            named.into_iter().filter(|name| session.names.remove(name)).collect();
        let wild: Vec<Channel> =
            wild.into_iter().filter(|channel| session.wild.remove(channel)).collect();
        session.control(session.subscription(id, joined(&names, &wild)), now_ms);
    }

    pub(crate) fn list(&mut self, slot: u32, id: Option<u64>) {
        let now_ms = self.now_ms;
        let session = self.session(slot);
        if !session.deaf {
            let names: Vec<Name> = session.names.iter().copied().collect();
            let wild: Vec<Channel> = session.wild.iter().copied().collect();
            session.control(session.subscription(id, joined(&names, &wild)), now_ms);
        }
    }

    pub(crate) fn reject(&mut self, slot: u32, id: Option<u64>) {
        let now_ms = self.now_ms;
        let session = self.session(slot);
        if !session.deaf {
            session.control(error(ErrorCode::InvalidSyntax, id), now_ms);
        }
    }

    /// Names that somebody waits for and that have never ticked.
    fn waiting(&self) -> BTreeSet<Key> {
        let names = self.sessions.values().flat_map(|session| {
            session.names.iter().map(|(channel, symbol)| (session.feed, *channel, *symbol))
        });
        names.filter(|key| !self.last.contains_key(key)).collect()
    }

    pub(crate) fn ready(&self) -> Vec<u32> {
        let ready = self.sessions.iter().filter(|(_, session)| session.flow == Flow::Ready);
        ready.map(|(slot, _)| *slot).collect()
    }

    /// All but the bytes of control frames, which the model does not know.
    pub(crate) fn stats(&self, control_bytes: usize) -> Stats {
        let sum = |of: fn(&Session) -> usize| self.sessions.values().map(of).sum::<usize>();
        Stats {
            ticks_applied: self.applied,
            ticks_delivered: self.delivered,
            backlog_ticks: sum(Session::pending_ticks) as u64,
            control_bytes,
            subscriptions: sum(Session::total),
            fell_out: self.fell_out,
            ticks_conflated: 0,
            degraded: 0,
        }
    }
}

pub(crate) fn error(code: ErrorCode, id: Option<u64>) -> Control {
    Control::Error { code, detail: None, id }
}

/// Without what is only for people, and with names in order.
fn comparable(control: Control) -> Control {
    match control {
        Control::Error { code, id, .. } => error(code, id),
        Control::Subscription { id, mut names, total, delivery, on_lag, modes } => {
            sort(&mut names);
            Control::Subscription { id, names, total, delivery, on_lag, modes }
        }
        other => other,
    }
}

fn sort(names: &mut Names) {
    for channel in Channel::ALL {
        names[channel].symbols.sort_unstable();
    }
}

/// What a command names, each once.
fn split(asked: &Ask) -> (BTreeSet<Name>, BTreeSet<Channel>) {
    let (mut names, mut wild) = (BTreeSet::new(), BTreeSet::new());
    for (channel, symbol) in asked {
        match symbol {
            Some(symbol) => drop(names.insert((*channel, Symbol::new(symbol).unwrap()))),
            None => drop(wild.insert(*channel)),
        }
    }
    (names, wild)
}

fn joined(names: &[Name], wild: &[Channel]) -> Names {
    let mut joined = Names::default();
    for (channel, symbol) in names {
        joined[*channel].symbols.push(*symbol);
    }
    for channel in wild {
        joined[*channel].all = true;
    }
    joined
}

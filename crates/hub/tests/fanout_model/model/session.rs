//! One session of the model: its subscriptions and expected elements.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tickwire_hub::fanout::CloseReason;
use tickwire_protocol::{
    Channel, Control, Delivery, DeliveryGroup, Element, Encoding, ErrorCode, MaxRate, OnLag,
    SubscriptionSet, Symbol, Tick,
};

use super::Name;
use super::rate_groups::{Rate, RateGroups};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Idle,
    Ready,
    Blocked,
}

/// An expected element, at its place in the order.
#[derive(Debug)]
pub(crate) enum Item {
    Tick {
        tick: Tick,
        batch_end: u64,
        received_ns: u64,
    },
    Control {
        control: Control,
        queued_ns: u64,
    },
    /// In any order.
    LastValues {
        ticks: Vec<Tick>,
        queued_ns: u64,
    },
    /// Gaps by topic, in any order.
    Gaps {
        gaps: BTreeMap<Name, (Option<u64>, Option<u64>)>,
        queued_ns: u64,
    },
    /// Newest ticks that were pending at the end of the session, in any order.
    Newest {
        ticks: Vec<Tick>,
        queued_ns: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) feed: u8,
    pub(crate) encoding: Encoding,
    pub(super) names: BTreeMap<Name, Delivery>,
    pub(super) wildcards: BTreeMap<Channel, Delivery>,
    pub(super) on_lag: OnLag,
    pub(crate) pending: VecDeque<Item>,
    pub(super) rate_groups: RateGroups,
    /// Whether the session takes no further ticks and commands: it lags, ends or is detached.
    pub(crate) detached: bool,
    /// Subscribed ticks since the session lagged.
    pub(super) missed: Vec<Tick>,
    /// Whether the session lags because the log overran the shard.
    pub(super) unseen: bool,
    pub(crate) ending: Option<CloseReason>,
    pub(crate) flow: Flow,
    pub(crate) blocked_ns: u64,
    /// Whether the socket is full.
    pub(crate) stalled: bool,
    /// Whether everything before the close frame is sent.
    pub(crate) close_queued: bool,
    pub(crate) close_written: bool,
    /// Whether the session has had a name with a rate, so that an outdated timer may fire for it.
    pub(crate) was_paced: bool,
    /// The last received number of each topic.
    seen: BTreeMap<Name, u64>,
    /// Newest ticks that are pending although a snapshot in flight at the lag contains them; the
    /// content of that snapshot is no longer known.
    pub(super) may_repeat: BTreeSet<(Name, u64)>,
}

impl Session {
    pub(super) fn new(slot: u32, feed: u8, encoding: Encoding) -> Self {
        Self {
            feed,
            encoding,
            names: BTreeMap::new(),
            wildcards: BTreeMap::new(),
            on_lag: OnLag::Close,
            pending: VecDeque::new(),
            rate_groups: RateGroups::new(slot),
            detached: false,
            missed: Vec::new(),
            unseen: false,
            ending: None,
            flow: Flow::Idle,
            blocked_ns: 0,
            stalled: false,
            close_queued: false,
            close_written: false,
            was_paced: false,
            seen: BTreeMap::new(),
            may_repeat: BTreeSet::new(),
        }
    }

    /// Returns the delivery of a topic. A name overrides `"*"`.
    pub(crate) fn delivery(&self, name: Name) -> Option<Delivery> {
        self.names.get(&name).or_else(|| self.wildcards.get(&name.0)).copied()
    }

    pub(super) fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.names.values().chain(self.wildcards.values()).copied()
    }

    pub(super) fn wants_every(&self) -> bool {
        self.deliveries().any(|delivery| delivery == Delivery::Every)
    }

    pub(super) fn rates(&self) -> BTreeSet<MaxRate> {
        let rate = |delivery| match delivery {
            Delivery::Latest { max_rate } => max_rate,
            Delivery::Every => None,
        };
        self.deliveries().filter_map(rate).collect()
    }

    pub(crate) fn total(&self) -> usize {
        self.names.len() + self.wildcards.len()
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

    pub(crate) fn control(&mut self, control: Control, queued_ns: u64) {
        self.push(Item::Control { control, queued_ns });
    }

    /// Marks the newest tick of a topic as pending. Returns whether one was pending already.
    pub(super) fn mark_dirty(&mut self, name: Name, rate: Rate, now_ns: u64) -> bool {
        let again = self.rate_groups.mark_dirty(name, rate, &self.rates(), now_ns);
        if rate.is_none() {
            self.wake();
        }
        again
    }

    pub(super) fn sent_newest(&mut self, name: Name, now_ns: u64) {
        let rates = self.rates();
        self.rate_groups.sent(name, &rates, now_ns);
    }

    /// Returns whether any newest tick may be sent now.
    pub(crate) fn has_due(&self, now_ns: u64) -> bool {
        self.rate_groups.due(now_ns).next().is_some()
    }

    /// Returns when the next newest tick may be sent, if any is pending.
    pub(crate) fn next_send_ns(&self) -> Option<u64> {
        self.rate_groups.next_send_time()
    }

    pub(super) fn lags(&mut self) {
        self.detached = true;
    }

    pub(crate) fn pending_ticks(&self) -> usize {
        self.pending.iter().filter(|item| matches!(item, Item::Tick { .. })).count()
    }

    pub(crate) fn has_control(&self) -> bool {
        self.pending.iter().any(|item| !matches!(item, Item::Tick { .. }))
    }

    /// Returns whether the next tick in order has left the log.
    pub(crate) fn next_is_evicted(&self, evicted_end: u64) -> bool {
        matches!(self.pending.front(), Some(Item::Tick { batch_end, .. }) if *batch_end <= evicted_end)
    }

    /// Removes every name and its pending ticks.
    pub(super) fn empty(&mut self) {
        self.names.clear();
        self.wildcards.clear();
        self.rate_groups.forget(|_| true);
        self.detached = true;
    }

    /// Returns whether the next element in order is this tick.
    pub(crate) fn expects(&self, tick: &Tick) -> bool {
        matches!(self.pending.front(), Some(Item::Tick { tick: due, .. }) if due == tick)
    }

    /// Removes a received element from the expected ones.
    pub(crate) fn receive(&mut self, element: Element) {
        let front = self.pending.front_mut().expect("no element is expected");
        let done = match (front, element) {
            (Item::Tick { tick, .. }, Element::Tick(got)) => {
                assert_eq!(*tick, got);
                true
            }
            (Item::LastValues { ticks, .. } | Item::Newest { ticks, .. }, Element::Tick(got)) => {
                let place = ticks.iter().position(|tick| *tick == got);
                ticks.swap_remove(place.expect("an expected tick, received once"));
                ticks.is_empty()
            }
            (Item::Control { control, .. }, Element::Control(got)) => {
                assert_eq!(*control, comparable(got));
                true
            }
            (
                Item::Gaps { gaps, .. },
                Element::Control(Control::Gap { channel, symbol, from, to, .. }),
            ) => {
                assert_eq!(gaps.remove(&(channel, symbol)), Some((from, to)), "{symbol}: {gaps:?}");
                gaps.is_empty()
            }
            (due, got) => panic!("expected: {due:?}, received: {got:?}"),
        };
        if done {
            self.pending.pop_front();
        }
    }

    /// Asserts the guarantees that a reader relies on: numbers only increase, and no tick arrives
    /// that was reported missing.
    pub(crate) fn check_order(&mut self, element: &Element, in_snapshot: bool) {
        match element {
            Element::Tick(tick) => {
                let name = (tick.channel(), tick.symbol);
                let seen = self.seen.entry(name).or_default();
                if tick.seq.0 <= *seen {
                    let may_repeat = in_snapshot || self.may_repeat.remove(&(name, *seen));
                    assert!(may_repeat && tick.seq.0 == *seen, "{tick:?} after {seen}");
                }
                *seen = tick.seq.0;
            }
            Element::Control(Control::Gap { channel, symbol, to: Some(to), .. }) => {
                let seen = self.seen.entry((*channel, *symbol)).or_default();
                *seen = (*seen).max(*to);
            }
            Element::Control(_) => {}
        }
    }

    /// Returns all names; in each channel symbols first and `"*"` last.
    pub(super) fn all(&self) -> impl Iterator<Item = (Channel, Option<Symbol>, Delivery)> {
        let names = self.names.iter().map(|((channel, symbol), d)| (*channel, Some(*symbol), *d));
        names.chain(self.wildcards.iter().map(|(channel, d)| (*channel, None, *d)))
    }
}

pub(super) fn error(code: ErrorCode, id: Option<u64>) -> Control {
    Control::Error { code, detail: None, id }
}

/// Normalises a control element: removes texts, and sorts names and modes.
pub(super) fn comparable(control: Control) -> Control {
    match control {
        Control::Error { code, id, .. } => error(code, id),
        Control::Subscription {
            id,
            mut names,
            total,
            delivery,
            on_lag,
            mut modes,
            pos,
            resumed,
            from,
        } => {
            sort(&mut names);
            modes.iter_mut().for_each(|mode| sort(&mut mode.names));
            modes.sort_by_key(|DeliveryGroup { delivery, .. }| match delivery {
                Delivery::Every => None,
                Delivery::Latest { max_rate } => Some(*max_rate),
            });
            Control::Subscription { id, names, total, delivery, on_lag, modes, pos, resumed, from }
        }
        other => other,
    }
}

fn sort(names: &mut SubscriptionSet) {
    for channel in Channel::ALL {
        names[channel].symbols.sort_unstable();
    }
}

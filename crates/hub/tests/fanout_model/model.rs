//! The model: computes what each session must receive, in the simplest way.

mod commands;
mod lag;
mod rate_groups;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use tickwire_hub::fanout::{CloseReason, FeedId, Stats, TopicInterest};
use tickwire_protocol::{Channel, Delivery, Encoding, ErrorCode, Symbol, Tick};

use crate::ops::Setting;
pub(crate) use rate_groups::STEP_NS;
pub(crate) use session::{Flow, Item, Session};

pub(crate) const NAMES_PER_SESSION: usize = 12;
pub(crate) const NAMES: usize = 60;
pub(crate) const AGE_NS: u64 = 300_000_000;
const RATES_PER_SESSION: usize = 8;
/// Interval from which values may be up to 10 ms old when sent.
const SLOW_INTERVAL_NS: u64 = 50_000_000;

pub(crate) type Name = (Channel, Symbol);
pub(crate) type Key = (u8, Channel, Symbol);

/// A batch with its positions in the log.
pub(crate) struct AppliedBatch<'a> {
    pub(crate) end: u64,
    pub(crate) received_ns: u64,
    pub(crate) ticks: &'a [(u8, Tick)],
}

/// The newest tick of a topic, and the number of ticks that the shard had seen by then.
#[derive(Debug)]
struct Last {
    tick: Tick,
    count: u64,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) sessions: BTreeMap<u32, Session>,
    last: BTreeMap<Key, Last>,
    /// End of the evicted ticks: batches that end at or before this position have left the log.
    pub(crate) evicted_end: u64,
    pub(crate) head: u64,
    pub(crate) now_ns: u64,
    pub(crate) lagged: BTreeSet<u32>,
    pub(crate) delivered: u64,
    applied: u64,
    conflated: u64,
    downgraded: u64,
    log_overruns: u64,
    /// Number of ticks that the shard had seen when the log last overran it.
    seen_before: u64,
    setting: Setting,
}

impl Shard {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self {
            sessions: BTreeMap::new(),
            last: BTreeMap::new(),
            evicted_end: 0,
            head: 1,
            now_ns: 0,
            lagged: BTreeSet::new(),
            delivered: 0,
            applied: 0,
            conflated: 0,
            downgraded: 0,
            log_overruns: 0,
            seen_before: 0,
            setting: setting.clone(),
        }
    }

    pub(crate) fn open(&mut self, slot: u32, feed: u8, encoding: Encoding) {
        let before = self.sessions.insert(slot, Session::new(slot, feed, encoding));
        assert!(before.is_none(), "the slot is in use");
    }

    pub(crate) fn close(&mut self, slot: u32) {
        self.sessions.remove(&slot).unwrap();
        self.lagged.remove(&slot);
    }

    pub(crate) fn session(&mut self, slot: u32) -> &mut Session {
        self.sessions.get_mut(&slot).unwrap()
    }

    /// Marks sessions as ready whose send time has passed.
    pub(crate) fn begin_turn(&mut self, now_ns: u64, log_start: u64) {
        self.now_ns = now_ns;
        self.evicted_end = self.evicted_end.max(log_start);
        for session in self.sessions.values_mut() {
            if session.rate_groups.next_send_time().is_some_and(|time| time + STEP_NS <= now_ns) {
                session.wake();
            }
        }
    }

    pub(crate) fn apply(&mut self, batch: &AppliedBatch<'_>) {
        for (feed, tick) in batch.ticks {
            let name = (tick.channel(), tick.symbol);
            self.applied += 1;
            let last = Last { tick: tick.clone(), count: self.applied };
            self.last.insert((*feed, name.0, name.1), last);
            for (slot, session) in &mut self.sessions {
                if session.feed != *feed {
                    continue;
                }
                match session.delivery(name) {
                    None => {}
                    Some(Delivery::Every) if session.detached => session.missed.push(tick.clone()),
                    Some(Delivery::Every) => {
                        let batch_end = batch.end;
                        let received_ns = batch.received_ns;
                        session.push(Item::Tick { tick: tick.clone(), batch_end, received_ns });
                        if session.pending_ticks() > self.setting.backlog_ticks {
                            session.lags();
                            self.lagged.insert(*slot);
                        }
                    }
                    Some(Delivery::Latest { max_rate }) => {
                        let again = session.mark_dirty(name, max_rate, self.now_ns);
                        self.conflated += u64::from(again);
                    }
                }
            }
        }
        self.head = batch.end;
    }

    /// Ends a session. Its pending newest ticks are queued as control frames, unless those exceed
    /// the limit on their total size.
    pub(crate) fn finish(&mut self, slot: u32, reason: CloseReason, held_bytes: usize) {
        let now_ns = self.now_ns;
        let session = self.sessions.get_mut(&slot).unwrap();
        let newest = |(channel, symbol)| &self.last[&(session.feed, channel, symbol)].tick;
        let ticks: Vec<Tick> = session.rate_groups.dirty().map(newest).cloned().collect();
        session.empty();
        session.ending = Some(reason);
        if reason == CloseReason::SlowClient {
            session.pending.clear();
            session.control(session::error(ErrorCode::SlowClient, None), now_ns);
        } else if !ticks.is_empty() && held_bytes <= self.setting.total_control_bytes {
            session.push(Item::Newest { ticks, queued_ns: now_ns });
        }
        session.wake();
    }

    /// Ends a session without sending anything more.
    pub(crate) fn detach(&mut self, slot: u32) {
        let session = self.session(slot);
        session.empty();
        session.pending.clear();
        session.wake();
    }

    /// Handles a tick that was sent as the newest of its topic.
    pub(crate) fn sent_newest(&mut self, slot: u32, tick: &Tick) {
        let session = self.sessions.get_mut(&slot).unwrap();
        let name = (tick.channel(), tick.symbol);
        assert!(!session.has_control(), "{name:?} has overtaken a control frame");
        let newest = &self.last[&(session.feed, name.0, name.1)].tick;
        assert_eq!(tick, newest, "a tick that was not the newest when it was sent");
        session.sent_newest(name, self.now_ns);
    }

    /// Returns the length in bytes of the longest tick that should be sent first, or 0.
    pub(crate) fn longest_newest(&self, slot: u32) -> usize {
        let session = &self.sessions[&slot];
        let bytes = |(channel, symbol)| {
            let mut bytes = Vec::new();
            session
                .encoding
                .write_tick(&self.last[&(session.feed, channel, symbol)].tick, &mut bytes);
            bytes.len()
        };
        session.rate_groups.required(self.now_ns).map(bytes).max().unwrap_or(0)
    }

    pub(crate) fn ready(&self) -> BTreeSet<u32> {
        let ready = self.sessions.iter().filter(|(_, session)| session.flow == Flow::Ready);
        ready.map(|(slot, _)| *slot).collect()
    }

    /// Returns whether any name needs its ticks at once. Only slow rates permit a delay.
    pub(crate) fn is_eager(&self) -> bool {
        let is_slow = |delivery| match delivery {
            Delivery::Latest { max_rate: Some(rate) } => rate.interval_ns() >= SLOW_INTERVAL_NS,
            _ => false,
        };
        self.sessions.values().flat_map(Session::deliveries).any(|delivery| !is_slow(delivery))
    }

    /// Returns the number of subscribed sessions of each interest.
    pub(crate) fn interest(&self) -> BTreeMap<TopicInterest, i64> {
        let mut subscribers = BTreeMap::new();
        for session in self.sessions.values() {
            let feed = FeedId(session.feed);
            for (channel, symbol, _) in session.all() {
                *subscribers.entry(TopicInterest { feed, channel, symbol }).or_default() += 1;
            }
        }
        subscribers
    }

    /// Returns the expected statistics, without the bytes of control frames, which the model does
    /// not know.
    pub(crate) fn stats(&self, control_bytes: usize) -> Stats {
        let sum = |of: fn(&Session) -> usize| self.sessions.values().map(of).sum::<usize>();
        Stats {
            ticks_applied: self.applied,
            ticks_delivered: self.delivered,
            ticks_conflated: self.conflated,
            backlog_ticks: sum(Session::pending_ticks) as u64,
            control_bytes,
            subscriptions: sum(Session::total),
            log_overruns: self.log_overruns,
            downgraded: self.downgraded,
            ..Stats::default()
        }
    }
}

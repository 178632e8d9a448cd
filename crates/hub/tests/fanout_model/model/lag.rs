//! Lag: which sessions lag, and their downgrade to newest values.

use std::collections::BTreeMap;

use tickwire_protocol::{Delivery, OnLag};

use super::commands::{conflates, delivery_of};
use super::session::{Flow, Item, Session};
use super::{AGE_NS, Name, Shard};

/// The ticks of one topic that a session misses.
#[derive(Debug, Clone, Copy)]
struct Missed {
    first: u64,
    last: u64,
    /// Whether the last of them is the topic's newest tick, which follows the gap.
    follows: bool,
    /// Number of ticks that the shard had seen when the newest tick of the topic arrived.
    count: u64,
}

impl Shard {
    /// Handles a log overrun: the shard has not seen the ticks before `to`.
    pub(crate) fn log_overruns(&mut self, to: u64) {
        self.evicted_end = self.evicted_end.max(self.head);
        self.head = to;
        self.log_overruns += 1;
        self.seen_before = self.applied;
        for (slot, session) in &mut self.sessions {
            if session.wants_every() && !session.detached {
                session.lags();
                session.unseen = true;
                self.lagged.insert(*slot);
            }
        }
    }

    /// Makes blocked sessions lag whose pending data is too old. Returns whether any session is
    /// blocked.
    pub(crate) fn check_ages(&mut self) -> bool {
        let mut blocked = false;
        let old = |since: u64| self.now_ns.saturating_sub(since) > AGE_NS;
        for (slot, session) in &mut self.sessions {
            if session.flow != Flow::Blocked {
                continue;
            }
            blocked = true;
            let tick = session.pending.iter().find_map(|item| match item {
                Item::Tick { batch_end, received_ns, .. } => Some((*batch_end, *received_ns)),
                _ => None,
            });
            let lags = match tick {
                Some((end, received)) => {
                    end <= self.evicted_end || old(received) || old(session.blocked_ns)
                }
                None => {
                    // The session misses nothing, so it ends only with `on_lag` `close`.
                    let ends = session.on_lag == OnLag::Close
                        && (session.wants_every() || session.total() == 0);
                    ends && (old(session.blocked_ns) || session.oldest_control().is_some_and(old))
                }
            };
            if lags && !session.detached {
                session.lags();
                self.lagged.insert(*slot);
            }
        }
        blocked
    }

    /// Applies the limit over all sessions: blocked sessions lag, those with most pending data
    /// first, until the total is below the limit. Bytes of control frames come from the core.
    pub(crate) fn shed_load(&mut self, bytes_of: impl Fn(u32) -> usize) {
        let held = self.stats(self.sessions.keys().map(|slot| bytes_of(*slot)).sum());
        let mut ticks = held.backlog_ticks.saturating_sub(self.setting.total_backlog_ticks);
        let mut bytes = held.control_bytes.saturating_sub(self.setting.total_control_bytes);
        let blocked = self
            .sessions
            .iter_mut()
            .filter(|(_, session)| session.flow == Flow::Blocked && !session.detached);
        let mut blocked: Vec<(u32, &mut Session)> =
            blocked.map(|(slot, session)| (*slot, session)).collect();
        blocked.sort_by_key(|(slot, session)| {
            std::cmp::Reverse(4 * session.pending_ticks() + bytes_of(*slot))
        });
        for (slot, session) in blocked {
            let its_ticks = session.pending_ticks() as u64;
            let its_bytes = bytes_of(slot);
            let must_end = bytes > 0 && its_bytes > 0;
            if !must_end && (ticks == 0 || its_ticks == 0) {
                continue;
            }
            ticks = ticks.saturating_sub(its_ticks);
            bytes = bytes.saturating_sub(its_bytes);
            if must_end {
                session.on_lag = OnLag::Close;
            }
            session.lags();
            self.lagged.insert(slot);
        }
    }

    /// Switches a lagging session with `on_lag` `latest` to newest values. Returns whether it did,
    /// rather than leave the session to be ended.
    pub(crate) fn downgrade(&mut self, slot: u32) -> bool {
        let session = &self.sessions[&slot];
        if session.on_lag != OnLag::Latest
            || session.ending.is_some()
            || (!session.wants_every() && session.pending_ticks() == 0)
        {
            return false;
        }
        let missed = self.missed(session);
        let mut gaps = self.gaps(session, &missed);
        // Without a gap the session would not learn of the change, so its oldest newest tick is
        // dropped and reported.
        let mut dropped = None;
        if gaps.is_empty()
            && let Some((name, missed)) = missed
                .iter()
                .filter(|(_, missed)| missed.follows)
                .min_by_key(|(_, missed)| missed.count)
        {
            let from = if session.has_evicted(self.evicted_end) { None } else { Some(missed.last) };
            gaps.insert(*name, (from, Some(missed.last)));
            dropped = Some(*name);
        }
        let now_ns = self.now_ns;
        let stays = gaps.is_empty() && session.unseen;
        self.downgraded += u64::from(!stays);
        let session = self.session(slot);
        session.pending.retain(|item| !matches!(item, Item::Tick { .. }));
        session.missed.clear();
        session.detached = false;
        session.unseen = false;
        if stays {
            session.wake();
            return true;
        }
        session.conflate_all();
        if !gaps.is_empty() {
            session.push(Item::Gaps { gaps, queued_ns: now_ns });
        }
        for (name, _) in missed.iter().filter(|(_, missed)| missed.follows) {
            if dropped != Some(*name) {
                session.mark_dirty(*name, None, now_ns);
                session.note_snapshot_of(*name);
            }
        }
        session.wake();
        true
    }

    /// Returns the ticks that a session misses, by topic.
    fn missed(&self, session: &Session) -> BTreeMap<Name, Missed> {
        let pending = session.pending.iter().filter_map(|item| match item {
            Item::Tick { tick, .. } => Some(tick),
            _ => None,
        });
        let mut missed: BTreeMap<Name, Missed> = BTreeMap::new();
        for tick in pending.chain(&session.missed) {
            let name = (tick.channel(), tick.symbol);
            let newest = &self.last[&(session.feed, name.0, name.1)];
            let wanted = session.delivery(name) == Some(Delivery::Every);
            let follows = wanted && conflates(name.0) && newest.tick.seq == tick.seq;
            let seq = tick.seq.0;
            let count = newest.count;
            let topic =
                missed.entry(name).or_insert(Missed { first: seq, last: seq, follows, count });
            topic.last = seq;
            topic.follows = follows;
        }
        missed
    }

    /// Returns the gaps that the session receives: exactly the missing ticks, as far as they are
    /// known.
    fn gaps(
        &self,
        session: &Session,
        missed: &BTreeMap<Name, Missed>,
    ) -> BTreeMap<Name, (Option<u64>, Option<u64>)> {
        let of_every = |name: &Name| session.delivery(*name) == Some(Delivery::Every);
        if session.unseen {
            let ticked = self.last.keys().filter(|(feed, ..)| *feed == session.feed);
            let seen = ticked.map(|(_, channel, symbol)| (*channel, *symbol));
            let names = seen.chain(session.names.keys().copied()).filter(of_every);
            return names.map(|name| (name, (None, None))).collect();
        }
        let lost = session.has_evicted(self.evicted_end);
        let newest = |name: &Name| self.last[&(session.feed, name.0, name.1)].tick.seq.0;
        missed
            .iter()
            // Of evicted ticks only the newest of each topic is known.
            .filter(|(name, missed)| !lost || of_every(name) && missed.last == newest(name))
            .filter_map(|(name, missed)| {
                let to = missed.last - u64::from(missed.follows);
                let from = (!lost).then_some(missed.first);
                (to >= from.unwrap_or(1)).then_some((*name, (from, Some(to))))
            })
            .collect()
    }
}

impl Session {
    fn oldest_control(&self) -> Option<u64> {
        self.pending.iter().find_map(|item| match item {
            Item::Tick { .. } => None,
            Item::Control { queued_ns, .. }
            | Item::LastValues { queued_ns, .. }
            | Item::Gaps { queued_ns, .. }
            | Item::Newest { queued_ns, .. } => Some(*queued_ns),
        })
    }

    /// Returns whether any pending tick has left the log.
    fn has_evicted(&self, evicted_end: u64) -> bool {
        let lost =
            |item: &Item| matches!(item, Item::Tick { batch_end, .. } if *batch_end <= evicted_end);
        self.pending.iter().any(lost)
    }

    fn note_snapshot_of(&mut self, name: Name) {
        let snapshots = self.pending.iter().filter_map(|item| match item {
            Item::LastValues { ticks, .. } => Some(ticks),
            _ => None,
        });
        let values = snapshots.flatten().filter(|tick| (tick.channel(), tick.symbol) == name);
        self.may_repeat.extend(values.map(|tick| (name, tick.seq.0)));
    }

    fn conflate_all(&mut self) {
        let latest = Delivery::Latest { max_rate: None };
        for (name, delivery) in &mut self.names {
            if *delivery == Delivery::Every {
                *delivery = delivery_of(latest, name.0);
            }
        }
        for (channel, delivery) in &mut self.wildcards {
            if *delivery == Delivery::Every {
                *delivery = delivery_of(latest, *channel);
            }
        }
    }
}

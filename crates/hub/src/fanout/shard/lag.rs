//! Finds sessions that lag: their pending data is too large or too old, or has left the log.

use std::cmp::Reverse;

use tickwire_protocol::{OnLag, UnixNanos};

use super::super::{Position, SessionId};
use super::Shard;
use super::gaps::GAPS_BYTES_MAX;
use super::session::{Acks, DeliveryState, WriteState};

/// A session that lags. It is detached until it ends or continues with `latest`.
#[derive(Debug)]
pub(super) struct Lagged {
    pub(super) id: SessionId,
    pub(super) missed: Missed,
}

/// The ticks that a lagging session misses if it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// Its pending ticks, and the ticks that arrived after it exceeded its limit.
    Pending,
    /// Its pending ticks, ticks that the shard has not seen, and later ones.
    Unseen {
        /// Position from which on the shard has seen all ticks.
        until: Position,
    },
}

impl Shard {
    /// Continues at `to` after a log overrun: the shard was too slow, and the log no longer holds
    /// the ticks before `to`. Every session with a subscription to every tick lags.
    pub(crate) fn on_log_overrun(&mut self, to: Position) {
        self.stats.log_overruns += 1;
        let missed = self.jump(to);
        for id in self.attached_for_every() {
            self.lag(id, missed);
        }
    }

    /// Continues at `to` after ticks that never reached the log
    /// ([`LogBreak::Hole`](super::turn::LogBreak)), so that no shard can see them. Of the sessions
    /// with a subscription to every tick, those with an empty backlog receive gaps and continue;
    /// the others lag.
    pub(crate) fn on_log_hole(&mut self, to: Position) {
        let missed = self.jump(to);
        for id in self.attached_for_every() {
            let hot = self.sessions.hot(id);
            let has_all = hot.delivery == DeliveryState::Live && hot.backlog.is_empty();
            if has_all && self.stats.control_bytes <= GAPS_BYTES_MAX {
                self.report_hole(id, to);
            } else {
                self.lag(id, missed);
            }
        }
    }

    /// Continues at a later position. Returns the missed ticks of the sessions that lag because of
    /// it.
    fn jump(&mut self, to: Position) -> Missed {
        self.window.jump(to);
        self.coverage.miss_until(to);
        let missed = Missed::Unseen { until: to };
        for lagged in &mut self.lagged {
            lagged.missed = missed; // it had lagged just before
        }
        missed
    }

    /// Returns the attached sessions with a subscription to every tick.
    fn attached_for_every(&self) -> Vec<SessionId> {
        let ids = self.sessions.ids().filter(|id| {
            self.sessions.contains(*id)
                && self.sessions.hot(*id).delivery != DeliveryState::Detached
                && self.wants_every(*id)
        });
        ids.collect()
    }

    /// Queues the gaps that report the ticks before `until`, which never reached the log. Sessions
    /// of Alpaca's protocol get none, since it has no gaps.
    fn report_hole(&mut self, id: SessionId, until: Position) {
        if self.sessions[id].acks == Acks::WholeSet {
            return;
        }
        let gaps = self.unseen_gaps(id, until);
        let controls: Vec<_> = gaps.iter().map(|gap| self.gap_control(gap, false)).collect();
        self.controls(id, &controls);
    }

    /// Makes blocked sessions lag whose pending data is too old or has left the log, and releases
    /// unused memory of the other sessions. Cheap enough to be called ten times a second. Returns
    /// whether any session is blocked.
    pub(crate) fn check_ages(&mut self) -> bool {
        self.topics.trim_some(self.window.start(), self.window.head());
        let mut is_any_blocked = false;
        for id in self.sessions.ids() {
            let hot = self.sessions.hot_mut(id);
            if hot.write_state != WriteState::Blocked {
                hot.backlog.release_memory();
                if let Some(latest) = &mut hot.latest {
                    latest.release_memory();
                }
                continue;
            }
            is_any_blocked = true;
            let is_attached = hot.delivery != DeliveryState::Detached;
            if is_attached && self.is_too_far_behind(id) {
                self.lag(id, Missed::Pending);
            }
        }
        is_any_blocked
    }

    /// Returns whether the pending data of a blocked session is too old. Two kinds of session can
    /// wait without limit: those with only `latest` subscriptions, and those with `on_lag` `latest`
    /// and no pending tick, because no gap could report their downgrade.
    fn is_too_far_behind(&self, id: SessionId) -> bool {
        let session = &self.sessions[id];
        let hot = self.sessions.hot(id);
        let age_max = self.limits.backlog_age_ns;
        let is_too_old = |since: UnixNanos| self.now.0.saturating_sub(since.0) > age_max;
        let is_catching_up =
            hot.delivery == DeliveryState::CatchingUp || session.backfilled.contains(&session.sent);
        let is_live_but_held = session.cursor.as_ref().is_some_and(|cursor| cursor.only_holds);
        if is_catching_up && !is_live_but_held {
            return is_too_old(session.blocked_since); // its ticks were old when they were found
        }
        if let Some(oldest) = hot.backlog.oldest() {
            let batch = self.window.locate(oldest).map(|(batch, _)| batch);
            return batch.is_none_or(|batch| is_too_old(batch.received()))
                || is_too_old(session.blocked_since);
        }
        let can_wait =
            session.on_lag == OnLag::Latest || hot.latest.is_some() && !self.wants_every(id);
        let oldest_control = session.control.front().map(|frames| frames.queued);
        !can_wait && (oldest_control.is_some_and(is_too_old) || is_too_old(session.blocked_since))
    }

    /// Makes sessions lag, those with the most pending data first, while all sessions together
    /// exceed their limit. Only blocked sessions can lag: the pending data of the others is sent in
    /// this turn.
    pub(crate) fn shed_load(&mut self) {
        let mut ticks = self.stats.backlog_ticks.saturating_sub(self.limits.total_backlog_ticks);
        let mut bytes = self.stats.control_bytes.saturating_sub(self.limits.total_control_bytes);
        if ticks == 0 && bytes == 0 {
            return;
        }
        for Pending { id, ticks: its_ticks, bytes: its_bytes } in self.blocked_by_size() {
            if ticks == 0 && bytes == 0 {
                return;
            }
            let frees_ticks = ticks > 0 && its_ticks > 0;
            let frees_bytes = bytes > 0 && its_bytes > 0;
            if !frees_ticks && !frees_bytes {
                continue;
            }
            ticks = ticks.saturating_sub(its_ticks as u64);
            bytes = bytes.saturating_sub(its_bytes);
            if frees_bytes {
                self.sessions[id].on_lag = OnLag::Close; // only its end frees its control frames
            }
            self.lag(id, Missed::Pending);
        }
    }

    /// Returns the sizes of the pending data of blocked sessions that are attached, the largest
    /// first.
    fn blocked_by_size(&self) -> Vec<Pending> {
        let mut blocked: Vec<Pending> = self
            .sessions
            .ids()
            .filter_map(|id| {
                let hot = self.sessions.hot(id);
                let is_blocked = hot.write_state == WriteState::Blocked
                    && hot.delivery != DeliveryState::Detached;
                let session = self.sessions.get(id).filter(|_| is_blocked)?;
                Some(Pending { id, ticks: hot.backlog.len(), bytes: session.control_bytes })
            })
            .collect();
        blocked.sort_unstable_by_key(|pending| Reverse(4 * pending.ticks + pending.bytes));
        blocked
    }

    fn lag(&mut self, id: SessionId, missed: Missed) {
        self.sessions.hot_mut(id).delivery = DeliveryState::Detached;
        self.lagged.push(Lagged { id, missed });
    }

    /// Handles the sessions that lag: those with `on_lag` `latest` continue with newest values.
    /// Returns the others, which have to end.
    pub(crate) fn take_lagged(&mut self) -> Vec<SessionId> {
        let mut ending = Vec::new();
        for lagged in std::mem::take(&mut self.lagged) {
            if !self.downgrade_to_latest(&lagged) {
                ending.push(lagged.id);
            }
        }
        ending
    }
}

/// The size of a session's pending data.
struct Pending {
    id: SessionId,
    ticks: usize,
    bytes: usize,
}

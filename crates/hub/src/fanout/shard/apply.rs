//! Applies batches of the log: adds their ticks to the pending data of sessions.

use std::sync::Arc;

use slab::Slab;
use tickwire_protocol::UnixNanos;

use super::super::latest::rate_groups::{Marked, RateGroups};
use super::super::latest::timer_wheel::{Timer, TimerStep, TimerWheel};
use super::super::{Batch, LocalTopicId, SessionId};
use super::Shard;
use super::lag::{Lagged, Missed};
use super::ready_queue::ReadyQueue;
use super::session::{DeliveryState, HotState, Session, WriteState};
use super::session_table::{SessionTable, id_of};
use super::subscriber::Subscriber;

impl Shard {
    /// Applies a batch: records last values, pushes four bytes on the backlog of each session that
    /// wants every tick, and marks topics as dirty for sessions with `latest`.
    pub(crate) fn apply(&mut self, batch: Arc<Batch>) {
        let SessionTable { sessions, hot, .. } = &mut self.sessions;
        let mut fan_out = FanOut {
            hot,
            lagged: &mut self.lagged,
            backlog_max: self.limits.backlog_ticks,
            scheduler: Scheduler {
                now: self.now,
                timers: &mut self.timers,
                ready: &mut self.ready,
            },
            conflated: 0,
        };
        let log_start = self.window.start();
        let seen_from = self.coverage.seen_from();
        let mut queued = 0;
        let mut position = batch.first();
        for numbered in batch.ticks() {
            let index = position.index();
            let (local, topic) = self.topics.record(numbered, position, log_start, seen_from);
            for subscriber in &mut topic.subscribers {
                if let Some(slot) = subscriber.every_slot() {
                    queued += u64::from(fan_out.push(slot, index));
                } else if subscriber.is_dirty() {
                    fan_out.conflated += 1;
                } else if let Some(group) = subscriber.group().index() {
                    fan_out.enqueue_latest(subscriber.session(), |latest, now| {
                        latest.mark_new_dirty(group, local, now)
                    });
                    subscriber.set_dirty(true);
                }
            }
            let wildcards = &self.wildcards[usize::from(topic.key.feed.0)][topic.key.channel];
            for subscriber in wildcards {
                if subscriber.has_names() && is_named(sessions, *subscriber, local) {
                    continue; // a name takes precedence over "*"
                }
                match subscriber.group().index() {
                    None => {
                        queued += u64::from(fan_out.push(subscriber.session().slot(), index));
                    }
                    Some(group) => fan_out.enqueue_latest(subscriber.session(), |latest, now| {
                        latest.mark_dirty(group, local, now)
                    }),
                }
            }
            position = position.plus(1);
        }
        self.stats.ticks_applied += batch.ticks().len() as u64;
        self.stats.backlog_ticks += queued;
        self.stats.ticks_conflated += fan_out.conflated;
        self.window.push(batch);
    }

    /// Makes the sessions ready whose timers have expired.
    pub(super) fn expire_timers(&mut self) {
        let SessionTable { sessions, hot, .. } = &mut self.sessions;
        let ready = &mut self.ready;
        self.timers.advance(self.now, |Timer { id, due }| {
            let hot = &mut hot[id.slot()];
            let cursor = sessions.get_mut(id.slot()).and_then(|session| session.cursor.as_mut());
            let is_playback =
                cursor.and_then(|cursor| cursor.timer.take_if(|timer| *timer == due)).is_some();
            let timers = hot.latest.as_mut().map(|latest| &mut latest.timers);
            let is_send_time = timers.is_some_and(|timers| {
                let index = timers.iter().position(|timer| *timer == due);
                index.map(|index| timers.swap_remove(index)).is_some()
            });
            // Otherwise the timer was set for an earlier session with the same id.
            if (is_playback || is_send_time) && hot.write_state == WriteState::Waiting {
                hot.write_state = WriteState::Ready;
                ready.push(id, hot.delivery);
            }
        });
    }
}

/// Returns whether the session of a `"*"` also subscribes to a topic by name.
fn is_named(sessions: &Slab<Session>, wildcard: Subscriber, topic: LocalTopicId) -> bool {
    sessions[wildcard.session().slot()].find_named(topic).is_ok()
}

/// The parts of a shard that a tick touches for each of its subscribers.
struct FanOut<'a> {
    hot: &'a mut [HotState],
    lagged: &'a mut Vec<Lagged>,
    backlog_max: usize,
    scheduler: Scheduler<'a>,
    /// Ticks that replaced one that was not sent yet.
    conflated: u64,
}

impl FanOut<'_> {
    /// Pushes a tick on the backlog of a live session, and returns whether it did. This is the
    /// hottest path: it runs for every tick and session.
    #[inline]
    fn push(&mut self, slot: usize, index: u32) -> bool {
        let hot = &mut self.hot[slot];
        if hot.delivery != DeliveryState::Live {
            return false;
        }
        hot.backlog.push(index);
        if matches!(hot.write_state, WriteState::Idle | WriteState::Waiting)
            || hot.backlog.len() > self.backlog_max
        {
            self.wake_or_lag(slot);
        }
        true
    }

    /// Handles a session whose backlog has received its first tick, or exceeds its limit.
    #[cold]
    fn wake_or_lag(&mut self, slot: usize) {
        let hot = &mut self.hot[slot];
        let id = id_of(slot);
        if matches!(hot.write_state, WriteState::Idle | WriteState::Waiting) {
            hot.write_state = WriteState::Ready;
            self.scheduler.ready.push(id, hot.delivery);
        }
        if hot.backlog.len() > self.backlog_max {
            hot.delivery = DeliveryState::Detached;
            self.lagged.push(Lagged { id, missed: Missed::Pending });
        }
    }

    /// Marks a topic as dirty for a session, which becomes ready at its send time.
    #[inline]
    fn enqueue_latest(
        &mut self,
        id: SessionId,
        mark: impl FnOnce(&mut RateGroups, UnixNanos) -> Marked,
    ) {
        let hot = &mut self.hot[id.slot()];
        let Some(latest) = &mut hot.latest else { return };
        let send_at = match mark(latest, self.scheduler.now) {
            Marked::Again => {
                self.conflated += 1;
                return;
            }
            Marked::SendNow => UnixNanos::default(),
            Marked::SendAt(send_at) => send_at,
        };
        if matches!(hot.write_state, WriteState::Idle | WriteState::Waiting) {
            self.scheduler.schedule(id, hot, send_at);
        }
    }
}

/// Makes idle sessions ready when they have something to send.
pub(super) struct Scheduler<'a> {
    /// Time of the turn.
    pub(super) now: UnixNanos,
    pub(super) timers: &'a mut TimerWheel,
    pub(super) ready: &'a mut ReadyQueue,
}

impl Scheduler<'_> {
    /// Makes an idle session ready at the send time of its dirty topics: now, or when a timer
    /// expires.
    #[inline]
    pub(super) fn schedule(&mut self, id: SessionId, hot: &mut HotState, send_at: UnixNanos) {
        let Some(latest) = &mut hot.latest else { return };
        if send_at <= self.now {
            hot.write_state = WriteState::Ready;
            self.ready.push(id, hot.delivery);
            return;
        }
        hot.write_state = WriteState::Waiting;
        let due = TimerStep::after(send_at);
        if latest.timers.iter().all(|timer| due < *timer) {
            latest.timers.push(due);
            self.timers.schedule(Timer { id, due });
        }
    }
}

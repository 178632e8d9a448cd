//! Timed work: pings, heartbeats, idle timeouts, backlog ages, deadlines, the drain.

use std::time::{Duration, Instant};

use tickwire_protocol::Control;

use super::ShardTask;
use super::connection::Stage;
use crate::clock;
use crate::fanout::turn::{self, SESSION_CONTROL_BYTES};
use crate::fanout::{CloseReason, SessionId};
use crate::suspension::suspended_for;

/// Interval between two sweeps over all connections.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two sweeps caused by deadlines, so that a client that causes many
/// deadlines does not cause as many sweeps.
const DEADLINE_SWEEP_INTERVAL: Duration = Duration::from_millis(20);
/// Interval between two sweeps while a session is blocked. It is the resolution of backlog ages.
pub(super) const WATCHFUL_INTERVAL: Duration = Duration::from_millis(100);

/// Time between a sweep after a suspension and the next one. Sockets are read and written
/// meanwhile.
const AFTER_SUSPENSION: Duration = Duration::from_millis(250);

impl ShardTask {
    /// Returns the time until the next timer is due.
    pub(super) fn until_timer(&self) -> Duration {
        let others = [self.next_deadline(), self.next_drain_close()].into_iter().flatten();
        let due = others.fold(self.next_sweep, Instant::min);
        let timer = due.saturating_duration_since(clock::monotonic());
        match self.core.next_timer() {
            Some(slot) => timer.min(Duration::from_nanos(slot.0.saturating_sub(self.wall().0))),
            None => timer,
        }
    }

    /// Runs the timers that are due.
    pub(super) fn run_due(&mut self) {
        self.run_drain();
        let due = |at| self.now >= at;
        if due(self.next_sweep) || self.next_deadline().is_some_and(due) {
            self.sweep();
        }
    }

    /// Returns when the next deadline is checked, if there is one.
    fn next_deadline(&self) -> Option<Instant> {
        Some(self.earliest_deadline?.max(self.last_sweep + DEADLINE_SWEEP_INTERVAL))
    }

    /// Returns the session ids of all slots, including those of free slots.
    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> + use<> {
        (0..u32::try_from(self.connections.len()).unwrap_or(u32::MAX)).map(SessionId)
    }

    /// Notices that the process was suspended, from a sweep that is late. The time does not count
    /// against clients. This precedes reading, where the times of messages are checked.
    pub(super) fn notice_suspension(&mut self) {
        if self.was_suspended || self.suspended.is_some() {
            return;
        }
        let Some(time) = suspended_for(self.next_sweep, self.now) else { return };
        self.suspended = Some(time);
        let now = self.now;
        self.connections.iter_mut().flatten().for_each(|connection| connection.forgive(time, now));
    }

    /// Checks the deadline and the keep-alive of every connection, and the ages of backlogs.
    ///
    /// A sweep that is late because the process was suspended only sends pings. What clients sent
    /// meanwhile is read before the next sweep, which judges them even if it is late, too: an
    /// overloaded shard must not spare its slow sessions forever.
    fn sweep(&mut self) {
        self.notice_suspension(); // the turn may have taken long
        let suspended = self.suspended.take();
        self.was_suspended = suspended.is_some();
        self.earliest_deadline = None;
        self.last_sweep = self.now;
        for id in self.ids() {
            let now = self.now;
            let Some(connection) = self.connection(id) else { continue };
            let is_open = connection.stage == Stage::Open;
            match connection.deadline() {
                Some(deadline) if suspended.is_some() => {
                    self.note_deadline(Some(deadline.max(now + AFTER_SUSPENSION)));
                }
                Some(deadline) if self.now >= deadline && is_open => self.close_unauthenticated(id),
                Some(deadline) if self.now >= deadline => self.end_overdue(id),
                deadline => self.note_deadline(deadline),
            }
            if is_open {
                self.check_message(id);
                self.keep_alive(id);
            }
        }
        if let Some(time) = suspended {
            let seconds = time.as_secs_f64();
            tracing::warn!(shard = %self.id, seconds, "the shard did not run for some time");
            self.next_sweep = self.now + AFTER_SUSPENSION;
            return;
        }
        self.watchful = turn::check_ages(self);
        self.next_sweep = self.now + if self.watchful { WATCHFUL_INTERVAL } else { SWEEP_INTERVAL };
    }

    /// Schedules a read of a session whose message takes too long. The read closes the session
    /// unless the end of the message has arrived. A session whose commands wait is read once the
    /// peer has fetched its answers.
    fn check_message(&mut self, id: SessionId) {
        let timeout = self.context.config.message_timeout;
        if let Some(began) = self.get(id).and_then(|connection| connection.message_began())
            && self.now >= began + timeout
        {
            self.core.read_later(id);
        }
    }

    /// Closes an ending connection whose deadline has passed. On shutdown, a peer still receives
    /// the bytes that the kernel holds if the hub has written all others. For a slow peer these
    /// bytes are dropped.
    fn end_overdue(&mut self, id: SessionId) {
        let Some(connection) = self.connection(id) else { return };
        let all_written = connection.own_bytes() == 0;
        match connection.stage {
            Stage::CloseSent { reason: CloseReason::Shutdown, .. } if all_written => {
                self.remove(id)
            }
            _ => self.abort(id),
        }
    }

    /// Sends a ping or a heartbeat if one is due, and closes a connection that has received nothing
    /// within the idle timeout.
    fn keep_alive(&mut self, id: SessionId) {
        let config = &self.context.config;
        let now = self.now;
        let ping_interval = config.ping_interval;
        let idle_timeout = config.idle_timeout;
        let heartbeat = config.heartbeat_interval;
        let Some(connection) = self.connection(id) else { return };
        if connection.stage != Stage::Open {
            return; // closed by this sweep
        }
        if now - connection.last_received > idle_timeout {
            connection.stage = Stage::Finishing { reason: CloseReason::Silent, deadline: now };
            return self.abort(id);
        }
        if connection.receives_notices()
            && now - connection.last_sent >= heartbeat
            && connection.own_bytes() == 0
        {
            connection.last_sent = now; // set now, so that a blocked socket gathers no heartbeats
            let pos = self.core.position(id).map(|position| position.0);
            self.core.control(id, &Control::Heartbeat { time: clock::wall(), pos });
        }
        let Some(connection) = self.connection(id) else { return };
        if now >= connection.next_ping && connection.own_bytes() < SESSION_CONTROL_BYTES {
            connection.ping(now, ping_interval);
            self.core.wake(id);
        }
    }
}

//! What happens by the clock: pings, heartbeats, silence, ages, deadlines, the end.

use std::time::{Duration, Instant};

use tickwire_protocol::Control;

use super::ShardTask;
use super::connection::Stage;
use crate::clock;
use crate::fanout::turn::{self, SESSION_CONTROL_BYTES};
use crate::fanout::{CloseReason, SessionId};

/// How often all sessions are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Deadlines that lie closer together than this are looked at together: who makes many must not make
/// many sweeps.
const DEADLINE_GRAIN: Duration = Duration::from_millis(20);
/// The same while a session is blocked: how exactly its age is known.
pub(super) const WATCHFUL_INTERVAL: Duration = Duration::from_millis(100);

impl ShardTask {
    /// Time until something is due.
    pub(super) fn until_timer(&self) -> Duration {
        let others = [self.next_deadline(), self.next_of_drain()].into_iter().flatten();
        let due = others.fold(self.next_sweep, Instant::min);
        let timer = due.saturating_duration_since(clock::monotonic());
        match self.core.next_timer() {
            Some(slot) => timer.min(Duration::from_nanos(slot.0.saturating_sub(self.wall().0))),
            None => timer,
        }
    }

    pub(super) fn run_due(&mut self) {
        self.run_drain();
        let due = |at| self.now >= at;
        if due(self.next_sweep) || self.next_deadline().is_some_and(due) {
            self.sweep();
        }
    }

    /// When the next deadline is looked at.
    fn next_deadline(&self) -> Option<Instant> {
        Some(self.earliest_deadline?.max(self.swept + DEADLINE_GRAIN))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> + use<> {
        (0..u32::try_from(self.connections.len()).unwrap_or(u32::MAX)).map(SessionId)
    }

    /// Looks at every connection.
    fn sweep(&mut self) {
        self.earliest_deadline = None;
        self.swept = self.now;
        for id in self.ids() {
            let Some(connection) = self.connection(id) else { continue };
            let is_open = connection.stage == Stage::Open;
            match connection.deadline() {
                Some(deadline) if self.now >= deadline && is_open => self.end_login(id),
                Some(deadline) if self.now >= deadline => self.end_overdue(id),
                deadline => self.note_deadline(deadline),
            }
            if is_open {
                self.keep_alive(id);
            }
        }
        self.watchful = turn::check_ages(self);
        self.next_sweep = self.now + if self.watchful { WATCHFUL_INTERVAL } else { INTERVAL };
    }

    /// A connection has had its time to end. A peer that reads in its own time still gets what the
    /// kernel holds when the hub stops; a slow one does not.
    fn end_overdue(&mut self, id: SessionId) {
        let Some(connection) = self.connection(id) else { return };
        let all_written = connection.own_bytes() == 0;
        match connection.stage {
            Stage::CloseSent { reason: CloseReason::Shutdown, .. } if all_written => {
                self.remove(id)
            }
            _ => self.cut(id),
        }
    }

    /// Pings, drops the silent, and lets those hear a heartbeat who were sent nothing for a while.
    fn keep_alive(&mut self, id: SessionId) {
        let (config, now) = (&self.context.config, self.now);
        let (ping_interval, silent_max) = (config.ping_interval, config.idle_timeout);
        let heartbeat = config.heartbeat_interval;
        let Some(connection) = self.connection(id) else { return };
        if connection.stage != Stage::Open {
            return; // it has just come to its end
        }
        if now - connection.heard > silent_max {
            connection.stage = Stage::Finishing { reason: CloseReason::Silent, deadline: now };
            return self.cut(id);
        }
        if connection.is_told_more()
            && now - connection.sent >= heartbeat
            && connection.own_bytes() == 0
        {
            connection.sent = now; // counts as sent: a blocked socket must not gather heartbeats
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

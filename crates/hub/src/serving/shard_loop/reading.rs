//! Reading: commands in, up to each connection's share of a turn.

use std::time::Duration;

use super::ShardTask;
use super::connection::{Inbound, Reading};
use crate::clock;
use crate::fanout::SessionId;

/// Messages read from one connection before the others get their turn.
const READS_PER_TURN: usize = 64;
/// Bytes read from one connection before the others get their turn: a message may have no end of
/// empty fragments, so counting messages is not enough.
const READ_BYTES_PER_TURN: usize = 64 * 1024;
/// Time spent on reading before ticks get their turn, unless writing takes long. The last command may
/// take longer.
const READING_TIME: Duration = Duration::from_millis(1);
/// Answers, pongs included, pending in a session, in bytes, above which its commands wait.
pub(super) const SESSION_CONTROL_BYTES: usize = 256 * 1024;
/// The same in a session that is not in: some errors, and what to answer pings with.
const STRANGER_CONTROL_BYTES: usize = 4 * 1024;
/// Answers pending in all sessions of the shard, in bytes, above which commands wait. The core ends
/// the blocked sessions that hold most of them, so the wait is short.
pub(super) const CONTROLS_BYTES: usize = 64 << 20;

impl ShardTask {
    /// The time for reading begins anew.
    pub(super) fn allow_reading(&mut self) {
        self.reading_until = clock::monotonic() + self.pacing.share(READING_TIME);
    }

    /// Amid a round of writing it begins anew too; what a turn has for it was given at its start.
    pub(super) fn allow_reading_between(&mut self) {
        self.reading_until = clock::monotonic() + READING_TIME;
    }

    /// Goes on with connections whose share of the last turn was not enough.
    pub(super) fn read_unread(&mut self) {
        let mut waiting = std::mem::take(&mut self.unread).into_iter();
        while clock::monotonic() < self.reading_until
            && let Some(id) = waiting.next()
        {
            if let Some(connection) = self.connection(id)
                && connection.reading == Reading::Queued
            {
                connection.reading = Reading::OnEvent;
                self.read(id);
            }
        }
        // Who was not served goes ahead of who was and wants more.
        let served = std::mem::replace(&mut self.unread, waiting.collect());
        self.unread.extend(served);
    }

    /// Goes on with connections that have fetched their answers.
    pub(super) fn resume_paused(&mut self) {
        for id in std::mem::take(&mut self.paused) {
            let may_read = self.may_read(id);
            let Some(connection) = self.connection(id) else { continue };
            if connection.reading != Reading::Paused {
                continue; // its slot has another connection now
            }
            if may_read {
                connection.reading = Reading::Queued;
                self.unread.push(id);
            } else {
                self.paused.push(id);
            }
        }
    }

    /// Reads what a connection has sent, up to its share of the turn.
    pub(super) fn read(&mut self, id: SessionId) {
        if let Some(connection) = self.connection(id) {
            connection.allow_reading(READ_BYTES_PER_TURN);
        }
        for _ in 0..READS_PER_TURN {
            if clock::monotonic() >= self.reading_until {
                break;
            }
            if !self.may_read(id) {
                return self.read_later(id, Reading::Paused);
            }
            let now = self.now;
            let Some(connection) = self.connection(id) else { return };
            let inbound = connection.read(now);
            if connection.own_bytes() > 0 {
                self.core.wake(id);
            }
            match inbound {
                Inbound::Blocked => return,
                Inbound::ShareUsed => break,
                Inbound::Message(message) => {
                    self.follow_log_to_its_head(); // it may speak of what another shard has sent
                    self.take(id, message);
                }
                Inbound::Closed => return self.answer_close(id),
                Inbound::Ended => return self.remove(id),
                Inbound::Broken(reason) => return self.tell_off(id, reason),
            }
        }
        self.read_later(id, Reading::Queued);
    }

    /// Whether a session has fetched enough of its answers to ask for more.
    fn may_read(&self, id: SessionId) -> bool {
        let Some(connection) = self.connections.get(id.0 as usize).and_then(Option::as_deref)
        else {
            return true;
        };
        let is_in = connection.login.grant().is_some();
        let most = if is_in { SESSION_CONTROL_BYTES } else { STRANGER_CONTROL_BYTES };
        connection.own_bytes() <= most
            && self.core.control_bytes(id) <= most
            && self.core.stats().control_bytes <= CONTROLS_BYTES
    }

    /// Remembers that a connection has more to read, once.
    pub(super) fn read_later(&mut self, id: SessionId, how: Reading) {
        let Some(connection) = self.connection(id) else { return };
        if connection.reading != Reading::OnEvent {
            return;
        }
        connection.reading = how;
        match how {
            Reading::Paused => self.paused.push(id),
            _ => self.unread.push(id),
        }
    }
}

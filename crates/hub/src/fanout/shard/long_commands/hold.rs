//! Holds a session while a command is carried out for it.

use super::super::super::SessionId;
use super::super::super::history::cursor::CatchUpCursor;
use super::super::Shard;
use super::super::log_coverage::Present;
use super::super::session::DeliveryState;

impl Shard {
    /// Holds a session at the present: only what is pending now is sent to it.
    pub(super) fn hold(&mut self, id: SessionId) {
        let present = self.present_now();
        let (session, hot) = self.sessions.both_mut(id);
        session.held_at = Some(present);
        if session.cursor.is_some() {
            return; // it catches up, and continues there
        }
        session.begin_backfill(hot.backlog.len());
        session.cursor = Some(Box::new(CatchUpCursor::holding(present.head)));
        hot.delivery = DeliveryState::CatchingUp;
        self.stats.catching_up += 1;
    }

    /// Returns the present of a session's command: when it arrived.
    pub(in super::super) fn present(&self, id: SessionId) -> Present {
        self.sessions[id].held_at.unwrap_or_else(|| self.present_now())
    }

    fn present_now(&self) -> Present {
        Present { head: self.head(), coverage: self.coverage }
    }

    /// Lets a session continue after its command.
    pub(super) fn release_hold(&mut self, id: SessionId) {
        let session = &mut self.sessions[id];
        session.held_at = None;
        if let Some(cursor) = &mut session.cursor {
            cursor.only_holds = false;
        }
        self.stop_needless_catch_up(id);
        self.wake(id);
    }
}

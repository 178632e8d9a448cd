//! The sessions of a shard that can be written.

use std::collections::VecDeque;
use std::mem;

use super::super::SessionId;
use super::session::DeliveryState;

/// Sessions that have something pending and whose socket may accept it, each once. Some may have
/// closed in this turn.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    live: Vec<SessionId>,
    /// Sessions that catch up; they are written after the live ones.
    catching_up: VecDeque<SessionId>,
    /// Where a round of writing begins, so that no session is always last.
    rotation: usize,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, id: SessionId, delivery: DeliveryState) {
        match delivery {
            DeliveryState::CatchingUp => self.catching_up.push_back(id),
            DeliveryState::Live | DeliveryState::Detached => self.live.push(id),
        }
    }

    /// Moves a session that no longer catches up to the live ones. It has been queued lately.
    pub(super) fn move_to_live(&mut self, id: SessionId) {
        if let Some(at) = self.catching_up.iter().rposition(|ready| *ready == id) {
            self.catching_up.remove(at);
            self.live.push(id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.catching_up.is_empty()
    }

    /// Takes the live sessions. Each call starts `step` places later than the one before, so that
    /// no session is always last.
    pub(super) fn take_live(&mut self, step: usize) -> Vec<SessionId> {
        let mut live = mem::take(&mut self.live);
        self.rotation = self.rotation.wrapping_add(step);
        let start = self.rotation % live.len().max(1);
        live.rotate_left(start);
        live
    }

    /// Takes the session that catches up and has waited longest.
    pub(super) fn pop_catching_up(&mut self) -> Option<SessionId> {
        self.catching_up.pop_front()
    }

    /// Removes the sessions that `keep` does not select.
    pub(super) fn retain(&mut self, keep: impl Fn(SessionId) -> bool) {
        self.live.retain(|id| keep(*id));
        self.catching_up.retain(|id| keep(*id));
    }
}

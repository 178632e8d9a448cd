//! The sessions of a shard.

use std::mem;
use std::ops::{Index, IndexMut};

use slab::Slab;

use super::super::SessionId;
use super::session::{DeliveryState, HotState, Session};
use super::subscriber::SESSIONS_MAX;

/// The sessions of a shard, by [`SessionId`].
///
/// A session that closes leaves its slot at the next turn at the earliest, so that no list of ids
/// made in this turn can come to mean another session.
#[derive(Debug, Default)]
pub(super) struct SessionTable {
    pub(super) sessions: Slab<Session>,
    /// `hot[slot]` belongs to `sessions[slot]`. The state of an empty slot is detached.
    pub(super) hot: Vec<HotState>,
    /// Sessions that have closed in this turn.
    closed: Vec<SessionId>,
}

impl SessionTable {
    /// Adds a session.
    pub(super) fn open(&mut self, session: Session) -> SessionId {
        let slot = self.sessions.insert(session);
        assert!(slot < SESSIONS_MAX, "Config::check keeps sessions below this");
        if self.hot.len() <= slot {
            self.hot.resize_with(slot + 1, HotState::default);
        }
        self.hot[slot] = HotState::default();
        id_of(slot)
    }

    /// Resets what ticks touch of a session that has closed.
    pub(super) fn vacate(&mut self, id: SessionId) {
        self.hot[id.slot()] = HotState { delivery: DeliveryState::Detached, ..HotState::default() };
    }

    /// Lets [`SessionTable::remove_closed`] remove a session that has closed.
    pub(super) fn remove_later(&mut self, id: SessionId) {
        self.closed.push(id);
    }

    /// Returns whether any session has closed since the last [`SessionTable::remove_closed`].
    pub(super) const fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Removes the sessions that have closed.
    pub(super) fn remove_closed(&mut self) {
        for id in mem::take(&mut self.closed) {
            self.sessions.remove(id.slot());
        }
    }

    /// Returns the number of open sessions.
    pub(super) fn len(&self) -> usize {
        self.sessions.len() - self.closed.len()
    }

    /// Returns whether there is a session with an id.
    pub(super) fn contains(&self, id: SessionId) -> bool {
        self.sessions.contains(id.slot())
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.slot())
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.slot())
    }

    pub(super) fn hot(&self, id: SessionId) -> &HotState {
        &self.hot[id.slot()]
    }

    pub(super) fn hot_mut(&mut self, id: SessionId) -> &mut HotState {
        &mut self.hot[id.slot()]
    }

    /// Returns both parts of a session.
    pub(super) fn both_mut(&mut self, id: SessionId) -> (&mut Session, &mut HotState) {
        (&mut self.sessions[id.slot()], &mut self.hot[id.slot()])
    }

    /// Returns every id that has been used, also those of empty slots.
    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> + use<> {
        (0..self.hot.len()).map(id_of)
    }
}

impl Index<SessionId> for SessionTable {
    type Output = Session;

    fn index(&self, id: SessionId) -> &Session {
        &self.sessions[id.slot()]
    }
}

impl IndexMut<SessionId> for SessionTable {
    fn index_mut(&mut self, id: SessionId) -> &mut Session {
        &mut self.sessions[id.slot()]
    }
}

/// Returns the id of the session in a slot.
pub(super) fn id_of(slot: usize) -> SessionId {
    SessionId(u32::try_from(slot).expect("SessionTable::open keeps slots below this"))
}

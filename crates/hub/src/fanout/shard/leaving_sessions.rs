//! Sessions that have ended and whose names have not all been removed.

use std::collections::VecDeque;

use super::super::SessionId;
use super::super::latest::rate_groups::RateGroups;
use super::Shard;

/// Sessions that have ended and whose names are removed in pieces.
#[derive(Debug, Default)]
pub(super) struct LeavingSessions(VecDeque<LeavingSession>);

#[derive(Debug)]
struct LeavingSession {
    id: SessionId,
    /// The rate groups of the session, which ticks no longer reach.
    latest: Option<Box<RateGroups>>,
    is_closed: bool,
}

impl LeavingSessions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of these sessions that have closed.
    pub(super) fn closed(&self) -> usize {
        self.0.iter().filter(|session| session.is_closed).count()
    }

    /// Notes that a session has closed. Returns false if it has no names left.
    pub(super) fn note_closed(&mut self, id: SessionId) -> bool {
        let session = self.0.iter_mut().find(|session| session.id == id);
        session.map(|session| session.is_closed = true).is_some()
    }
}

impl Shard {
    /// Removes the names of a session that has ended: in pieces, if there are many. No tick reaches
    /// it any more.
    pub(super) fn leave_names(&mut self, id: SessionId) {
        if self.leaving.0.iter().any(|session| session.id == id) {
            return;
        }
        if self.sessions[id].named.len() <= self.limits.topics_per_piece {
            let topics = self.sessions[id].named.iter().map(|named| named.topic).collect();
            self.remove_topics(id, topics);
            self.drop_empty_groups(id);
        } else {
            let latest = self.sessions.hot_mut(id).latest.take();
            self.leaving.0.push_back(LeavingSession { id, latest, is_closed: false });
        }
    }

    /// Removes some names of a session that has ended.
    pub(crate) fn continue_leaving(&mut self) {
        let Some(mut leaving) = self.leaving.0.pop_front() else { return };
        let id = leaving.id;
        let named = &self.sessions[id].named;
        let kept = named.len().saturating_sub(self.limits.topics_per_piece);
        let topics: Vec<_> = named[kept..].iter().map(|named| named.topic).collect();
        std::mem::swap(&mut self.sessions.hot_mut(id).latest, &mut leaving.latest);
        self.remove_topics(id, topics);
        std::mem::swap(&mut self.sessions.hot_mut(id).latest, &mut leaving.latest);
        if kept > 0 {
            self.leaving.0.push_back(leaving);
        } else if leaving.is_closed {
            self.sessions.remove_later(id);
        }
    }
}

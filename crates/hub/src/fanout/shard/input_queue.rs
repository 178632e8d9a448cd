//! The sessions whose input has not been read completely.

use super::super::SessionId;

/// The event after which a session is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum InputState {
    /// New input arrives.
    #[default]
    OnArrival,
    /// The next turn begins: the session has used up its share of this one.
    Queued,
    /// The session has fetched enough of its answers.
    Paused,
}

/// Sessions with unread input that no socket event will announce.
///
/// A listed session may have closed in this turn. It is removed before its id belongs to another
/// session.
#[derive(Debug, Default)]
pub(super) struct InputQueue {
    /// Sessions that are read in the next turn, each once.
    pub(super) queued: Vec<SessionId>,
    /// Sessions whose commands wait until answers have been fetched, each once.
    pub(super) paused: Vec<SessionId>,
}

impl InputQueue {
    /// Removes the sessions whose state, as `state_of` returns it, is another one: those that have
    /// closed. The id of each may come to belong to a session that would be listed twice.
    pub(super) fn retain(&mut self, state_of: impl Fn(SessionId) -> Option<InputState>) {
        self.queued.retain(|id| state_of(*id) == Some(InputState::Queued));
        self.paused.retain(|id| state_of(*id) == Some(InputState::Paused));
    }
}

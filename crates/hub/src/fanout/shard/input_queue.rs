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
/// A listed session may have closed, and its id may belong to another session, whose [`InputState`]
/// then differs.
#[derive(Debug, Default)]
pub(super) struct InputQueue {
    /// Sessions that are read in the next turn, each once.
    pub(super) queued: Vec<SessionId>,
    /// Sessions whose commands wait until answers have been fetched, each once.
    pub(super) paused: Vec<SessionId>,
}

//! The sessions whose input is not read to its end.

use super::super::SessionId;

/// What causes a session to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum InputState {
    /// The arrival of input.
    #[default]
    OnArrival,
    /// The next turn: its share of this one was not enough.
    Queued,
    /// That it has fetched enough of its answers.
    Paused,
}

/// The sessions with unread input of which no event will tell.
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

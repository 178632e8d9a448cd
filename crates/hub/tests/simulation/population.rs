//! The clients of a simulated hub, and what the shares of its limits allow them.

use std::iter;

use tickwire_hub::fanout::{ClientId, Limits};

use crate::hostile_client::COMMAND_NAMES_MAX;
use crate::source::{CHANNELS, FEEDS, SYMBOLS};

/// The most honest clients.
pub(crate) const HONEST_MAX: usize = 6;
/// Number of commands over many topics that run at a time; see `shard/long_commands.rs`.
const RUNNING_MAX: usize = 4;
/// Bytes of the largest answer: the names of a session (100, of 10 bytes each), gaps for them (70
/// bytes each), and a snapshot of all topics that tick (36, of 120 bytes each).
const ANSWER_BYTES_MAX: usize = 13_000;
/// Bytes of a heartbeat, or of the error of a session that ends.
const NOTICE_BYTES_MAX: usize = 300;

/// Number of topics that honest clients name.
fn honest_topics() -> usize {
    usize::from(FEEDS) * CHANNELS.len() * SYMBOLS.len()
}

/// The clients of a hub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Population {
    pub(crate) honest: usize,
    pub(crate) hostile: usize,
    /// Number of sessions of each hostile client.
    pub(crate) sessions: usize,
}

impl Population {
    /// Returns the clients of the hostile sessions.
    pub(crate) fn hostile_sessions(self) -> impl Iterator<Item = ClientId> {
        let clients = (0..self.hostile).map(|client| HONEST_MAX + client);
        let clients = clients.map(|client| ClientId(u32::try_from(client).unwrap()));
        clients.flat_map(move |client| iter::repeat_n(client, self.sessions))
    }

    /// Returns a limit on waiting topics that hostile clients reach, and that never refuses an
    /// honest one. Each hostile client may take half of what the others leave (rounded up), and an
    /// honest one half of the rest, which must suffice for all topics that it names.
    pub(crate) fn waiting_topics(self) -> usize {
        (2 * honest_topics() + 2) << self.hostile
    }

    /// Returns the most topics that may wait if every client keeps to its share.
    pub(crate) fn waiting_max(self) -> usize {
        let limit = self.waiting_topics();
        limit - (limit >> self.hostile) + self.hostile + honest_topics()
    }

    /// Returns the most turns in which a session with a command is not read: in each turn, at least
    /// the session that has waited longest is read.
    pub(crate) const fn unread_turns_max(sessions: usize) -> usize {
        sessions + 2
    }

    /// Returns the most turns that a command over many topics takes. Each turn carries out a piece.
    /// Before a command gets a place, each other client may begin one, besides those that run. Then
    /// each of its pieces is one of four. Neither depends on the number of sessions.
    pub(crate) fn long_turns_max(self, limits: &Limits) -> usize {
        let piece = limits.topics_per_piece;
        let slots = (honest_topics() + limits.waiting_topics).next_power_of_two();
        let names = COMMAND_NAMES_MAX.div_ceil(piece) + CHANNELS.len();
        // Names are added, then moved or withdrawn; between them, the next stage begins.
        let pieces = 2 * names + slots.div_ceil(piece) + 3;
        (self.honest + self.hostile + RUNNING_MAX + RUNNING_MAX) * pieces
    }

    /// Returns the most bytes of answers that may be pending in all sessions. A command is read
    /// while there are fewer than the limit; those in progress add theirs later.
    pub(crate) fn control_bytes_max(limits: &Limits, sessions: usize) -> usize {
        limits.total_control_bytes
            + (1 + RUNNING_MAX) * ANSWER_BYTES_MAX
            + sessions * NOTICE_BYTES_MAX
    }
}

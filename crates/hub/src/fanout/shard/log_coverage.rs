//! Which ticks of the log a shard has seen.

use super::super::Position;

/// Which ticks of the log a shard has seen: all from a position on, and perhaps some before, if it
/// missed ticks in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogCoverage {
    /// The shard has seen all ticks from this position on.
    seen_from: Position,
    /// Equal to `seen_from` if the shard has missed ticks; 0 if it has not.
    missed_before: Position,
}

/// The head of the log at some time, and what the shard had seen then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present {
    pub(super) head: Position,
    pub(super) coverage: LogCoverage,
}

impl LogCoverage {
    /// Creates the coverage of a shard that follows the log from a position on.
    pub(super) const fn from(position: Position) -> Self {
        Self { seen_from: position, missed_before: Position(0) }
    }

    /// Records that the shard has missed ticks before `to`, and continues there.
    pub(super) const fn miss_until(&mut self, to: Position) {
        self.seen_from = to;
        self.missed_before = to;
    }

    /// Returns the position from which on the shard has seen all ticks.
    pub(super) const fn seen_from(&self) -> Position {
        self.seen_from
    }

    /// Returns whether the shard has never missed ticks.
    pub(super) fn is_complete(&self) -> bool {
        self.missed_before == Position(0)
    }

    /// Returns whether the shard has missed no tick from a position on.
    pub(super) fn is_complete_from(&self, position: Position) -> bool {
        position >= self.missed_before
    }
}

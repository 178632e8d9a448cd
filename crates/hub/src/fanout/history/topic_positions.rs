//! The positions of one topic's ticks in the log.

use std::collections::VecDeque;

use super::super::Position;

/// Positions of the ticks of a topic that are still in the log, four bytes each. Their sequence
/// numbers are not kept: they are contiguous, and the last is that of the topic's newest tick.
#[derive(Debug, Default)]
pub(crate) struct TopicPositions {
    /// Low halves of the positions, oldest first. The first few may have left the log since.
    indexes: VecDeque<u32>,
    /// Position of the last tick that is no longer listed; 0 if all ticks are listed.
    last_removed: Position,
}

/// Capacity that a topic may keep when little of it is used.
const KEPT_CAPACITY: usize = 64;

impl TopicPositions {
    /// Creates the empty list of a topic that may have ticked, unseen, before a position.
    pub(crate) fn unknown_before(at: Position) -> Self {
        Self { indexes: VecDeque::new(), last_removed: Position(at.0.saturating_sub(1)) }
    }

    /// Adds the newest tick. Positions that have left the log are removed only when the list is
    /// full, so its capacity is at most twice the number of the topic's ticks in the log.
    #[inline]
    pub(crate) fn push(&mut self, at: Position, log_start: Position) {
        if self.indexes.len() == self.indexes.capacity() {
            self.make_room(at, log_start);
        }
        self.indexes.push_back(at.index());
    }

    #[cold]
    fn make_room(&mut self, at: Position, log_start: Position) {
        self.remove_before(log_start, at);
        // With little room left, the next push would search again.
        if self.indexes.len() > self.indexes.capacity() / 2 {
            self.indexes.reserve(self.indexes.len().max(4));
        }
    }

    fn remove_before(&mut self, log_start: Position, head: Position) {
        if self.indexes.front().is_none_or(|oldest| head.before(*oldest) >= log_start) {
            return; // mostly nothing has left, and this costs less than a search
        }
        let count = self.count_before(log_start, head);
        self.last_removed = head.before(self.indexes[count - 1]);
        self.indexes.drain(..count);
    }

    /// Removes all positions that have left the log, and releases unused memory.
    pub(crate) fn trim(&mut self, log_start: Position, head: Position) {
        self.remove_before(log_start, head);
        if self.indexes.capacity() > KEPT_CAPACITY.max(4 * self.indexes.len()) {
            self.indexes.shrink_to(2 * self.indexes.len());
        }
    }

    /// Returns the number of positions in the list.
    pub(crate) fn len(&self) -> usize {
        self.indexes.len()
    }

    /// Returns the position of the last tick that is no longer listed; 0 if all ticks are listed.
    pub(crate) const fn last_removed(&self) -> Position {
        self.last_removed
    }

    /// Returns the position of the last tick before a position, or a later one that has left the
    /// log; 0 if there is none.
    pub(crate) fn last_before(&self, position: Position, head: Position) -> Position {
        let listed = self.count_before(position, head).checked_sub(1);
        listed.and_then(|index| self.get(index, head)).unwrap_or(self.last_removed)
    }

    /// Returns how many listed ticks are before a position.
    pub(crate) fn count_before(&self, position: Position, head: Position) -> usize {
        self.indexes.partition_point(|index| head.before(*index) < position)
    }

    /// Returns the position of the tick at an index of the list; the oldest has index 0.
    pub(crate) fn get(&self, index: usize, head: Position) -> Option<Position> {
        self.indexes.get(index).map(|low| head.before(*low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_across_a_wrap_of_their_low_half() {
        for first in [1, (1 << 32) - 5, (7 << 32) - 5] {
            let mut positions = TopicPositions::default();
            (0..10).for_each(|n| positions.push(Position(first + 3 * n), Position(0)));
            let head = Position(first + 28);
            assert_eq!(positions.len(), 10);
            for n in 0..10 {
                let index = usize::try_from(n).unwrap();
                assert_eq!(positions.get(index, head), Some(Position(first + 3 * n)));
                assert_eq!(positions.count_before(Position(first + 3 * n), head), index);
                assert_eq!(positions.count_before(Position(first + 3 * n + 1), head), index + 1);
            }
            positions.trim(Position(first + 10), head);
            assert_eq!((positions.len(), positions.last_removed()), (6, Position(first + 9)));
            assert_eq!(positions.count_before(Position(first), head), 0);
            assert_eq!(positions.get(6, head), None);
        }
    }

    #[test]
    fn capacity_is_bounded_by_the_ticks_in_the_log() {
        let mut positions = TopicPositions::default();
        for n in 1..10_000_u64 {
            positions.push(Position(n), Position(n.saturating_sub(100)));
            assert!(positions.indexes.capacity() <= 512);
        }
        positions.trim(Position(10_000), Position(10_000));
        assert_eq!((positions.len(), positions.last_removed()), (0, Position(9_999)));
        assert!(positions.indexes.capacity() <= KEPT_CAPACITY);
    }
}

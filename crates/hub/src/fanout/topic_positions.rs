//! Where the ticks of one topic stand in the log.

use std::collections::VecDeque;

use super::Position;

/// Positions of the ticks of a topic that are still in the log, four bytes each. Their numbers need
/// not be kept: they are contiguous, and the last is that of the topic's newest tick.
#[derive(Debug, Default)]
pub(crate) struct TopicPositions {
    /// Low halves of the positions, oldest first. The first few may have left the log since.
    indexes: VecDeque<u32>,
    /// Position of the last tick that is not among them any more; 0 while they are all there.
    gone: Position,
}

/// Capacity a topic may keep when little of it is used.
const KEPT: usize = 64;

impl TopicPositions {
    /// A topic of which there may have been ticks before a position that are not known here.
    pub(crate) fn unknown_before(at: Position) -> Self {
        Self { indexes: VecDeque::new(), gone: Position(at.0.saturating_sub(1)) }
    }

    /// Adds the newest tick. Those that have left the log are taken away when there would be no room, so
    /// that there is room for twice as many at most as the log holds.
    #[inline]
    pub(crate) fn push(&mut self, at: Position, log_start: Position) {
        if self.indexes.len() == self.indexes.capacity() {
            self.make_room(at, log_start);
        }
        self.indexes.push_back(at.index());
    }

    #[cold]
    fn make_room(&mut self, at: Position, log_start: Position) {
        self.drop_before(log_start, at);
        // With little room the next one would look again.
        if self.indexes.len() > self.indexes.capacity() / 2 {
            self.indexes.reserve(self.indexes.len().max(4));
        }
    }

    fn drop_before(&mut self, log_start: Position, head: Position) {
        if self.indexes.front().is_none_or(|oldest| head.before(*oldest) >= log_start) {
            return; // mostly nothing has left, and this costs less than a search
        }
        let gone = self.before(log_start, head);
        self.gone = head.before(self.indexes[gone - 1]);
        self.indexes.drain(..gone);
    }

    /// Takes away all that has left the log.
    pub(crate) fn trim(&mut self, log_start: Position, head: Position) {
        self.drop_before(log_start, head);
        if self.indexes.capacity() > KEPT.max(4 * self.indexes.len()) {
            self.indexes.shrink_to(2 * self.indexes.len());
        }
    }

    /// Ticks there are.
    pub(crate) fn len(&self) -> usize {
        self.indexes.len()
    }

    /// Position of the last tick that is not there any more; 0 while they are all there.
    pub(crate) const fn gone(&self) -> Position {
        self.gone
    }

    /// How many ticks there are before a position.
    pub(crate) fn before(&self, position: Position, head: Position) -> usize {
        self.indexes.partition_point(|index| head.before(*index) < position)
    }

    /// Position of the tick at a place, counted from the oldest.
    pub(crate) fn position(&self, place: usize, head: Position) -> Option<Position> {
        self.indexes.get(place).map(|index| head.before(*index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back_across_a_wrap_of_their_low_half() {
        for first in [1, (1 << 32) - 5, (7 << 32) - 5] {
            let mut past = TopicPositions::default();
            (0..10).for_each(|n| past.push(Position(first + 3 * n), Position(0)));
            let head = Position(first + 28);
            assert_eq!(past.len(), 10);
            for n in 0..10 {
                let at = usize::try_from(n).unwrap();
                assert_eq!(past.position(at, head), Some(Position(first + 3 * n)));
                assert_eq!(past.before(Position(first + 3 * n), head), at);
                assert_eq!(past.before(Position(first + 3 * n + 1), head), at + 1);
            }
            past.trim(Position(first + 10), head);
            assert_eq!((past.len(), past.gone()), (6, Position(first + 9)));
            assert_eq!(past.before(Position(first), head), 0);
            assert_eq!(past.position(6, head), None);
        }
    }

    #[test]
    fn a_topic_that_ticks_does_not_grow_beyond_what_the_log_holds() {
        let mut past = TopicPositions::default();
        for n in 1..10_000_u64 {
            past.push(Position(n), Position(n.saturating_sub(100)));
            assert!(past.indexes.capacity() <= 512);
        }
        past.trim(Position(10_000), Position(10_000));
        assert_eq!((past.len(), past.gone()), (0, Position(9_999)));
        assert!(past.indexes.capacity() <= KEPT);
    }
}

//! The ticks that are pending for one session.

/// Indexes of ticks in the log, oldest first: four bytes each, whatever the tick holds.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    indexes: Vec<u32>,
    /// How many of the indexes have been sent. Invariant: at most `indexes.len()`, and 0 when
    /// nothing is pending.
    sent: usize,
}

/// Capacity that an empty backlog may keep, in ticks.
const KEPT_CAPACITY: usize = 256;

impl Backlog {
    #[inline]
    pub(crate) fn push(&mut self, index: u32) {
        self.indexes.push(index);
    }

    /// Returns the oldest pending index.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.pending().first().copied()
    }

    #[inline]
    pub(crate) fn pending(&self) -> &[u32] {
        &self.indexes[self.sent..]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.indexes.len() - self.sent
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the oldest `count` indexes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.indexes.len() {
            self.sent = 0;
            self.indexes.clear();
            if self.indexes.capacity() > KEPT_CAPACITY {
                self.indexes.shrink_to(KEPT_CAPACITY);
            }
        } else if self.sent > self.indexes.len() / 2 {
            self.indexes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Removes all indexes and releases their memory. Returns how many indexes were pending.
    pub(crate) fn clear(&mut self) -> usize {
        let dropped = self.len();
        *self = Self::default();
        dropped
    }

    /// Releases the memory of an empty backlog, for a session that has been idle.
    pub(crate) fn release_memory(&mut self) {
        if self.is_empty() {
            self.indexes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_leave_in_the_order_they_came_and_memory_shrinks() {
        let mut backlog = Backlog::default();
        let mut next = 0;
        let mut expected = 0;
        for (add, take) in [(5, 2), (3, 3), (1000, 400), (1, 604), (4, 4)] {
            for _ in 0..add {
                backlog.push(next);
                next += 1;
            }
            assert_eq!(backlog.oldest(), Some(expected));
            expected += take;
            backlog.consume(usize::try_from(take).unwrap());
            assert_eq!(backlog.len(), usize::try_from(next - expected).unwrap());
        }
        assert!(backlog.is_empty());
        assert!(backlog.indexes.capacity() <= KEPT_CAPACITY);
    }
}

//! What one shard sees of the log.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Batch, Position};

/// Positions whose batch is found without a search. Backlogs older than that are rare.
const SLOTS: usize = 1 << 15;

/// The batches a shard has applied and that are still in the log.
#[derive(Debug)]
pub(crate) struct View {
    batches: VecDeque<Arc<Batch>>,
    /// How many batches have left at the front: number of the batch at index 0.
    departed: u32,
    /// Number of the batch that holds a position, at `position % SLOTS`; may be outdated.
    slots: Box<[u32]>,
    head: Position,
}

impl View {
    pub(crate) fn new(head: Position) -> Self {
        let slots = vec![0; SLOTS].into_boxed_slice();
        Self { batches: VecDeque::new(), departed: 0, slots, head }
    }

    /// Position behind the newest tick seen.
    pub(crate) const fn head(&self) -> Position {
        self.head
    }

    pub(crate) fn push(&mut self, batch: Arc<Batch>) {
        debug_assert_eq!(batch.first(), self.head, "a shard follows the log without holes");
        let count = u32::try_from(self.batches.len()).unwrap_or(u32::MAX);
        let number = self.departed.wrapping_add(count);
        let first = batch.first().index() as usize;
        for index in first..first + batch.ticks().len().min(SLOTS) {
            self.slots[index % SLOTS] = number;
        }
        self.head = batch.end();
        self.batches.push_back(batch);
    }

    /// Lets go of what has left the log.
    pub(crate) fn trim(&mut self, start: Position) {
        while self.batches.front().is_some_and(|batch| batch.end() <= start) {
            self.batches.pop_front();
            self.departed = self.departed.wrapping_add(1);
        }
    }

    /// Forgets everything and goes on from a later position.
    pub(crate) fn jump(&mut self, to: Position) {
        self.trim(self.head);
        self.head = to;
    }

    /// The batch that holds an index, and the tick's place in it; `None` if it has left.
    pub(crate) fn locate(&self, index: u32) -> Option<(&Batch, usize)> {
        let behind = self.head.index().wrapping_sub(index);
        let position = Position(self.head.0 - u64::from(behind));
        let offset = |batch: &Batch| usize::try_from(position.0.checked_sub(batch.first().0)?).ok();
        let number = self.slots[index as usize % SLOTS];
        let near = self.batches.get(number.wrapping_sub(self.departed) as usize);
        if let Some(batch) = near
            && let Some(offset) = offset(batch)
            && offset < batch.ticks().len()
        {
            return Some((batch, offset));
        }
        let at = self.batches.partition_point(|batch| batch.end() <= position);
        let batch = self.batches.get(at)?;
        Some((batch, offset(batch)?))
    }
}

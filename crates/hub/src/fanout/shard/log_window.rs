//! The part of the log that one shard has applied.

use std::collections::VecDeque;
use std::sync::Arc;

use tickwire_protocol::UnixNanos;

use super::super::{Batch, Position};

/// Number of cells, one for each of the newest positions: their batch is found without a search.
/// Backlogs that reach further back are rare.
const CELLS: usize = 1 << 15;

/// The batches that a shard has applied and that are still in the log.
#[derive(Debug)]
pub(crate) struct LogWindow {
    batches: VecDeque<Arc<Batch>>,
    /// Number of batches that have left at the front, which is the number of the batch at index 0.
    departed: u32,
    /// Cell `position % CELLS` holds the number of the batch with that position. It may be
    /// outdated.
    cells: Box<[u32]>,
    head: Position,
}

impl LogWindow {
    pub(crate) fn new(head: Position) -> Self {
        let cells = vec![0; CELLS].into_boxed_slice();
        Self { batches: VecDeque::new(), departed: 0, cells, head }
    }

    /// Returns the position after the newest applied tick.
    pub(crate) const fn head(&self) -> Position {
        self.head
    }

    pub(crate) fn push(&mut self, batch: Arc<Batch>) {
        debug_assert_eq!(batch.first(), self.head, "a shard follows the log without holes");
        let count = u32::try_from(self.batches.len()).unwrap_or(u32::MAX);
        let number = self.departed.wrapping_add(count);
        let first = batch.first().index() as usize;
        for index in first..first + batch.ticks().len().min(CELLS) {
            self.cells[index % CELLS] = number;
        }
        self.head = batch.end();
        self.batches.push_back(batch);
    }

    /// Releases the batches that have left the log.
    pub(crate) fn trim(&mut self, log_start: Position) {
        while self.batches.front().is_some_and(|batch| batch.end() <= log_start) {
            self.batches.pop_front();
            self.departed = self.departed.wrapping_add(1);
        }
    }

    /// Returns the position of the oldest tick in the window; the head if there is none.
    pub(crate) fn start(&self) -> Position {
        self.batches.front().map_or(self.head, |batch| batch.first())
    }

    /// Returns the batches from a position on. The number with each batch is the index of the first
    /// tick to look at in it.
    pub(crate) fn batches_from(&self, from: Position) -> impl Iterator<Item = (&Batch, usize)> {
        let index = self.batches.partition_point(|batch| batch.end() <= from);
        self.batches.range(index..).map(move |batch| {
            let skipped = from.0.saturating_sub(batch.first().0);
            (batch.as_ref(), usize::try_from(skipped).unwrap_or(usize::MAX))
        })
    }

    /// Returns the position of the first tick received at `time` or later; the head if there is
    /// none.
    pub(crate) fn received_from(&self, time: UnixNanos) -> Position {
        let index = self.batches.partition_point(|batch| batch.received() < time);
        self.batches.get(index).map_or(self.head, |batch| batch.first())
    }

    /// Returns the time at which the tick at a position was received; `None` if it is not in the
    /// window.
    pub(crate) fn received(&self, position: Position) -> Option<UnixNanos> {
        let (batch, _) = self.batches_from(position).next()?;
        (batch.first() <= position).then(|| batch.received())
    }

    /// Releases all batches and continues at a later position.
    pub(crate) fn jump(&mut self, to: Position) {
        self.trim(self.head);
        self.head = to;
    }

    /// Returns the last position before the head whose low half is `index`.
    pub(crate) const fn position(&self, index: u32) -> Position {
        self.head.before(index)
    }

    /// Returns the batch with the position of a backlog index, and the tick's index in the batch;
    /// `None` if the tick has left the log.
    pub(crate) fn locate(&self, index: u32) -> Option<(&Batch, usize)> {
        self.locate_position(self.position(index))
    }

    /// Returns the batch with a position before the head, and the tick's index in the batch; `None`
    /// if the tick has left the log.
    pub(crate) fn locate_position(&self, position: Position) -> Option<(&Batch, usize)> {
        let offset = |batch: &Batch| usize::try_from(position.0.checked_sub(batch.first().0)?).ok();
        let number = self.cells[position.index() as usize % CELLS];
        let likely = self.batches.get(number.wrapping_sub(self.departed) as usize);
        if let Some(batch) = likely
            && let Some(offset) = offset(batch)
            && offset < batch.ticks().len()
        {
            return Some((batch, offset));
        }
        let index = self.batches.partition_point(|batch| batch.end() <= position);
        let batch = self.batches.get(index)?;
        Some((batch, offset(batch)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sequencer::tests::trade;
    use super::super::super::{FeedId, Numbered, TopicId};
    use super::*;

    /// Appends a batch in which the sequence number of each tick is its position.
    fn push(window: &mut LogWindow, ticks: usize) {
        let first = window.head();
        let numbered = |at| {
            let tick = trade("A", first.plus(at).0);
            Numbered { topic: TopicId(0), feed: FeedId(0), tick }
        };
        let ticks = (0..ticks).map(numbered).collect();
        window.push(Arc::new(Batch::new(first, UnixNanos(0), ticks)));
    }

    fn found(window: &LogWindow, position: Position) -> Option<u64> {
        let (batch, offset) = window.locate(position.index())?;
        Some(batch.ticks()[offset].tick.seq.0)
    }

    #[test]
    fn every_position_is_found_until_its_batch_leaves() {
        // Sizes that leave outdated cells, with and without a wrap of the low half.
        for start in [1, (1 << 32) - 40_000, (1 << 40) + 77] {
            let mut window = LogWindow::new(Position(start));
            for size in [1, 7, 40_000, 3, 500, 33_000, 2, 9_000] {
                push(&mut window, size);
            }
            let end = window.head().0;
            for gone in [start, start + 1, start + 8, start + 50_000, end - 9_001, end] {
                window.trim(Position(gone));
                let oldest = window.batches.front().map_or(end, |batch| batch.first().0);
                assert!(oldest <= gone && gone - oldest < 40_000);
                for position in (start..end).step_by(97).chain([oldest, end - 1]) {
                    let expected = (oldest..end).contains(&position).then_some(position);
                    assert_eq!(found(&window, Position(position)), expected, "{start} {gone}");
                }
            }
        }
    }

    #[test]
    fn jump_releases_everything_before_it() {
        let mut window = LogWindow::new(Position(u64::from(u32::MAX) - 3));
        push(&mut window, 6);
        let before = window.head();
        window.jump(before.plus(100_000));
        assert_eq!(found(&window, Position(before.0 - 1)), None);
        push(&mut window, 4);
        push(&mut window, 4);
        assert_eq!(found(&window, before.plus(50)), None, "inside the hole");
        for at in 100_000..100_008 {
            assert_eq!(found(&window, before.plus(at)), Some(before.0 + at as u64));
        }
    }
}

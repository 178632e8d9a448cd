//! What one shard sees of the log.

use std::collections::VecDeque;
use std::sync::Arc;

use tickwire_protocol::UnixNanos;

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

    /// Position of the oldest tick that is still there; the head when there is none.
    pub(crate) fn start(&self) -> Position {
        self.batches.front().map_or(self.head, |batch| batch.first())
    }

    /// The batches from a position on, each with the place at which to begin in it.
    pub(crate) fn batches_from(&self, from: Position) -> impl Iterator<Item = (&Batch, usize)> {
        let at = self.batches.partition_point(|batch| batch.end() <= from);
        self.batches.range(at..).map(move |batch| {
            let skipped = from.0.saturating_sub(batch.first().0);
            (batch.as_ref(), usize::try_from(skipped).unwrap_or(usize::MAX))
        })
    }

    /// Position of the first tick that was received at a time or later; the head if none was.
    pub(crate) fn received_from(&self, time: UnixNanos) -> Position {
        let at = self.batches.partition_point(|batch| batch.received() < time);
        self.batches.get(at).map_or(self.head, |batch| batch.first())
    }

    /// When the tick at a position was received; `None` if it is not there.
    pub(crate) fn received(&self, position: Position) -> Option<UnixNanos> {
        let (batch, _) = self.batches_from(position).next()?;
        (batch.first() <= position).then(|| batch.received())
    }

    /// Forgets everything and goes on from a later position.
    pub(crate) fn jump(&mut self, to: Position) {
        self.trim(self.head);
        self.head = to;
    }

    /// The position an index stands for: that before the head which ends with it.
    pub(crate) const fn position(&self, index: u32) -> Position {
        self.head.before(index)
    }

    /// The batch that holds an index, and the tick's place in it; `None` if it has left.
    pub(crate) fn locate(&self, index: u32) -> Option<(&Batch, usize)> {
        self.locate_position(self.position(index))
    }

    /// The batch that holds a position before the head, and the tick's place in it; `None` if it has
    /// left.
    pub(crate) fn locate_position(&self, position: Position) -> Option<(&Batch, usize)> {
        let offset = |batch: &Batch| usize::try_from(position.0.checked_sub(batch.first().0)?).ok();
        let number = self.slots[position.index() as usize % SLOTS];
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

#[cfg(test)]
mod tests {
    use super::super::sequencer::tests::trade;
    use super::super::{FeedId, Numbered, TopicId};
    use super::*;

    /// Appends a batch; its ticks bear their positions as numbers.
    fn push(view: &mut View, ticks: usize) {
        let first = view.head();
        let numbered = |at| {
            let tick = trade("A", first.plus(at).0);
            Numbered { topic: TopicId(0), feed: FeedId(0), tick }
        };
        let ticks = (0..ticks).map(numbered).collect();
        view.push(Arc::new(Batch::new(first, UnixNanos(0), ticks)));
    }

    fn found(view: &View, position: Position) -> Option<u64> {
        let (batch, offset) = view.locate(position.index())?;
        Some(batch.ticks()[offset].tick.seq.0)
    }

    #[test]
    fn every_position_is_found_until_its_batch_has_left() {
        // Sizes that leave outdated slots behind, with and without a wrap of the low half.
        for start in [1, (1 << 32) - 40_000, (1 << 40) + 77] {
            let mut view = View::new(Position(start));
            for size in [1, 7, 40_000, 3, 500, 33_000, 2, 9_000] {
                push(&mut view, size);
            }
            let end = view.head().0;
            for gone in [start, start + 1, start + 8, start + 50_000, end - 9_001, end] {
                view.trim(Position(gone));
                let oldest = view.batches.front().map_or(end, |batch| batch.first().0);
                assert!(oldest <= gone && gone - oldest < 40_000);
                for position in (start..end).step_by(97).chain([oldest, end - 1]) {
                    let expected = (oldest..end).contains(&position).then_some(position);
                    assert_eq!(found(&view, Position(position)), expected, "{start} {gone}");
                }
            }
        }
    }

    #[test]
    fn nothing_before_a_jump_is_found_and_everything_behind_it() {
        let mut view = View::new(Position(u64::from(u32::MAX) - 3));
        push(&mut view, 6);
        let before = view.head();
        view.jump(before.plus(100_000));
        assert_eq!(found(&view, Position(before.0 - 1)), None);
        push(&mut view, 4);
        push(&mut view, 4);
        assert_eq!(found(&view, before.plus(50)), None, "inside the hole");
        for at in 100_000..100_008 {
            assert_eq!(found(&view, before.plus(at)), Some(before.0 + at as u64));
        }
    }
}

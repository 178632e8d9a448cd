//! The log: the newest batches, which all shards read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::UnixNanos;

use super::{Batch, Position};

/// The newest batches, bounded in bytes, ticks and age. An append beyond a bound drops the oldest
/// batches, so a slow reader cannot keep any batch alive.
#[derive(Debug)]
pub struct Log {
    batches: VecDeque<Arc<Batch>>,
    /// Invariant: the sum of `bytes()` over `batches`.
    bytes: usize,
    /// Position after the newest tick.
    head: Position,
    bytes_max: usize,
    ticks_max: usize,
    age_max: Duration,
}

/// The position that a reader asked for has left the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOverrun {
    /// Position of the oldest tick that is still in the log.
    pub start: Position,
}

impl Log {
    /// Creates an empty log for a new epoch, bounded in bytes and ticks.
    #[must_use]
    pub const fn new(bytes_max: usize, ticks_max: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            bytes: 0,
            head: Position::FIRST,
            bytes_max,
            ticks_max,
            age_max: Duration::MAX,
        }
    }

    /// Bounds the log by age too: a new batch drops the batches received more than `age_max` before
    /// it.
    #[must_use]
    pub const fn with_age_max(mut self, age_max: Duration) -> Self {
        self.age_max = age_max;
        self
    }

    /// Makes an empty log begin at `head`: the next tick has that position.
    #[must_use]
    pub const fn starting_at(mut self, head: Position) -> Self {
        self.head = head;
        self
    }

    /// Appends a batch, which must begin at the head, and drops the oldest batches beyond the
    /// bounds. The newest batch always stays.
    pub fn append(&mut self, batch: Arc<Batch>) {
        assert_eq!(batch.first(), self.head, "positions are contiguous");
        let newest = batch.received();
        self.head = batch.end();
        self.bytes += batch.bytes();
        self.batches.push_back(batch);
        while self.batches.len() > 1
            && (self.bytes > self.bytes_max
                || self.ticks() > self.ticks_max
                || newest.since(self.batches[0].received()) > self.age_max)
        {
            if let Some(oldest) = self.batches.pop_front() {
                self.bytes -= oldest.bytes();
            }
        }
    }

    /// Appends a batch that may begin after the head: the ticks in between are lost. The log then
    /// drops everything it holds, since its positions are contiguous.
    pub fn append_after_hole(&mut self, batch: Arc<Batch>) {
        if batch.first() > self.head {
            self.batches.clear();
            self.bytes = 0;
            self.head = batch.first();
        }
        self.append(batch);
    }

    /// Returns the position of the oldest tick in the log; the head if the log is empty.
    #[must_use]
    pub fn start(&self) -> Position {
        self.batches.front().map_or(self.head, |batch| batch.first())
    }

    /// Returns the position after the newest tick, which is that of the next tick.
    #[must_use]
    pub const fn head(&self) -> Position {
        self.head
    }

    /// Returns the time at which the oldest tick in the log was received; `None` if the log is
    /// empty.
    #[must_use]
    pub fn oldest_received(&self) -> Option<UnixNanos> {
        self.batches.front().map(|batch| batch.received())
    }

    /// Returns the number of ticks in the log.
    #[must_use]
    pub fn ticks(&self) -> usize {
        usize::try_from(self.head.0 - self.start().0).unwrap_or(usize::MAX)
    }

    /// Returns the size of the log: the sum of [`Batch::bytes`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends to `out` at most `batches_max` batches from a position on, which must be the start
    /// of the log or the end of a batch that was in it.
    ///
    /// # Errors
    /// Fails if the position has left the log.
    pub fn read(
        &self,
        from: Position,
        batches_max: usize,
        out: &mut Vec<Arc<Batch>>,
    ) -> Result<(), LogOverrun> {
        if from < self.start() {
            return Err(LogOverrun { start: self.start() });
        }
        let at = self.batches.partition_point(|batch| batch.first() < from);
        out.extend(self.batches.range(at..).take(batches_max).cloned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequencer::tests::trade;
    use super::super::{FeedId, Numbered, TopicId};
    use super::*;

    fn batch(first: u64, ticks: u64) -> Arc<Batch> {
        let numbered = |seq| Numbered { topic: TopicId(0), feed: FeedId(0), tick: trade("A", seq) };
        Arc::new(Batch::new(Position(first), UnixNanos(0), (0..ticks).map(numbered).collect()))
    }

    #[test]
    fn append_beyond_a_bound_drops_the_oldest_batches() {
        let mut log = Log::new(usize::MAX, 5);
        for first in [1, 3, 5] {
            log.append(batch(first, 2));
        }
        assert_eq!((log.start(), log.head(), log.ticks()), (Position(3), Position(7), 4));
        let bytes = batch(1, 2).bytes();
        assert_eq!(log.bytes(), 2 * bytes);

        let mut log = Log::new(bytes, usize::MAX);
        log.append(batch(1, 2));
        log.append(batch(3, 20));
        assert_eq!(log.start(), Position(3), "one batch stays even if it is too large");
    }

    #[test]
    fn log_may_start_where_another_ended() {
        let mut log = Log::new(usize::MAX, usize::MAX).starting_at(Position(7));
        assert_eq!((log.start(), log.head(), log.ticks()), (Position(7), Position(7), 0));
        log.append(batch(7, 2));
        assert_eq!((log.start(), log.head(), log.ticks()), (Position(7), Position(9), 2));
    }

    #[test]
    fn append_drops_batches_older_than_the_age_limit() {
        let mut log = Log::new(usize::MAX, usize::MAX).with_age_max(Duration::from_secs(10));
        for (first, second) in [(1, 100), (2, 105), (3, 110), (4, 111)] {
            let ticks = batch(first, 1).ticks().to_vec();
            let received = UnixNanos(second * 1_000_000_000);
            log.append(Arc::new(Batch::new(Position(first), received, ticks)));
        }
        assert_eq!(log.start(), Position(2));
        assert_eq!(log.oldest_received(), Some(UnixNanos(105_000_000_000)));
    }

    #[test]
    fn reader_gets_every_batch_once_or_an_overrun() {
        let mut log = Log::new(usize::MAX, 6);
        for first in [1, 3, 5, 7] {
            log.append(batch(first, 2));
        }
        let mut out = Vec::new();
        assert_eq!(log.read(Position(1), 9, &mut out), Err(LogOverrun { start: Position(3) }));
        log.read(Position(3), 2, &mut out).unwrap();
        log.read(Position(7), 2, &mut out).unwrap();
        log.read(Position(9), 2, &mut out).unwrap();
        assert_eq!(out.iter().map(|b| b.first().0).collect::<Vec<_>>(), [3, 5, 7]);
    }
}

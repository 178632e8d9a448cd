//! Reads the live log some time behind its head. Pure: the time is an argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::UnixNanos;

use crate::durable::{Archive, Evicted, Storage};
use crate::fanout::{Batch, LastTick, Log, LogOverrun, Numbered, Position, TopicKey};
use crate::state::shared_log::SharedLog;

/// Batches read from memory at a time.
const BATCHES_PER_READ: usize = 64;
/// Bytes of ticks read from disk at a time, as charged in memory, and kept until they are due.
const READ_BYTES: usize = 1 << 20;

/// Reads the live log at a fixed delay, from memory where it holds the ticks, otherwise from disk.
#[derive(Debug)]
pub(crate) struct DelayedReader<S: Storage> {
    delay: Duration,
    /// Position of the next batch that becomes due.
    next: Position,
    archive: Option<Archive<S>>,
    /// Batches that have been read and are not due yet.
    buffered: VecDeque<Arc<Batch>>,
}

/// The initial content of a delayed timeline: all ticks that are due when it starts, as far as
/// history holds them.
#[derive(Debug)]
pub(crate) struct DelayedStart {
    pub(crate) log: Log,
    /// The last tick of each topic before those in the log, as far as it is known.
    pub(crate) last_before: Vec<LastTick>,
    /// Ticks that are due but no longer in history.
    pub(crate) lost: u64,
}

/// Batches of the live log that are due in a delayed timeline.
#[derive(Debug, Default)]
pub(crate) struct DueBatches {
    pub(crate) due: Vec<Arc<Batch>>,
    /// Ticks before these batches that neither memory nor the disk holds any more.
    pub(crate) lost: u64,
    /// When the next batch is due, if it is known.
    pub(crate) next: Option<UnixNanos>,
}

impl<S: Storage> DelayedReader<S> {
    /// Creates a reader with a delay that has read nothing. `archive` reads the log on disk, if
    /// there is one.
    pub(crate) const fn new(archive: Option<Archive<S>>, delay: Duration) -> Self {
        Self { delay, next: Position::FIRST, archive, buffered: VecDeque::new() }
    }

    /// Reads all ticks that are due at `now`, and fills the empty `log` with them. `last_before`
    /// are the last ticks before those of the live log.
    ///
    /// On disk, reading starts with the segment that contains the time `now - delay`: most topics
    /// get a last value this way, and none a value that is not due yet.
    pub(crate) fn start(
        &mut self,
        live: &SharedLog,
        now: UnixNanos,
        log: Log,
        last_before: &[LastTick],
    ) -> DelayedStart {
        let memory = live.start();
        let delay = self.delay;
        let reaches_back = live.oldest_received().is_none_or(|oldest| oldest + delay <= now);
        let due_until = UnixNanos(now.0.saturating_sub(nanos(delay)));
        let older = self
            .archive
            .as_mut()
            .filter(|_| !reaches_back)
            .and_then(|archive| archive.disk_index(now).received_from(due_until));
        let next = older.map_or(memory, |older| older.min(memory));
        self.next = next;
        let known = last_before.iter().filter(|last| last.position < next).cloned();
        let mut filler = LogFiller::new(log.starting_at(next));
        let mut lost = 0;
        loop {
            let taken = self.take(live, now, usize::MAX);
            if taken.due.is_empty() && taken.lost == 0 {
                let LogFiller { log, evicted, .. } = filler;
                let last_before = known.chain(evicted.into_values()).collect();
                return DelayedStart { log, last_before, lost };
            }
            lost += taken.lost;
            taken.due.into_iter().for_each(|batch| filler.add(batch));
        }
    }

    /// Takes the batches that are due at `now`: at most `ticks_max` ticks, but at least one batch.
    pub(crate) fn take(
        &mut self,
        live: &SharedLog,
        now: UnixNanos,
        ticks_max: usize,
    ) -> DueBatches {
        let mut taken = DueBatches::default();
        if self.buffered.is_empty() {
            taken.lost = self.read_next(live);
        }
        let mut ticks = 0;
        while let Some(next) = self.buffered.pop_front() {
            let due = next.received() + self.delay;
            ticks += next.ticks().len();
            if due > now || (ticks > ticks_max && !taken.due.is_empty()) {
                taken.next = Some(due);
                self.buffered.push_front(next);
                break;
            }
            self.next = next.end();
            taken.due.push(next);
        }
        if self.next >= live.start() {
            self.buffered.clear();
            self.archive.iter_mut().for_each(Archive::close);
        }
        taken
    }

    /// Reads the next batches into the buffer. Returns how many ticks before them are lost.
    fn read_next(&mut self, live: &SharedLog) -> u64 {
        let mut batches = Vec::new();
        let Err(LogOverrun { start }) = live.read(self.next, BATCHES_PER_READ, &mut batches) else {
            self.buffered = batches.into();
            return 0;
        };
        let archive = self.archive.as_mut();
        let next = match archive.map(|archive| archive.read(self.next, READ_BYTES)) {
            Some(Ok(batches)) if !batches.is_empty() => {
                self.buffered = batches.into();
                return 0;
            }
            // The position right after `next` would be inside the record that cannot be read.
            Some(Err(Evicted { next })) if next > self.next.plus(1) => next.min(start),
            _ => start,
        };
        let lost = next.0 - self.next.0;
        self.next = next;
        lost
    }
}

/// Fills a log before any shard follows it, and keeps the last ticks that the log has no room for.
struct LogFiller {
    log: Log,
    /// The batches in the log.
    batches: VecDeque<Arc<Batch>>,
    /// The last tick of each topic among those that the log has evicted.
    evicted: HashMap<TopicKey, LastTick>,
}

impl LogFiller {
    fn new(log: Log) -> Self {
        Self { log, batches: VecDeque::new(), evicted: HashMap::new() }
    }

    fn add(&mut self, batch: Arc<Batch>) {
        self.log.append_after_hole(batch.clone());
        self.batches.push_back(batch);
        while self.batches.front().is_some_and(|oldest| oldest.first() < self.log.start()) {
            let Some(batch) = self.batches.pop_front() else { return };
            for (place, Numbered { feed, tick, .. }) in batch.ticks().iter().enumerate() {
                let position = batch.first().plus(place);
                let last = LastTick { feed: *feed, tick: tick.clone(), position };
                self.evicted.insert(TopicKey::of(*feed, tick), last);
            }
        }
    }
}

fn nanos(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tickwire_protocol::{Seq, Symbol, Tick, TickData, Trade};

    use super::*;
    use crate::durable::Disk;
    use crate::fanout::{FeedId, TopicId};

    const DELAY: Duration = Duration::from_secs(900);

    fn at(second: u64) -> UnixNanos {
        UnixNanos(1_767_364_200_000_000_000) + Duration::from_secs(second)
    }

    /// Creates a batch of one tick, received at a second.
    fn batch(position: u64, second: u64) -> Arc<Batch> {
        let symbol = Symbol::new("AAPL").unwrap();
        let data = TickData::Trade(Trade::default());
        let tick = Tick { symbol, seq: Seq(position), time: at(second), data };
        let numbered = Numbered { topic: TopicId(0), feed: FeedId(0), tick };
        Arc::new(Batch::new(Position(position), at(second), vec![numbered]))
    }

    fn live(ticks_max: usize, seconds: &[u64]) -> SharedLog {
        let live = SharedLog::new(Log::new(usize::MAX, ticks_max), Vec::new());
        (1..).zip(seconds).for_each(|(position, second)| live.append(batch(position, *second)));
        live
    }

    fn started(live: &SharedLog, now: u64) -> (DelayedReader<Disk>, DelayedStart) {
        let mut reader = DelayedReader::new(None, DELAY);
        let start = reader.start(live, at(now), Log::new(usize::MAX, usize::MAX), &[]);
        (reader, start)
    }

    fn positions(taken: &DueBatches) -> Vec<u64> {
        taken.due.iter().map(|batch| batch.first().0).collect()
    }

    #[test]
    fn batch_is_due_exactly_after_the_delay() {
        let live = live(100, &[0, 1, 1, 5]);
        let (mut reader, start) = started(&live, 900);
        assert_eq!((start.log.start(), start.log.head()), (Position(1), Position(2)));
        let just_before = UnixNanos(at(901).0 - 1);
        let taken = reader.take(&live, just_before, 100);
        assert_eq!((positions(&taken), taken.next), (vec![], Some(at(901))));
        let taken = reader.take(&live, at(901), 100);
        assert_eq!((positions(&taken), taken.next), (vec![2, 3], Some(at(905))));
        live.append(batch(5, 6));
        assert_eq!(positions(&reader.take(&live, at(1_000), 100)), [4, 5]);
        let taken = reader.take(&live, at(2_000), 100);
        assert_eq!((positions(&taken), taken.next, taken.lost), (vec![], None, 0));
    }

    #[test]
    fn take_is_bounded_but_takes_at_least_one_batch() {
        let live = live(100, &[0, 1, 1, 5]);
        let (mut reader, _) = started(&live, 0);
        let taken = reader.take(&live, at(905), 2);
        assert_eq!((positions(&taken), taken.next), (vec![1, 2], Some(at(901))));
        assert_eq!(positions(&reader.take(&live, at(905), 0)), [3]);
        assert_eq!(positions(&reader.take(&live, at(905), 1)), [4]);
    }

    #[test]
    fn last_ticks_without_room_in_the_log_are_known_at_the_start() {
        let live = live(100, &[0, 1, 2, 3]);
        let log = Log::new(usize::MAX, 2);
        let start = DelayedReader::<Disk>::new(None, DELAY).start(&live, at(902), log, &[]);
        assert_eq!((start.log.start(), start.log.head()), (Position(2), Position(4)));
        let known: Vec<_> = start.last_before.iter().map(|last| last.position).collect();
        assert_eq!(known, [Position(1)]);
    }

    #[test]
    fn ticks_that_memory_no_longer_holds_are_counted_as_lost() {
        let live = live(3, &[0, 1, 2]);
        let (mut reader, _) = started(&live, 10);
        assert_eq!(reader.take(&live, at(10), 100).next, Some(at(900)));
        for (position, second) in [(4, 11), (5, 12), (6, 13), (7, 14)] {
            live.append(batch(position, second));
        }
        let taken = reader.take(&live, at(14), 100);
        assert_eq!((positions(&taken), taken.lost), (vec![], 4));
        let taken = reader.take(&live, at(913), 100);
        assert_eq!((positions(&taken), taken.lost), (vec![5, 6], 0));
    }

    #[test]
    fn log_continues_after_a_hole() {
        let mut log = Log::new(usize::MAX, usize::MAX);
        log.append_after_hole(batch(1, 0));
        log.append_after_hole(batch(2, 0));
        assert_eq!((log.start(), log.head()), (Position(1), Position(3)));
        log.append_after_hole(batch(5, 1));
        assert_eq!((log.start(), log.head(), log.ticks()), (Position(5), Position(6), 1));
        assert_eq!(log.bytes(), batch(5, 1).bytes());
    }
}

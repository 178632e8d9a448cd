//! What a market is that comes some time later, without the time: which batches are due, and where from.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{Channel, Symbol, Tick, UnixNanos};

use crate::durable::{Archive, Evicted, Storage};
use crate::fanout::{Batch, FeedId, Log, LogOverrun, Numbered, Position};
use crate::state::shared_log::SharedLog;

/// Batches taken from memory in one go.
const BATCHES_AT_ONCE: usize = 64;
/// Ticks read from disk in one go, as they are charged in memory, in bytes. So much is held.
const READ_BYTES: usize = 1 << 20;

/// A reader of the live log that stays some time behind it: in memory, else on disk.
#[derive(Debug)]
pub(crate) struct DelayedReader<S: Storage> {
    delay: Duration,
    /// Position of the next batch that is to come due.
    next: Position,
    archive: Option<Archive<S>>,
    /// The next batches, unless memory holds them.
    held: VecDeque<Arc<Batch>>,
}

/// What a market begins with: the past up to what is due at its start.
#[derive(Debug)]
pub(crate) struct DelayedStart {
    pub(crate) log: Log,
    /// The last ticks of topics before those in the log, as far as they are known.
    pub(crate) last_before: Vec<(FeedId, Tick, Position)>,
    /// Ticks among the past that cannot be read.
    pub(crate) lost: u64,
}

/// What has come due.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) due: Vec<Arc<Batch>>,
    /// Ticks that would have come before, had memory or the disk still held them.
    pub(crate) lost: u64,
    /// When there is more, if that is known.
    pub(crate) next: Option<UnixNanos>,
}

impl<S: Storage> DelayedReader<S> {
    /// Begins `delay` behind, with an empty log to fill. On disk it begins with the segment in which the time
    /// lies, so that most topics have a last value, and none a later one.
    pub(crate) fn begin(
        live: &SharedLog,
        mut archive: Option<Archive<S>>,
        delay: Duration,
        now: UnixNanos,
        log: Log,
        last_before: &[(FeedId, Tick, Position)],
    ) -> (Self, DelayedStart) {
        let memory = live.start();
        let reaches_back = live.oldest_received().is_none_or(|oldest| oldest + delay <= now);
        let reached = UnixNanos(now.0.saturating_sub(nanos(delay)));
        let older = archive
            .as_mut()
            .filter(|_| !reaches_back)
            .and_then(|archive| archive.disk_index(now).received_from(reached));
        let next = older.map_or(memory, |older| older.min(memory));
        let known = last_before.iter().filter(|(.., at)| *at < next).cloned();
        let mut filling = Filling::new(log.starting_at(next));
        let mut reader = Self { delay, next, archive, held: VecDeque::new() };
        let mut lost = 0;
        loop {
            let taken = reader.take(live, now, usize::MAX);
            if taken.due.is_empty() && taken.lost == 0 {
                let Filling { log, passed, .. } = filling;
                let last_before = known.chain(passed.into_values()).collect();
                return (reader, DelayedStart { log, last_before, lost });
            }
            lost += taken.lost;
            taken.due.into_iter().for_each(|batch| filling.add(batch));
        }
    }

    /// What has come due by now, a bounded part of it at a time: at least a batch, at most so many ticks.
    pub(crate) fn take(&mut self, live: &SharedLog, now: UnixNanos, ticks_max: usize) -> Taken {
        let mut taken = Taken::default();
        if self.held.is_empty() {
            taken.lost = self.read(live);
        }
        let mut ticks = 0;
        while let Some(next) = self.held.pop_front() {
            let due = next.received() + self.delay;
            ticks += next.ticks().len();
            if due > now || (ticks > ticks_max && !taken.due.is_empty()) {
                taken.next = Some(due);
                self.held.push_front(next);
                break;
            }
            self.next = next.end();
            taken.due.push(next);
        }
        if self.next >= live.start() {
            self.held.clear();
            self.archive.iter_mut().for_each(Archive::close);
        }
        taken
    }

    /// Reads on, and says how many ticks are to be had nowhere any more.
    fn read(&mut self, live: &SharedLog) -> u64 {
        let mut batches = Vec::new();
        let Err(LogOverrun { start }) = live.read(self.next, BATCHES_AT_ONCE, &mut batches) else {
            self.held = batches.into();
            return 0;
        };
        let archive = self.archive.as_mut();
        let next = match archive.map(|archive| archive.read(self.next, READ_BYTES)) {
            Some(Ok(batches)) if !batches.is_empty() => {
                self.held = batches.into();
                return 0;
            }
            // Not the next position: that of a record that cannot be read is no beginning of one.
            Some(Err(Evicted { next })) if next > self.next.plus(1) => next.min(start),
            _ => start,
        };
        let lost = next.0 - self.next.0;
        self.next = next;
        lost
    }
}

/// A log that is filled before anybody follows it.
struct Filling {
    log: Log,
    /// What it holds.
    batches: VecDeque<Arc<Batch>>,
    /// The last tick of each topic among those it holds no longer.
    passed: HashMap<(FeedId, Channel, Symbol), (FeedId, Tick, Position)>,
}

impl Filling {
    fn new(log: Log) -> Self {
        Self { log, batches: VecDeque::new(), passed: HashMap::new() }
    }

    fn add(&mut self, batch: Arc<Batch>) {
        self.log.append_later(batch.clone());
        self.batches.push_back(batch);
        while self.batches.front().is_some_and(|oldest| oldest.first() < self.log.start()) {
            let Some(passed) = self.batches.pop_front() else { return };
            for (place, Numbered { feed, tick, .. }) in passed.ticks().iter().enumerate() {
                let last = (*feed, tick.clone(), passed.first().plus(place));
                self.passed.insert((*feed, tick.channel(), tick.symbol), last);
            }
        }
    }
}

fn nanos(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tickwire_protocol::{Seq, TickData, Trade};

    use super::*;
    use crate::durable::Disk;
    use crate::fanout::TopicId;

    const DELAY: Duration = Duration::from_secs(900);

    fn at(second: u64) -> UnixNanos {
        UnixNanos(1_767_364_200_000_000_000) + Duration::from_secs(second)
    }

    /// A batch of one tick, received in a second.
    fn batch(position: u64, second: u64) -> Arc<Batch> {
        let (symbol, data) = (Symbol::new("AAPL").unwrap(), TickData::Trade(Trade::default()));
        let tick = Tick { symbol, seq: Seq(position), time: at(second), data };
        let numbered = Numbered { topic: TopicId(0), feed: FeedId(0), tick };
        Arc::new(Batch::new(Position(position), at(second), vec![numbered]))
    }

    fn live(ticks_max: usize, seconds: &[u64]) -> SharedLog {
        let live = SharedLog::new(Log::new(usize::MAX, ticks_max), Vec::new());
        (1..).zip(seconds).for_each(|(position, second)| live.append(batch(position, *second)));
        live
    }

    fn begin(live: &SharedLog, now: u64) -> (DelayedReader<Disk>, DelayedStart) {
        DelayedReader::begin(live, None, DELAY, at(now), Log::new(usize::MAX, usize::MAX), &[])
    }

    fn positions(taken: &Taken) -> Vec<u64> {
        taken.due.iter().map(|batch| batch.first().0).collect()
    }

    #[test]
    fn a_batch_is_due_when_its_time_has_come_and_not_before() {
        let live = live(100, &[0, 1, 1, 5]);
        let (mut reader, start) = begin(&live, 900);
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
    fn no_more_is_taken_at_a_time_than_there_is_room_for_but_a_batch() {
        let live = live(100, &[0, 1, 1, 5]);
        let (mut reader, _) = begin(&live, 0);
        let taken = reader.take(&live, at(905), 2);
        assert_eq!((positions(&taken), taken.next), (vec![1, 2], Some(at(901))));
        assert_eq!(positions(&reader.take(&live, at(905), 0)), [3]);
        assert_eq!(positions(&reader.take(&live, at(905), 1)), [4]);
    }

    #[test]
    fn the_last_ticks_of_what_a_log_had_no_room_for_are_known_at_its_beginning() {
        let live = live(100, &[0, 1, 2, 3]);
        let log = Log::new(usize::MAX, 2);
        let (_, start) = DelayedReader::<Disk>::begin(&live, None, DELAY, at(902), log, &[]);
        assert_eq!((start.log.start(), start.log.head()), (Position(2), Position(4)));
        let known: Vec<_> = start.last_before.iter().map(|(.., at)| *at).collect();
        assert_eq!(known, [Position(1)]);
    }

    #[test]
    fn what_memory_no_longer_holds_is_counted_and_the_rest_comes() {
        let live = live(3, &[0, 1, 2]);
        let (mut reader, _) = begin(&live, 10);
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
    fn a_log_with_a_hole_goes_on_behind_it() {
        let mut log = Log::new(usize::MAX, usize::MAX);
        log.append_later(batch(1, 0));
        log.append_later(batch(2, 0));
        assert_eq!((log.start(), log.head()), (Position(1), Position(3)));
        log.append_later(batch(5, 1));
        assert_eq!((log.start(), log.head(), log.ticks()), (Position(5), Position(6), 1));
        assert_eq!(log.bytes(), batch(5, 1).bytes());
    }
}

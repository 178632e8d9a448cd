//! Applies the segments of a log to the state of a checkpoint, oldest first.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::folder::{Folder, checkpoint};
use super::{
    AHEAD_MAX, HEADER_BYTES_MAX, MISSING, RecoverError, RecoverOptions, Recovered, TICK_CHARGE_MIN,
    read_file,
};
use crate::durable::bytes::Damage;
use crate::durable::epoch::EpochFile;
use crate::durable::segment::{
    BROKEN_RECORD, CHECKPOINT_SHARE, Header, Records, Segment, Tail, UnknownFeed,
};
use crate::durable::state::{NOT_CONTIGUOUS, State};
use crate::durable::storage::{FILE_BYTES_MAX, FileKind, Storage, file_kind, segment_name};
use crate::fanout::{Batch, LastTick, Numbered, TopicId};

/// A log being read: the state so far, and the batches to load into memory.
pub(super) struct SegmentReplay<'a> {
    options: &'a RecoverOptions<'a>,
    /// Number of the segment that starts at the checkpoint.
    checkpoint: u64,
    state: State,
    /// Number and state of a newer checkpoint, in case a segment before it is damaged.
    newest: Option<(u64, State)>,
    batches: VecDeque<Arc<Batch>>,
    /// Bytes that `batches` are charged in memory.
    bytes: usize,
    /// The last known tick of each topic before `batches`.
    before: FxHashMap<TopicId, LastTick>,
    segments: Vec<Segment>,
    problems: Vec<String>,
    /// Name of a segment that ends within a record, and the offset of that record.
    cut: Option<(String, u64)>,
    /// Whether everything from the checkpoint on was readable.
    is_whole: bool,
}

impl<'a> SegmentReplay<'a> {
    pub(super) fn new(
        options: &'a RecoverOptions<'a>,
        checkpoint: u64,
        state: State,
        problems: Vec<String>,
    ) -> Self {
        Self {
            options,
            checkpoint,
            state,
            newest: None,
            batches: VecDeque::new(),
            bytes: 0,
            before: FxHashMap::default(),
            segments: Vec::new(),
            problems,
            cut: None,
            is_whole: true,
        }
    }

    /// Returns whether the epoch can continue. If the clock is the reason against it, adds a
    /// problem that says so.
    pub(super) fn continues(&mut self, epoch_file: Option<&EpochFile>) -> bool {
        let State { epoch, head, received, .. } = &self.state;
        let ahead = received.since(self.options.now);
        if ahead > AHEAD_MAX {
            let hours = ahead.as_secs() / 3_600;
            self.problems
                .push(format!("the last tick was received {hours} h after the current time"));
            return false;
        }
        let same = |file: &EpochFile| file.continues(epoch, *head, self.options.boot);
        self.is_whole && epoch_file.is_some_and(same)
    }

    /// Reads all segments that are needed for the state and for memory.
    pub(super) fn read<S: Storage>(
        &mut self,
        storage: &S,
        folder: &Folder,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), RecoverError> {
        let Some(last) = folder.last_segment().filter(|last| *last >= self.checkpoint) else {
            self.problem(self.checkpoint, MISSING);
            self.is_whole = false;
            return Ok(());
        };
        let first = self.first_needed(storage, folder)?;
        let first = self.start_from_older_checkpoint(storage, folder, first)?;
        let total = folder.segments.range(first..).map(|(_, bytes)| bytes).sum();
        let mut done = 0;
        for number in first..=last {
            let read = match read_file(storage, segment_name(number), FILE_BYTES_MAX)? {
                Ok(file) => self.segment(number, &file, number == last)?,
                Err(problem) => Err(problem),
            };
            if let Err(problem) = read {
                self.problem(number, &problem);
                self.drop_history();
                if number >= self.checkpoint && !self.resume_at_newest_checkpoint(number) {
                    self.is_whole = false;
                    return Ok(());
                }
            }
            done += folder.segments.get(&number).unwrap_or(&0);
            progress(done, total);
        }
        Ok(())
    }

    /// Moves the start of the replay back to the newest readable checkpoint at or before segment
    /// `first`, so that the replay finds the last tick of each topic before the ticks that it
    /// loads. Keeps the state of the newer checkpoint, in case a segment before it is damaged.
    /// Returns the number of the segment to start with.
    fn start_from_older_checkpoint<S: Storage>(
        &mut self,
        storage: &S,
        folder: &Folder,
        first: u64,
    ) -> Result<u64, RecoverError> {
        if first < self.checkpoint
            && let Some((number, state)) =
                checkpoint(storage, folder, first, self.options, &mut self.problems)?
            && state.epoch == self.state.epoch
        {
            let newest = (self.checkpoint, std::mem::replace(&mut self.state, state));
            self.newest = Some(newest);
            self.checkpoint = number;
        }
        let first = first.min(self.checkpoint);
        self.segments.retain(|segment| segment.number < first);
        self.record_last_ticks();
        Ok(first)
    }

    /// Continues from the newest checkpoint, if it comes after the damaged segment. Returns whether
    /// it does.
    fn resume_at_newest_checkpoint(&mut self, damaged: u64) -> bool {
        let Some((number, state)) = self.newest.take_if(|(number, _)| *number > damaged) else {
            return false;
        };
        self.checkpoint = number;
        self.state = state;
        self.record_last_ticks();
        true
    }

    fn record_last_ticks(&mut self) {
        let known = self.state.last_ticks();
        self.before = known.collect();
    }

    /// Returns the number of the first segment to read: the one with the oldest tick to load, or
    /// that of the checkpoint. Records the older segments, which are not read.
    fn first_needed<S: Storage>(
        &mut self,
        storage: &S,
        folder: &Folder,
    ) -> Result<u64, RecoverError> {
        let ticks = self.options.ticks_max.min(self.options.bytes_max / TICK_CHARGE_MIN) as u64;
        let mut found = Vec::new();
        for (number, bytes) in folder.segments.range(..self.checkpoint) {
            let file = read_file(storage, segment_name(*number), HEADER_BYTES_MAX)?;
            let header =
                file.and_then(|start| Header::read(&start).map_err(|damage| damage.to_string()));
            match header {
                Ok((header, _)) if header.epoch == self.state.epoch => {
                    header.map(self.options.feeds)?;
                    let Header { first, received, .. } = header;
                    found.push(Segment { number: *number, first, received, bytes: *bytes });
                }
                Ok(_) => found.clear(), // of an earlier epoch
                Err(problem) => {
                    self.problem(*number, &problem);
                    found.clear();
                }
            }
        }
        let head = self.state.head.0; // after all these segments
        let newest = self.state.received;
        let needed = |next: &Segment| {
            next.first.0 + ticks > head && newest.since(next.received) <= self.options.age_max
        };
        let skipped = found.iter().skip(1).take_while(|next| !needed(next)).count();
        let first = found.get(skipped).map_or(self.checkpoint, |segment| segment.number);
        found.truncate(skipped);
        self.segments = found;
        Ok(first)
    }

    fn problem(&mut self, number: u64, what: &str) {
        self.problems.push(format!("{}: {what}", segment_name(number)));
    }

    fn drop_history(&mut self) {
        self.segments.clear();
        while let Some(oldest) = self.batches.pop_front() {
            self.evict(&oldest);
        }
    }

    /// Accounts for a batch that is not loaded: its ticks become the last ticks before the loaded
    /// ones.
    fn evict(&mut self, batch: &Batch) {
        self.bytes -= batch.bytes();
        let mut position = batch.first();
        for Numbered { topic, feed, tick } in batch.ticks() {
            self.before.insert(*topic, LastTick { feed: *feed, tick: tick.clone(), position });
            position = position.plus(1);
        }
    }

    fn segment(
        &mut self,
        number: u64,
        file: &[u8],
        is_last: bool,
    ) -> Result<Result<(), String>, UnknownFeed> {
        let (header, at) = match Header::read(file) {
            Ok(read) => read,
            Err(damage) => return Ok(Err(damage.to_string())),
        };
        let feeds = header.map(self.options.feeds)?;
        let counts = number >= self.checkpoint;
        if header.epoch != self.state.epoch {
            return Ok(Err("belongs to another epoch".to_owned()));
        }
        if counts && header.first != self.state.head {
            return Ok(Err("does not continue the previous segment".to_owned()));
        }
        if self.batches.back().is_some_and(|newest| newest.end() != header.first) {
            self.drop_history();
        }
        let Header { first, received, .. } = header;
        self.segments.push(Segment { number, first, received, bytes: file.len() as u64 });
        let mut records = Records::new(file, at, &feeds);
        let read = self.records(&mut records, counts).and_then(|()| match records.tail() {
            Tail::Clean => Ok(()),
            Tail::Torn if is_last => {
                self.cut = Some((segment_name(number), records.at() as u64));
                Ok(())
            }
            Tail::Torn | Tail::Damaged => Err(BROKEN_RECORD),
        });
        Ok(read.map_err(|damage| format!("at byte {}: {damage}", records.at())))
    }

    fn records(&mut self, records: &mut Records<'_>, counts: bool) -> Result<(), Damage> {
        while let Some(record) = records.next()? {
            if counts {
                self.state.apply(&record)?;
            }
            let Some(batch) = record.batch else { continue };
            if self.batches.back().is_some_and(|newest| newest.end() != batch.first()) {
                return Err(NOT_CONTIGUOUS);
            }
            self.load(batch);
        }
        Ok(())
    }

    /// Adds a batch, and evicts the oldest ones beyond the limits of memory.
    fn load(&mut self, batch: Batch) {
        let RecoverOptions { bytes_max, ticks_max, age_max, .. } = *self.options;
        self.bytes += batch.bytes();
        let end = batch.end().0;
        let newest = batch.received();
        self.batches.push_back(Arc::new(batch));
        let fits = |bytes, first: &Batch| {
            let ticks = end - first.first().0;
            bytes <= bytes_max
                && ticks <= ticks_max as u64
                && newest.since(first.received()) <= age_max
        };
        while let Some(first) = self.batches.pop_front_if(|first| !fits(self.bytes, first)) {
            self.evict(&first);
        }
    }

    /// Returns the result, as the start of a new epoch unless the epoch continues.
    pub(super) fn end(mut self, folder: Folder, continues: bool) -> Recovered {
        let newest = self.newest.as_ref().map_or(self.checkpoint, |(number, _)| *number);
        let checkpoints = if continues { self.checkpoints(&folder, newest) } else { Vec::new() };
        if !continues {
            self.segments.clear();
            self.batches.clear();
            self.before.clear();
            self.state.begin_epoch(self.options.epoch.clone());
            self.cut = None;
        }
        let next = folder.next();
        let kept = |name: &String| match file_kind(name) {
            FileKind::Segment(number) => self.segments.iter().any(|known| known.number == number),
            FileKind::Checkpoint(number) => checkpoints.contains(&number),
            FileKind::Unfinished | FileKind::Other => false,
        };
        let mut obsolete: Vec<_> = folder.names.into_iter().filter(|name| !kept(name)).collect();
        // Until there is another checkpoint, the newest one and the records after it hold the
        // progress of publishers. They are deleted last, the checkpoint at the very end.
        obsolete.sort_by_cached_key(|name| match file_kind(name) {
            FileKind::Segment(number) if number >= newest => (1, u64::MAX - number),
            FileKind::Checkpoint(number) if number >= newest => (2, number),
            _ => (0, 0),
        });
        let Self { state, batches, problems, segments, cut, before, .. } = self;
        let start = batches.front().map_or(state.head, |batch| batch.first());
        let last_before = before.into_values().filter(|last| last.position < start).collect();
        Recovered {
            state,
            continues,
            batches,
            last_before,
            problems,
            segments,
            next,
            checkpoints,
            cut,
            obsolete: obsolete.into(),
        }
    }

    /// Returns the checkpoints to keep: the one before all ticks in memory, the newest, the second
    /// newest in case the newest is damaged, and others that are small relative to the records
    /// between them, since they shorten later starts.
    fn checkpoints(&self, folder: &Folder, newest: u64) -> Vec<u64> {
        let all: Vec<_> = folder.checkpoints.range(self.checkpoint..=newest).collect();
        let mut kept: Vec<u64> = Vec::new();
        for (index, (number, bytes)) in all.iter().enumerate() {
            let since = kept.last().map_or(0, |last| {
                folder.segments.range(last..number).map(|(_, bytes)| bytes).sum::<u64>()
            });
            if index == 0 || index + 2 >= all.len() || since >= CHECKPOINT_SHARE * *bytes {
                kept.push(**number);
            }
        }
        kept
    }
}

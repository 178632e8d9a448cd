//! Reading the segments of a log, oldest first.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tickwire_protocol::Tick;

use super::folder::{Folder, checkpoint};
use super::{
    AHEAD_MAX, HEADER_BYTES_MAX, RecoverError, Recovered, TICK_CHARGE_MIN, Wanted, read_file,
};
use crate::durable::bytes::Damage;
use crate::durable::epoch::EpochFile;
use crate::durable::keeper::CHECKPOINT_SHARE;
use crate::durable::segment::{Header, Records, Tail, UnknownFeed};
use crate::durable::state::State;
use crate::durable::storage::{FILE_BYTES_MAX, Kind, Storage, kind, segment_name};
use crate::durable::writer::Segment;
use crate::fanout::{Batch, FeedId, Position, TopicId};

/// The state while segments are read, oldest first.
pub(super) struct Reading<'a> {
    wanted: &'a Wanted<'a>,
    /// The segment whose beginning the checkpoint is.
    checkpoint: u64,
    state: State,
    /// A newer checkpoint, for the case that something before it is damaged.
    newest: Option<(u64, State)>,
    batches: VecDeque<Arc<Batch>>,
    /// Invariant: what `batches` are charged.
    bytes: usize,
    /// The last tick of each topic that is known and not among `batches`.
    before: FxHashMap<TopicId, (FeedId, Tick, Position)>,
    segments: Vec<Segment>,
    problems: Vec<String>,
    cut: Option<(String, u64)>,
    /// Whether everything from the checkpoint on could be read.
    is_whole: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        wanted: &'a Wanted<'a>,
        checkpoint: u64,
        state: State,
        problems: Vec<String>,
    ) -> Self {
        Self {
            wanted,
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

    /// Whether the epoch goes on.
    pub(super) fn continues(&mut self, epoch_file: Option<&EpochFile>) -> bool {
        let State { epoch, head, received, .. } = &self.state;
        let ahead = received.since(self.wanted.now);
        if ahead > AHEAD_MAX {
            let hours = ahead.as_secs() / 3_600;
            self.problems.push(format!("its last tick was received {hours} h after now"));
            return false;
        }
        let same = |file: &EpochFile| file.continues(epoch, *head, self.wanted.boot);
        self.is_whole && epoch_file.is_some_and(same)
    }

    pub(super) fn read<S: Storage>(
        &mut self,
        storage: &S,
        folder: &Folder,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), RecoverError> {
        let Some(last) = folder.last_segment().filter(|last| *last >= self.checkpoint) else {
            self.problem(self.checkpoint, "it is missing");
            self.is_whole = false;
            return Ok(());
        };
        let first = self.look_at_older(storage, folder)?;
        let first = self.go_back(storage, folder, first)?;
        let total = folder.segments.range(first..).map(|(_, bytes)| bytes).sum();
        let mut done = 0;
        for number in first..=last {
            let read = match read_file(storage, segment_name(number), FILE_BYTES_MAX)? {
                Ok(file) => self.segment(number, &file, number == last)?,
                Err(problem) => Err(problem),
            };
            if let Err(problem) = read {
                self.problem(number, &problem);
                self.forget_history();
                if number >= self.checkpoint && !self.go_forward(number) {
                    self.is_whole = false;
                    return Ok(());
                }
            }
            done += folder.segments.get(&number).unwrap_or(&0);
            progress(done, total);
        }
        Ok(())
    }

    /// Goes back to the newest checkpoint that is not newer than the first segment that is wanted, if
    /// there is one: reading on from there tells what each topic's last tick was before those that are
    /// kept. Says which segment to begin with.
    fn go_back<S: Storage>(
        &mut self,
        storage: &S,
        folder: &Folder,
        first: u64,
    ) -> Result<u64, RecoverError> {
        if first < self.checkpoint
            && let Some((number, state)) =
                checkpoint(storage, folder, first, self.wanted, &mut self.problems)?
            && state.epoch == self.state.epoch
        {
            let newest = (self.checkpoint, std::mem::replace(&mut self.state, state));
            self.newest = Some(newest);
            self.checkpoint = number;
        }
        let first = first.min(self.checkpoint);
        self.segments.retain(|segment| segment.number < first);
        self.note_state();
        Ok(first)
    }

    /// Goes on from the newest checkpoint, if that is behind a damaged segment.
    fn go_forward(&mut self, damaged: u64) -> bool {
        let Some((number, state)) = self.newest.take_if(|(number, _)| *number > damaged) else {
            return false;
        };
        self.checkpoint = number;
        self.state = state;
        self.note_state();
        true
    }

    fn note_state(&mut self) {
        let known = self.state.last_ticks();
        let known = known.map(|(topic, feed, tick, at)| (topic, (feed, tick.clone(), at)));
        self.before = known.collect();
    }

    /// Takes note of segments that are not read, and says which is the first one that is: it holds the
    /// oldest tick that is wanted, or the checkpoint's next one.
    fn look_at_older<S: Storage>(
        &mut self,
        storage: &S,
        folder: &Folder,
    ) -> Result<u64, RecoverError> {
        let ticks = self.wanted.ticks_max.min(self.wanted.bytes_max / TICK_CHARGE_MIN) as u64;
        let mut found = Vec::new();
        for (number, bytes) in folder.segments.range(..self.checkpoint) {
            let file = read_file(storage, segment_name(*number), HEADER_BYTES_MAX)?;
            let header =
                file.and_then(|start| Header::read(&start).map_err(|damage| damage.to_string()));
            match header {
                Ok((header, _)) if header.epoch == self.state.epoch => {
                    header.map(self.wanted.feeds)?;
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
        let head = self.state.head.0; // behind all of them
        let newest = self.state.received;
        let needed = |next: &Segment| {
            next.first.0 + ticks > head && newest.since(next.received) <= self.wanted.age_max
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

    fn forget_history(&mut self) {
        self.segments.clear();
        while let Some(oldest) = self.batches.pop_front() {
            self.let_go(&oldest);
        }
    }

    /// A batch is not kept: its ticks are the last ones before those that are.
    fn let_go(&mut self, batch: &Batch) {
        self.bytes -= batch.bytes();
        let mut at = batch.first();
        for numbered in batch.ticks() {
            let last = (numbered.feed, numbered.tick.clone(), at);
            self.before.insert(numbered.topic, last);
            at = at.plus(1);
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
        let feeds = header.map(self.wanted.feeds)?;
        let counts = number >= self.checkpoint;
        if header.epoch != self.state.epoch {
            return Ok(Err("it belongs to another epoch".to_owned()));
        }
        if counts && header.first != self.state.head {
            return Ok(Err("it does not continue the one before".to_owned()));
        }
        if self.batches.back().is_some_and(|newest| newest.end() != header.first) {
            self.forget_history();
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
            Tail::Torn | Tail::Damaged => Err(Damage("a record is broken")),
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
                return Err(Damage("a record that does not continue the one before"));
            }
            self.keep(batch);
        }
        Ok(())
    }

    fn keep(&mut self, batch: Batch) {
        let Wanted { bytes_max, ticks_max, age_max, .. } = *self.wanted;
        self.bytes += batch.bytes();
        let (end, newest) = (batch.end().0, batch.received());
        self.batches.push_back(Arc::new(batch));
        let fits = |bytes, first: &Batch| {
            let ticks = end - first.first().0;
            bytes <= bytes_max
                && ticks <= ticks_max as u64
                && newest.since(first.received()) <= age_max
        };
        while let Some(first) = self.batches.pop_front_if(|first| !fits(self.bytes, first)) {
            self.let_go(&first);
        }
    }

    pub(super) fn end(mut self, folder: Folder, continues: bool) -> Recovered {
        let newest = self.newest.as_ref().map_or(self.checkpoint, |(number, _)| *number);
        let checkpoints = if continues { self.checkpoints(&folder, newest) } else { Vec::new() };
        if !continues {
            self.segments.clear();
            self.batches.clear();
            self.before.clear();
            self.state.begin_epoch(self.wanted.epoch.clone());
            self.cut = None;
        }
        let next = folder.next();
        let kept = |name: &String| match kind(name) {
            Kind::Segment(number) => self.segments.iter().any(|known| known.number == number),
            Kind::Checkpoint(number) => checkpoints.contains(&number),
            Kind::Unfinished | Kind::Other => false,
        };
        let mut obsolete: Vec<_> = folder.names.into_iter().filter(|name| !kept(name)).collect();
        // The newest checkpoint and what is behind it tell what publishers have sent, until there is
        // another one: they go last, and the checkpoint last of all.
        obsolete.sort_by_cached_key(|name| match kind(name) {
            Kind::Segment(number) if number >= newest => (1, u64::MAX - number),
            Kind::Checkpoint(number) if number >= newest => (2, number),
            _ => (0, 0),
        });
        let Self { state, batches, problems, segments, cut, before, .. } = self;
        let start = batches.front().map_or(state.head, |batch| batch.first());
        let last_before = before.into_values().filter(|(_, _, at)| *at < start).collect();
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

    /// The checkpoints that are worth keeping: the one before all that memory holds, the newest, the one
    /// before that in case it is damaged, and of others, which save reading after later starts, as many
    /// as are small beside the records between them.
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

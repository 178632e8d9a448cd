//! Reads what an earlier hub left: where numbering stands, and the newest ticks.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tickwire_protocol::{Feed, Tick, UnixNanos};

use super::bytes::Damage;
use super::epoch::{EPOCH_FILE, EpochFile};
use super::segment::{Header, Records, Tail, UnknownFeed};
use super::state::{Derived, State, Unusable};
use super::storage::{FILE_BYTES_MAX, Kind, Storage, checkpoint_name, kind, segment_name};
use super::writer::Segment;
use crate::fanout::{Batch, FeedId, Position, TopicId};

/// Bytes that hold the header of any segment.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// What a tick is charged in memory at the least, in bytes: see [`Batch::bytes`].
pub(super) const TICK_CHARGE_MIN: usize = 300;

/// What a hub wants of a log.
#[expect(missing_debug_implementations, reason = "a function cannot be shown")]
pub struct Wanted<'a> {
    /// The feeds of the hub, by their numbers.
    pub feeds: &'a [Feed],
    /// Which start of the machine this is.
    pub boot: &'a str,
    /// The next epoch, if the log's cannot go on.
    pub epoch: String,
    /// Makes what is derived from the ticks, as it is before the first.
    pub derived: &'a dyn Fn() -> Box<dyn Derived>,
    /// Most bytes of ticks, as they are charged in memory.
    pub bytes_max: usize,
    /// Most ticks.
    pub ticks_max: usize,
    /// Ticks received before this are not wanted.
    pub oldest: UnixNanos,
}

/// What was found.
#[derive(Debug)]
pub struct Recovered {
    /// Where the log stands, or where the next epoch begins.
    pub state: State,
    /// Whether the epoch goes on.
    pub continues: bool,
    /// The newest ticks, as many as are wanted, without a gap up to the head.
    pub batches: VecDeque<Arc<Batch>>,
    /// The last tick before these of each topic that has one, as far as checkpoints tell: of topics that
    /// have not ticked since in any case.
    pub last_before: Vec<(FeedId, Tick, Position)>,
    /// What is damaged or missing, for people.
    pub problems: Vec<String>,
    /// The segments that belong to the epoch, oldest first, without a gap.
    pub(super) segments: Vec<Segment>,
    /// Number of the next segment.
    pub(super) next: u64,
    /// Numbers of the checkpoints that are worth keeping.
    pub(super) checkpoints: Vec<u64>,
    /// A segment that ends amid a record, and where that begins.
    pub(super) cut: Option<(String, u64)>,
    /// Files nobody needs any more.
    pub(super) obsolete: Vec<String>,
}

/// Why a log cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A file cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It holds ticks of a feed that is not configured.
    #[error("it holds feed {0}, which is not among the hub's feeds: add it, or use another folder")]
    UnknownFeed(Feed),
}

impl From<UnknownFeed> for RecoverError {
    fn from(UnknownFeed(feed): UnknownFeed) -> Self {
        Self::UnknownFeed(feed)
    }
}

/// Reads a log. `progress` is told how many bytes have been read, and of how many.
///
/// # Errors
/// If a file cannot be read or a feed is not there; damage is no error but a
/// [problem](Recovered::problems).
pub fn recover<S: Storage>(
    storage: &S,
    wanted: Wanted<'_>,
    progress: impl FnMut(u64, u64),
) -> Result<Recovered, RecoverError> {
    let folder = Folder::look(storage)?;
    let epoch_file = match storage.read(EPOCH_FILE, HEADER_BYTES_MAX) {
        Ok(bytes) => std::str::from_utf8(&bytes).ok().and_then(EpochFile::read),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(RecoverError::Read { name: EPOCH_FILE.to_owned(), source }),
    };
    let mut problems = Vec::new();
    let found = checkpoint(storage, &folder, u64::MAX, &wanted, &mut problems)?;
    let is_new = folder.is_empty();
    let Some((number, state)) = found else {
        if !is_new {
            problems
                .push("no checkpoint can be read: what publishers have sent is lost".to_owned());
        }
        let state = State::new(wanted.epoch, wanted.feeds.to_vec(), (wanted.derived)());
        let (next, obsolete) = (folder.next(), folder.names);
        let (batches, segments) = (VecDeque::new(), Vec::new());
        let continues = false;
        return Ok(Recovered {
            state,
            continues,
            batches,
            problems,
            segments,
            next,
            last_before: Vec::new(),
            checkpoints: Vec::new(),
            cut: None,
            obsolete,
        });
    };
    let mut reading = Reading {
        wanted: &wanted,
        checkpoint: number,
        state,
        newest: None,
        batches: VecDeque::new(),
        bytes: 0,
        before: FxHashMap::default(),
        segments: Vec::new(),
        problems,
        cut: None,
        is_whole: true,
    };
    reading.read(storage, &folder, progress)?;
    let state = &reading.state;
    let same = |file: &EpochFile| file.continues(&state.epoch, state.head, wanted.boot);
    let continues = reading.is_whole && epoch_file.as_ref().is_some_and(same);
    Ok(reading.end(folder, continues))
}

/// The files of a log.
struct Folder {
    /// Sizes of segments, by number.
    segments: BTreeMap<u64, u64>,
    checkpoints: BTreeMap<u64, u64>,
    /// Segments, checkpoints and what was left unfinished.
    names: Vec<String>,
}

impl Folder {
    fn look<S: Storage>(storage: &S) -> Result<Self, RecoverError> {
        let list = storage
            .list()
            .map_err(|source| RecoverError::Read { name: "the folder".to_owned(), source })?;
        let mut folder =
            Self { segments: BTreeMap::new(), checkpoints: BTreeMap::new(), names: Vec::new() };
        for (name, bytes) in list {
            match kind(&name) {
                Kind::Segment(number) => _ = folder.segments.insert(number, bytes),
                Kind::Checkpoint(number) => _ = folder.checkpoints.insert(number, bytes),
                Kind::Unfinished => {}
                Kind::Other => continue,
            }
            folder.names.push(name);
        }
        Ok(folder)
    }

    fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.checkpoints.is_empty()
    }

    fn last_segment(&self) -> Option<u64> {
        self.segments.keys().next_back().copied()
    }

    /// The number of the next segment.
    fn next(&self) -> u64 {
        self.last_segment().max(self.checkpoints.keys().next_back().copied()).unwrap_or(0) + 1
    }
}

/// The newest checkpoint that can be read, of those up to a number.
fn checkpoint<S: Storage>(
    storage: &S,
    folder: &Folder,
    most: u64,
    wanted: &Wanted<'_>,
    problems: &mut Vec<String>,
) -> Result<Option<(u64, State)>, RecoverError> {
    for (number, _) in folder.checkpoints.range(..=most).rev() {
        let name = checkpoint_name(*number);
        match storage.read(&name, FILE_BYTES_MAX) {
            Ok(file) => match State::read(&file, wanted.feeds, (wanted.derived)()) {
                Ok(state) => return Ok(Some((*number, state))),
                Err(Unusable::UnknownFeed(feed)) => return Err(RecoverError::UnknownFeed(feed)),
                Err(Unusable::Damaged(damage)) => problems.push(format!("{name}: {damage}")),
            },
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    Ok(None)
}

/// The state while segments are read, oldest first.
struct Reading<'a> {
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

impl Reading<'_> {
    fn read<S: Storage>(
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
            let read = match storage.read(&segment_name(number), FILE_BYTES_MAX) {
                Ok(file) => self.segment(number, &file, number == last)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err("it is missing".to_owned())
                }
                Err(error) => Err(error.to_string()),
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
    ) -> Result<u64, UnknownFeed> {
        let ticks = self.wanted.ticks_max.min(self.wanted.bytes_max / TICK_CHARGE_MIN) as u64;
        let mut found = Vec::new();
        for (number, bytes) in folder.segments.range(..self.checkpoint) {
            let header = match storage.read(&segment_name(*number), HEADER_BYTES_MAX) {
                Ok(start) => Header::read(&start).map_err(|damage| damage.to_string()),
                Err(error) => Err(error.to_string()),
            };
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
        let needed =
            |next: &Segment| next.first.0 + ticks > head && next.received >= self.wanted.oldest;
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
        let Wanted { bytes_max, ticks_max, oldest, .. } = *self.wanted;
        self.bytes += batch.bytes();
        let end = batch.end().0;
        self.batches.push_back(Arc::new(batch));
        let fits = |bytes, first: &Batch| {
            let ticks = end - first.first().0;
            bytes <= bytes_max && ticks <= ticks_max as u64 && first.received() >= oldest
        };
        while let Some(first) = self.batches.pop_front_if(|first| !fits(self.bytes, first)) {
            self.let_go(&first);
        }
    }

    fn end(mut self, folder: Folder, continues: bool) -> Recovered {
        if !continues {
            self.segments.clear();
            self.batches.clear();
            self.before.clear();
            self.state.begin_epoch(self.wanted.epoch.clone());
            self.cut = None;
        }
        let newest = self.newest.map_or(self.checkpoint, |(number, _)| number);
        let checkpoints: Vec<_> = match continues {
            true => folder.checkpoints.range(self.checkpoint..=newest).map(|(at, _)| *at).collect(),
            false => Vec::new(),
        };
        let kept = |name: &String| match kind(name) {
            Kind::Segment(number) => self.segments.iter().any(|known| known.number == number),
            Kind::Checkpoint(number) => checkpoints.contains(&number),
            Kind::Unfinished | Kind::Other => false,
        };
        let next = folder.next();
        let obsolete = folder.names.into_iter().filter(|name| !kept(name)).collect();
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
            obsolete,
        }
    }
}

impl Recovered {
    /// Position of the oldest tick that is there.
    #[must_use]
    pub fn start(&self) -> Position {
        self.batches.front().map_or(self.state.head, |batch| batch.first())
    }
}

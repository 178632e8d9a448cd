//! Reads what an earlier hub left: where numbering stands, and the newest ticks.

mod folder;
mod reading;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{Feed, Tick, UnixNanos};

use super::epoch::{EPOCH_FILE, EpochFile};
use super::segment::UnknownFeed;
use super::state::{CheckpointedState, State};
use super::storage::Storage;
use super::writer::Segment;
use crate::fanout::{Batch, FeedId, Position};
use folder::{Folder, checkpoint};
use reading::Reading;

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
    /// Makes what is checkpointed from the ticks, as it is before the first.
    pub checkpointed: &'a dyn Fn() -> Box<dyn CheckpointedState>,
    /// Most bytes of ticks, as they are charged in memory.
    pub bytes_max: usize,
    /// Most ticks.
    pub ticks_max: usize,
    /// Ticks received so long before the newest one are not wanted.
    pub age_max: Duration,
    /// What time it is.
    pub now: UnixNanos,
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
    /// Files nobody needs once there is another checkpoint, those that nobody needs now first.
    pub(super) obsolete: VecDeque<String>,
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
    /// Another version of Tickwire wrote it.
    #[error(
        "{name} is of another version of the log: use that version of Tickwire, or another folder"
    )]
    OtherVersion {
        /// The checkpoint.
        name: String,
    },
    /// There are ticks, and nothing to tell what publishers have sent.
    #[error(
        "no checkpoint in it can be read, so nobody knows what publishers have sent ({damage}): \
         use another folder to begin anew"
    )]
    NoCheckpoint {
        /// What is wrong with the oldest one.
        damage: String,
    },
    /// It holds ticks of a feed that is not configured.
    #[error(
        "it holds feed {0}, which is not among the hub's feeds: add it (the feed test that the hub has \
         by itself: --test-feed on), or use another folder"
    )]
    UnknownFeed(Feed),
}

impl From<UnknownFeed> for RecoverError {
    fn from(UnknownFeed(feed): UnknownFeed) -> Self {
        Self::UnknownFeed(feed)
    }
}

/// How much later than the clock says the newest tick of a log may have been received for the epoch to
/// go on. Until the clock is there, ticks are received at the time of that one, so this must be a time
/// for which that is better than a new epoch.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Reads a log. `progress` is told how many bytes have been read, and of how many.
///
/// # Errors
/// If a file cannot be read, or the log is none that this hub can go on with. Damage that leaves
/// a checkpoint is no error but a [problem](Recovered::problems).
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
    let Some((number, state)) = checkpoint(storage, &folder, u64::MAX, &wanted, &mut problems)?
    else {
        return match problems.pop() {
            None if !folder.has_records(storage)? => Ok(nothing(wanted, folder)),
            None => Err(RecoverError::NoCheckpoint { damage: "there is none".to_owned() }),
            Some(damage) => Err(RecoverError::NoCheckpoint { damage }),
        };
    };
    let mut reading = Reading::new(&wanted, number, state, problems);
    reading.read(storage, &folder, progress)?;
    let continues = reading.continues(epoch_file.as_ref());
    Ok(reading.end(folder, continues))
}

/// The beginning of a log. What files there are were left by a hub that was killed before it was up.
fn nothing(wanted: Wanted<'_>, folder: Folder) -> Recovered {
    Recovered {
        state: State::new(wanted.epoch, wanted.feeds.to_vec(), (wanted.checkpointed)()),
        continues: false,
        batches: VecDeque::new(),
        last_before: Vec::new(),
        problems: Vec::new(),
        segments: Vec::new(),
        next: folder.next(),
        checkpoints: Vec::new(),
        cut: None,
        obsolete: folder.names.into(),
    }
}

/// What came of reading a file: damage is for people, another error is for the caller.
type FileRead = Result<Result<Vec<u8>, String>, RecoverError>;

/// Reads a file that may be missing, but not impossible to read: what is there must not be taken for
/// damaged, and removed, because the system has too many open files.
fn read_file<S: Storage>(storage: &S, name: String, bytes_max: usize) -> FileRead {
    match storage.read(&name, bytes_max) {
        Ok(file) => Ok(Ok(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Err("it is missing".to_owned()))
        }
        Err(source) => Err(RecoverError::Read { name, source }),
    }
}

impl Recovered {
    /// Position of the oldest tick that is there.
    #[must_use]
    pub fn start(&self) -> Position {
        self.batches.front().map_or(self.state.head, |batch| batch.first())
    }
}

//! Recovers the state of an earlier run from its log: numbering, publishers and the newest ticks.

mod folder;
mod replay;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{Feed, UnixNanos};

use super::epoch::{EPOCH_FILE, EpochFile};
use super::segment::{Segment, UnknownFeed};
use super::state::{CheckpointedState, State};
use super::storage::Storage;
use crate::fanout::{Batch, LastTick, Position};
use folder::{Folder, checkpoint};
use replay::SegmentReplay;

/// The problem of a file that does not exist.
const MISSING: &str = "missing";
/// Bytes from the start of a file that contain the header of any segment.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Minimum number of bytes that a tick is charged in memory: see [`Batch::bytes`].
pub(super) const TICK_CHARGE_MIN: usize = 300;

/// What to recover from a log, and the environment of this start.
#[expect(missing_debug_implementations, reason = "closures have no debug output")]
pub struct RecoverOptions<'a> {
    /// The hub's feeds, by their ids.
    pub feeds: &'a [Feed],
    /// Boot id of the machine.
    pub boot: &'a str,
    /// Name of the new epoch if the log's epoch cannot continue.
    pub epoch: String,
    /// Creates the initial [`CheckpointedState`], before the first tick.
    pub checkpointed: &'a dyn Fn() -> Box<dyn CheckpointedState>,
    /// Maximum number of bytes of ticks to load, as they are charged in memory.
    pub bytes_max: usize,
    /// Maximum number of ticks to load.
    pub ticks_max: usize,
    /// Greatest age of the ticks to load, relative to the newest tick.
    pub age_max: Duration,
    /// The current time.
    pub now: UnixNanos,
}

/// The result of [`recover`].
#[derive(Debug)]
pub struct Recovered {
    /// The state at the end of the log, or at the start of the new epoch.
    pub state: State,
    /// Whether the epoch continues.
    pub continues: bool,
    /// The newest ticks within the limits, contiguous up to the head.
    pub batches: VecDeque<Arc<Batch>>,
    /// The last tick of each topic before `batches`, as far as checkpoints tell. Complete for
    /// topics without ticks in `batches`.
    pub last_before: Vec<LastTick>,
    /// Descriptions of damaged or missing files.
    pub problems: Vec<String>,
    /// The segments of the epoch, oldest first and contiguous.
    pub(super) segments: Vec<Segment>,
    /// Number of the next segment.
    pub(super) next: u64,
    /// Numbers of the checkpoints to keep.
    pub(super) checkpoints: Vec<u64>,
    /// Name of a segment that ends within a record, and the offset of that record.
    pub(super) cut: Option<(String, u64)>,
    /// Files to delete once another checkpoint exists; files that are useless already come first.
    pub(super) obsolete: VecDeque<String>,
}

/// Why a log cannot be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A file cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Name of the file.
        name: String,
        /// Cause reported by the system.
        source: io::Error,
    },
    /// Another version of Tickwire wrote the log.
    #[error(
        "{name} has another version of the log format: use that version of Tickwire, another folder, \
         or delete the log (with Docker Compose: docker compose down -v)"
    )]
    OtherVersion {
        /// Name of the checkpoint.
        name: String,
    },
    /// The log has ticks but no readable checkpoint, so the progress of publishers is unknown.
    #[error(
        "no checkpoint can be read, so the progress of publishers is unknown ({damage}): use another \
         folder to start over"
    )]
    NoCheckpoint {
        /// Damage of the oldest checkpoint.
        damage: String,
    },
    /// The log has ticks of a feed that is not configured.
    #[error(
        "the log has feed {0}, which is not configured: add it to the feeds (for the hub's own feed \
         test: --test-feed on), or use another folder"
    )]
    UnknownFeed(Feed),
}

impl From<UnknownFeed> for RecoverError {
    fn from(UnknownFeed(feed): UnknownFeed) -> Self {
        Self::UnknownFeed(feed)
    }
}

/// The epoch continues only if the newest tick was received at most this long after the current
/// time. Until the clock catches up, new ticks carry the receive time of that tick; for longer than
/// this, a new epoch is better.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Recovers a log. Calls `progress` with the bytes read so far and in total.
///
/// # Errors
/// Fails if a file cannot be read, or this hub cannot continue the log. Damage that leaves a
/// readable checkpoint is not an error, but a [problem](Recovered::problems).
pub fn recover<S: Storage>(
    storage: &S,
    options: RecoverOptions<'_>,
    progress: impl FnMut(u64, u64),
) -> Result<Recovered, RecoverError> {
    let folder = Folder::list(storage)?;
    let epoch_file = match storage.read(EPOCH_FILE, HEADER_BYTES_MAX) {
        Ok(bytes) => std::str::from_utf8(&bytes).ok().and_then(EpochFile::read),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(RecoverError::Read { name: EPOCH_FILE.to_owned(), source }),
    };
    let mut problems = Vec::new();
    let Some((number, state)) = checkpoint(storage, &folder, u64::MAX, &options, &mut problems)?
    else {
        return match problems.pop() {
            None if !folder.has_records(storage)? => Ok(empty_log(options, folder)),
            None => Err(RecoverError::NoCheckpoint { damage: "none exists".to_owned() }),
            Some(damage) => Err(RecoverError::NoCheckpoint { damage }),
        };
    };
    let mut replay = SegmentReplay::new(&options, number, state, problems);
    replay.read(storage, &folder, progress)?;
    let continues = replay.continues(epoch_file.as_ref());
    Ok(replay.end(folder, continues))
}

/// Returns the start of a new log. Existing files were left by a hub that was killed during its
/// start.
fn empty_log(options: RecoverOptions<'_>, folder: Folder) -> Recovered {
    Recovered {
        state: State::new(options.epoch, options.feeds.to_vec(), (options.checkpointed)()),
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

/// Content of a file, or a description of its damage. Other errors end the recovery.
type FileRead = Result<Result<Vec<u8>, String>, RecoverError>;

/// Reads a file that may be missing. Any other failure is an error: an intact file must not count
/// as damaged, and be deleted, because the process has too many open files.
fn read_file<S: Storage>(storage: &S, name: String, bytes_max: usize) -> FileRead {
    match storage.read(&name, bytes_max) {
        Ok(file) => Ok(Ok(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err(MISSING.to_owned())),
        Err(source) => Err(RecoverError::Read { name, source }),
    }
}

impl Recovered {
    /// Returns the position of the oldest recovered tick.
    #[must_use]
    pub fn start(&self) -> Position {
        self.batches.front().map_or(self.state.head, |batch| batch.first())
    }
}

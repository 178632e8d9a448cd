//! Makes checkpoints and deletes old files, on segments that the router has finished.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use super::bytes::Damage;
use super::record::UNKNOWN_FEED;
use super::segment::{BROKEN_RECORD, CHECKPOINT_SHARE, Header, Records, Segment, Segments, Tail};
use super::state::State;
use super::storage::{FILE_BYTES_MAX, Storage, checkpoint_name, segment_name};
use super::writer::remove_if_there;
use crate::fanout::Position;

/// How much of the log is kept on disk.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Maximum number of bytes of segments, not counting the newest checkpoint and the records
    /// after it.
    pub bytes_max: u64,
    /// Longest time that ticks are kept, measured from the start of the newest segment. Measuring
    /// from the current time would delete the log when the clock is wrong for a while.
    pub time: Duration,
    /// Minimum number of bytes of records between two checkpoints.
    pub checkpoint_bytes: u64,
    /// Maximum number of ticks that the log in memory holds. The newest checkpoint before these
    /// ticks is kept: recovery takes from it the last tick of each topic without a tick in memory.
    pub memory_ticks: u64,
}

/// Where a compactor starts.
#[derive(Debug)]
pub struct CompactorStart<S: Storage> {
    /// Storage of the log.
    pub storage: S,
    /// State at the start of `segment`.
    pub state: State,
    /// Number of the segment where the writer starts. A checkpoint exists there.
    pub segment: u64,
    /// Numbers of the earlier checkpoints, oldest first.
    pub older_checkpoints: Vec<u64>,
    /// All segments of the log.
    pub segments: Segments,
    /// How much of the log is kept.
    pub retention: Retention,
}

/// Follows the log, segment by segment, and maintains checkpoints and retention.
///
/// The state is built by reading the written records, as recovery does. A checkpoint therefore
/// contains exactly what recovery would compute, and costs the router nothing.
#[derive(Debug)]
pub struct Compactor<S: Storage> {
    storage: S,
    state: State,
    /// Number of the next segment to read. `state` is the state at its start.
    number: u64,
    segments: Segments,
    retention: Retention,
    /// Number and size in bytes of the newest checkpoint.
    newest: (u64, u64),
    /// Numbers of the older checkpoints, oldest first.
    older: VecDeque<u64>,
    /// Bytes of records since the newest checkpoint.
    bytes_since: u64,
}

/// Why the compactor stopped.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A file cannot be read, written or deleted.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A segment is damaged.
    #[error("{name}: {damage}")]
    Damaged {
        /// Name of the segment.
        name: String,
        /// Kind of damage.
        damage: Damage,
    },
}

impl<S: Storage> Compactor<S> {
    /// Creates a compactor.
    pub fn new(start: CompactorStart<S>) -> Self {
        Self {
            storage: start.storage,
            state: start.state,
            number: start.segment,
            segments: start.segments,
            retention: start.retention,
            newest: (start.segment, 0),
            older: start.older_checkpoints.into(),
            bytes_since: 0,
        }
    }

    /// Reads all segments before `current`, the one being written. Makes a checkpoint if one is
    /// due, and deletes files beyond the retention.
    ///
    /// # Errors
    /// Fails if a segment cannot be read, or a file cannot be written or deleted.
    pub fn run(&mut self, current: u64) -> Result<(), CompactError> {
        while self.number < current {
            let name = segment_name(self.number);
            let file = self.storage.read(&name, FILE_BYTES_MAX)?;
            self.apply(&file).map_err(|damage| CompactError::Damaged { name, damage })?;
            self.bytes_since += file.len() as u64;
            self.resize(self.number, file.len() as u64);
            self.number += 1;
        }
        let due = self.retention.checkpoint_bytes.max(CHECKPOINT_SHARE * self.newest.1);
        let blocks_deletion = self.bytes_since > 0 && self.expired_segment().is_some();
        if self.bytes_since >= due || blocks_deletion {
            self.checkpoint()?;
        }
        self.delete_expired()
    }

    fn apply(&mut self, file: &[u8]) -> Result<(), Damage> {
        let (header, at) = Header::read(file)?;
        let feeds = header.map(&self.state.feeds).map_err(|_| UNKNOWN_FEED)?;
        let mut records = Records::new(file, at, &feeds);
        while let Some(record) = records.next()? {
            self.state.apply(&record)?;
        }
        match records.tail() {
            Tail::Clean => Ok(()),
            Tail::Torn | Tail::Damaged => Err(BROKEN_RECORD),
        }
    }

    fn checkpoint(&mut self) -> Result<(), CompactError> {
        let file = self.state.write();
        self.storage.replace(&checkpoint_name(self.number), &file)?;
        self.older.push_back(self.newest.0);
        self.newest = (self.number, file.len() as u64);
        self.bytes_since = 0;
        // Keep one checkpoint before all ticks in memory, and one more in case the newest is
        // damaged.
        let memory = self.state.head.0.saturating_sub(self.retention.memory_ticks);
        while let [oldest, next, ..] = *self.older.make_contiguous()
            && self.first_of(next).is_some_and(|first| first.0 <= memory)
        {
            self.older.pop_front();
            remove_if_there(&self.storage, &checkpoint_name(oldest))?;
        }
        Ok(())
    }

    fn first_of(&self, number: u64) -> Option<Position> {
        self.segments().iter().find(|segment| segment.number == number).map(|found| found.first)
    }

    /// Deletes expired segments and the checkpoints before them, but nothing after the newest
    /// checkpoint.
    fn delete_expired(&mut self) -> Result<(), CompactError> {
        while let Some(oldest) = self.expired_segment().filter(|oldest| *oldest < self.newest.0) {
            self.segments().remove(0);
            remove_if_there(&self.storage, &segment_name(oldest))?;
            while let Some(number) = self.older.pop_front_if(|number| *number <= oldest) {
                remove_if_there(&self.storage, &checkpoint_name(number))?;
            }
        }
        Ok(())
    }

    /// Returns the oldest segment if it exceeds the retention in bytes or age.
    fn expired_segment(&self) -> Option<u64> {
        let segments = self.segments();
        let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let [oldest, next, ..] = &segments[..] else { return None };
        let allowed = total <= self.retention.bytes_max
            && self.state.received.since(next.received) < self.retention.time;
        (!allowed).then_some(oldest.number)
    }

    fn resize(&self, number: u64, bytes: u64) {
        if let Some(segment) = self.segments().iter_mut().find(|known| known.number == number) {
            segment.bytes = bytes;
        }
    }

    fn segments(&self) -> std::sync::MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Keeps house behind the router: makes checkpoints, and removes what is too old or too much.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::bytes::Damage;
use super::segment::{Header, Records, Tail};
use super::state::State;
use super::storage::{FILE_BYTES_MAX, Storage, checkpoint_name, segment_name};
use super::writer::{Segment, remove_if_there};
use crate::fanout::Position;

/// The segments there are, oldest first: the router adds, the keeper removes.
pub type Segments = Arc<Mutex<Vec<Segment>>>;

/// What the log may take on disk.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Bytes, beside the newest checkpoint and what is behind it.
    pub bytes_max: u64,
    /// Time that ticks are kept, as of the newest segment's beginning: a clock that is wrong for a while
    /// must not cost the log.
    pub time: Duration,
    /// Bytes of records behind a checkpoint at the least.
    pub checkpoint_bytes: u64,
    /// Most ticks that memory holds: there is a checkpoint before those, so that what was before them is
    /// known after a start.
    pub memory_ticks: u64,
}

/// There are so many times as many bytes of records as of checkpoints.
pub(super) const CHECKPOINT_SHARE: u64 = 4;

/// Follows the log segment by segment, once the router has left them.
///
/// Its state is made by reading what was written, as recovery does, so that a checkpoint cannot say
/// anything that recovery would not, and costs the router nothing.
#[derive(Debug)]
pub struct Keeper<S: Storage> {
    storage: S,
    state: State,
    /// The segment at whose beginning the state is.
    number: u64,
    segments: Segments,
    kept: Kept,
    /// Number and size of the newest checkpoint.
    newest: (u64, u64),
    /// Numbers of those before it, oldest first.
    older: VecDeque<u64>,
    /// Bytes of records behind the newest checkpoint.
    behind: u64,
}

/// Why the keeper cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A file cannot be read, written or removed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was written cannot be read.
    #[error("{name}: {damage}")]
    Damaged {
        /// The segment.
        name: String,
        /// What is wrong with it.
        damage: Damage,
    },
}

impl<S: Storage> Keeper<S> {
    /// A keeper that begins where the writer does: at the beginning of segment `number`, of which there
    /// is a checkpoint. `older` are the numbers of those before that.
    pub fn new(
        storage: S,
        state: State,
        number: u64,
        older: Vec<u64>,
        segments: Segments,
        kept: Kept,
    ) -> Self {
        let newest = (number, 0);
        let older = older.into();
        Self { storage, state, number, segments, kept, newest, older, behind: 0 }
    }

    /// Follows the log up to the beginning of the segment that is written to, and removes what the
    /// limits do not allow.
    ///
    /// # Errors
    /// If what was written cannot be read, or nothing can be written or removed.
    pub fn follow(&mut self, current: u64) -> Result<(), KeepError> {
        while self.number < current {
            let name = segment_name(self.number);
            let file = self.storage.read(&name, FILE_BYTES_MAX)?;
            self.apply(&file).map_err(|damage| KeepError::Damaged { name, damage })?;
            self.behind += file.len() as u64;
            self.resize(self.number, file.len() as u64);
            self.number += 1;
        }
        let due = self.kept.checkpoint_bytes.max(CHECKPOINT_SHARE * self.newest.1);
        let in_the_way = self.behind > 0 && self.too_old_or_much().is_some();
        if self.behind >= due || in_the_way {
            self.checkpoint()?;
        }
        self.remove_old()
    }

    fn apply(&mut self, file: &[u8]) -> Result<(), Damage> {
        let (header, at) = Header::read(file)?;
        let unknown = Damage("it names a feed that is none");
        let feeds = header.map(&self.state.feeds).map_err(|_| unknown)?;
        let mut records = Records::new(file, at, &feeds);
        while let Some(record) = records.next()? {
            self.state.apply(&record)?;
        }
        match records.tail() {
            Tail::Clean => Ok(()),
            Tail::Torn | Tail::Damaged => Err(Damage("a record is broken")),
        }
    }

    fn checkpoint(&mut self) -> Result<(), KeepError> {
        let file = self.state.write();
        self.storage.replace(&checkpoint_name(self.number), &file)?;
        self.older.push_back(self.newest.0);
        self.newest = (self.number, file.len() as u64);
        self.behind = 0;
        // One before all that memory holds is enough, and one beside the newest in case that is damaged.
        let memory = self.state.head.0.saturating_sub(self.kept.memory_ticks);
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

    /// Removes the oldest segments while there is too much, and those behind which all is too old.
    fn remove_old(&mut self) -> Result<(), KeepError> {
        while let Some(oldest) = self.too_old_or_much().filter(|oldest| *oldest < self.newest.0) {
            self.segments().remove(0);
            remove_if_there(&self.storage, &segment_name(oldest))?;
            while let Some(number) = self.older.pop_front_if(|number| *number <= oldest) {
                remove_if_there(&self.storage, &checkpoint_name(number))?;
            }
        }
        Ok(())
    }

    /// The oldest segment, if the limits do not allow it.
    fn too_old_or_much(&self) -> Option<u64> {
        let segments = self.segments();
        let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let [oldest, next, ..] = &segments[..] else { return None };
        let allowed = total <= self.kept.bytes_max
            && self.state.received.since(next.received) < self.kept.time;
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

//! Lists the files of a log, and reads its checkpoints.

use std::collections::BTreeMap;

use super::{HEADER_BYTES_MAX, RecoverError, RecoverOptions, read_file};
use crate::durable::segment::Header;
use crate::durable::state::{State, Unusable};
use crate::durable::storage::{
    FILE_BYTES_MAX, FileKind, Storage, checkpoint_name, file_kind, segment_name,
};

/// The files of a log.
pub(super) struct Folder {
    /// Sizes of segments in bytes, by number.
    pub(super) segments: BTreeMap<u64, u64>,
    /// Sizes of checkpoints in bytes, by number.
    pub(super) checkpoints: BTreeMap<u64, u64>,
    /// Names of segments, checkpoints and temporary files.
    pub(super) names: Vec<String>,
}

impl Folder {
    pub(super) fn list<S: Storage>(storage: &S) -> Result<Self, RecoverError> {
        let list = storage
            .list()
            .map_err(|source| RecoverError::Read { name: "the folder".to_owned(), source })?;
        let mut folder =
            Self { segments: BTreeMap::new(), checkpoints: BTreeMap::new(), names: Vec::new() };
        for (name, bytes) in list {
            match file_kind(&name) {
                FileKind::Segment(number) => _ = folder.segments.insert(number, bytes),
                FileKind::Checkpoint(number) => _ = folder.checkpoints.insert(number, bytes),
                FileKind::Unfinished => {}
                FileKind::Other => continue,
            }
            folder.names.push(name);
        }
        Ok(folder)
    }

    /// Returns whether any segment has a record.
    pub(super) fn has_records<S: Storage>(&self, storage: &S) -> Result<bool, RecoverError> {
        for (number, bytes) in &self.segments {
            let file = read_file(storage, segment_name(*number), HEADER_BYTES_MAX)?;
            if let Ok(Ok((_, end))) = file.map(|file| Header::read(&file))
                && *bytes > end as u64
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn last_segment(&self) -> Option<u64> {
        self.segments.keys().next_back().copied()
    }

    /// Returns the number of the next segment.
    pub(super) fn next(&self) -> u64 {
        self.last_segment().max(self.checkpoints.keys().next_back().copied()).unwrap_or(0) + 1
    }
}

/// Reads the newest readable checkpoint with a number of at most `most`. Unreadable ones are added
/// to `problems`.
pub(super) fn checkpoint<S: Storage>(
    storage: &S,
    folder: &Folder,
    most: u64,
    options: &RecoverOptions<'_>,
    problems: &mut Vec<String>,
) -> Result<Option<(u64, State)>, RecoverError> {
    for (number, _) in folder.checkpoints.range(..=most).rev() {
        let name = checkpoint_name(*number);
        let read = match read_file(storage, name.clone(), FILE_BYTES_MAX)? {
            Ok(file) => State::read(&file, options.feeds, (options.checkpointed)()),
            Err(problem) => {
                problems.push(format!("{name}: {problem}"));
                continue;
            }
        };
        match read {
            Ok(state) => return Ok(Some((*number, state))),
            Err(Unusable::UnknownFeed(feed)) => return Err(RecoverError::UnknownFeed(feed)),
            Err(Unusable::OtherVersion) => return Err(RecoverError::OtherVersion { name }),
            Err(Unusable::Damaged(damage)) => problems.push(format!("{name}: {damage}")),
        }
    }
    Ok(None)
}

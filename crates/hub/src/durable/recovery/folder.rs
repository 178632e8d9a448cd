//! The files of a log, and its checkpoints.

use std::collections::BTreeMap;

use super::{HEADER_BYTES_MAX, RecoverError, Wanted, read_file};
use crate::durable::segment::Header;
use crate::durable::state::{State, Unusable};
use crate::durable::storage::{FILE_BYTES_MAX, Kind, Storage, checkpoint_name, kind, segment_name};

/// The files of a log.
pub(super) struct Folder {
    /// Sizes of segments, by number.
    pub(super) segments: BTreeMap<u64, u64>,
    pub(super) checkpoints: BTreeMap<u64, u64>,
    /// Segments, checkpoints and what was left unfinished.
    pub(super) names: Vec<String>,
}

impl Folder {
    pub(super) fn look<S: Storage>(storage: &S) -> Result<Self, RecoverError> {
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

    /// Whether any segment holds a record.
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

    /// The number of the next segment.
    pub(super) fn next(&self) -> u64 {
        self.last_segment().max(self.checkpoints.keys().next_back().copied()).unwrap_or(0) + 1
    }
}

/// The newest checkpoint that can be read, of those up to a number.
pub(super) fn checkpoint<S: Storage>(
    storage: &S,
    folder: &Folder,
    most: u64,
    wanted: &Wanted<'_>,
    problems: &mut Vec<String>,
) -> Result<Option<(u64, State)>, RecoverError> {
    for (number, _) in folder.checkpoints.range(..=most).rev() {
        let name = checkpoint_name(*number);
        let read = match read_file(storage, name.clone(), FILE_BYTES_MAX)? {
            Ok(file) => State::read(&file, wanted.feeds, (wanted.checkpointed)()),
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

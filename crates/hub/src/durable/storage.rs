//! The folder of the log as the rest of the log sees it, so that simulations can be one.

use std::io;

/// A folder of files.
pub trait Storage {
    /// A file that can be appended to.
    type File;

    /// Names and sizes, in bytes, of its files.
    ///
    /// # Errors
    /// If it cannot be looked at.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// The first bytes of a file, `bytes_max` at the most.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be read.
    fn read(&self, name: &str, bytes_max: usize) -> io::Result<Vec<u8>>;

    /// A new file, which is there with this content or not at all as long as the machine runs.
    ///
    /// # Errors
    /// If there is no room, or it cannot be written.
    fn create(&self, name: &str, content: &[u8]) -> io::Result<Self::File>;

    /// Puts a file in place of the one of this name, if there is one, so that a failure of the machine
    /// leaves either.
    ///
    /// # Errors
    /// As [`Storage::create`].
    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Appends to a file, in one write if the system takes it. After an error some of it may be there.
    ///
    /// # Errors
    /// If there is no room, or it cannot be written.
    fn append(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file at a length in bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    fn cut(&self, name: &str, len: u64) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Most that is read of a file, in bytes; more than any segment or checkpoint has.
pub(super) const FILE_BYTES_MAX: usize = u32::MAX as usize;

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records; its number.
    Segment(u64),
    /// The state at the beginning of the segment of this number.
    Checkpoint(u64),
    /// Left behind amid [`Storage::create`].
    Unfinished,
    Other,
}

/// Ends the name of a file that is not in place yet.
pub(super) const UNFINISHED: &str = ".tmp";

pub(super) fn kind(name: &str) -> Kind {
    let number = |stem: &str| (stem.len() == 10).then(|| stem.parse().ok()).flatten();
    match name.split_once('.') {
        Some((stem, "seg")) => number(stem).map_or(Kind::Other, Kind::Segment),
        Some((stem, "ckpt")) => number(stem).map_or(Kind::Other, Kind::Checkpoint),
        _ if name.ends_with(UNFINISHED) => Kind::Unfinished,
        _ => Kind::Other,
    }
}

pub(super) fn segment_name(number: u64) -> String {
    format!("{number:010}.seg")
}

pub(super) fn checkpoint_name(number: u64) -> String {
    format!("{number:010}.ckpt")
}

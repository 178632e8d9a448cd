//! The file operations that the log needs, as a trait that tests and simulations implement.

use std::io;

/// A folder of files, on disk or simulated.
pub trait Storage {
    /// A file opened for appending.
    type File;

    /// Returns name and size in bytes of every file.
    ///
    /// # Errors
    /// Fails if the folder cannot be listed.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Reads the first bytes of a file, at most `bytes_max`.
    ///
    /// # Errors
    /// Fails if the file does not exist or cannot be read.
    fn read(&self, name: &str, bytes_max: usize) -> io::Result<Vec<u8>>;

    /// Creates a file atomically with this content. Without a sync, the file may be lost when the
    /// machine fails.
    ///
    /// # Errors
    /// Fails if the disk is full or the file cannot be written.
    fn create(&self, name: &str, content: &[u8]) -> io::Result<Self::File>;

    /// Creates or replaces a file atomically and durably: a failure of the machine leaves the old
    /// or the new content.
    ///
    /// # Errors
    /// Fails like [`Storage::create`].
    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Appends to a file, in one write if the system accepts it. After an error the file may
    /// contain a part of the bytes.
    ///
    /// # Errors
    /// Fails if the disk is full or the file cannot be written.
    fn append(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Truncates a file to `len` bytes.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// Fails if the file does not exist or cannot be deleted.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Maximum number of bytes read from a file; larger than any segment or checkpoint.
pub(super) const FILE_BYTES_MAX: usize = u32::MAX as usize;

/// The kind of a file, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// The segment with this number.
    Segment(u64),
    /// The checkpoint at the start of the segment with this number.
    Checkpoint(u64),
    /// A temporary file left by an interrupted [`Storage::create`] or [`Storage::replace`].
    Unfinished,
    Other,
}

/// Suffix of a temporary file.
pub(super) const UNFINISHED: &str = ".tmp";

pub(super) fn file_kind(name: &str) -> FileKind {
    let number = |stem: &str| (stem.len() == 10).then(|| stem.parse().ok()).flatten();
    match name.split_once('.') {
        Some((stem, "seg")) => number(stem).map_or(FileKind::Other, FileKind::Segment),
        Some((stem, "ckpt")) => number(stem).map_or(FileKind::Other, FileKind::Checkpoint),
        _ if name.ends_with(UNFINISHED) => FileKind::Unfinished,
        _ => FileKind::Other,
    }
}

pub(super) fn segment_name(number: u64) -> String {
    format!("{number:010}.seg")
}

pub(super) fn checkpoint_name(number: u64) -> String {
    format!("{number:010}.ckpt")
}

//! A file that only one program changes at a time, and that readers always find complete.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Permissions of the file: only its owner may read and write it.
pub(super) const MODE: u32 = 0o600;

/// A file with an exclusive lock, which is released when the value is dropped.
#[derive(Debug)]
pub(super) struct LockedFile {
    /// Path of the file itself, if the given path is a symbolic link.
    path: PathBuf,
    file: File,
}

impl LockedFile {
    /// Opens a file, creating it if it does not exist, and waits for the lock.
    ///
    /// # Errors
    /// If the file cannot be opened, created or locked.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).append(true).create(true).mode(MODE).open(path)?;
            file.lock()?;
            let path = path.canonicalize()?;
            // The holder of the lock may have replaced the file while this waited: then lock the
            // new one.
            let current = path.metadata()?;
            let locked = file.metadata()?;
            if (current.dev(), current.ino()) == (locked.dev(), locked.ino()) {
                return Ok(Self { path, file });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file atomically by a new one with this text and the same owner. A concurrent
    /// reader finds either the whole old text or the whole new one.
    ///
    /// # Errors
    /// If the new file cannot be written.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let new_path = self.path.with_file_name(format!(".{name}.new"));
        let mut options = OpenOptions::new();
        let mut new = options.write(true).create(true).truncate(true).mode(MODE).open(&new_path)?;
        new.set_permissions(Permissions::from_mode(MODE))?;
        let before = self.file.metadata()?;
        let now = new.metadata()?;
        if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
            std::os::unix::fs::chown(&new_path, Some(before.uid()), Some(before.gid()))?;
        }
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        std::fs::rename(&new_path, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

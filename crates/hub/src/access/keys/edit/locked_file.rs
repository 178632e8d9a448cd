//! A file that only one program changes at a time, and that readers always find complete.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
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
    /// Fails if the file cannot be opened, created or locked.
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
    /// Fails if the new file cannot be written.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let (new, new_path) = self.create_new()?;
        let replaced = self.fill(new, text).and_then(|()| std::fs::rename(&new_path, &self.path));
        if let Err(error) = replaced {
            let _ignored = std::fs::remove_file(&new_path); // the first error is the one to report
            return Err(error);
        }
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Creates a new file beside this one. Its name is random and must be free: in a folder that
    /// others can write to, a file or link that was put there would otherwise receive the keys.
    fn create_new(&self) -> io::Result<(File, PathBuf)> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let path = self.path.with_file_name(format!(".{name}.{:032x}", rand::random::<u128>()));
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path)?;
        Ok((file, path))
    }

    /// Writes a new file with the owner of this one.
    fn fill(&self, mut new: File, text: &str) -> io::Result<()> {
        new.set_permissions(Permissions::from_mode(MODE))?;
        let before = self.file.metadata()?;
        let now = new.metadata()?;
        if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
            fchown(&new, Some(before.uid()), Some(before.gid()))?;
        }
        new.write_all(text.as_bytes())?;
        new.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_file_is_private_and_its_name_cannot_be_predicted() {
        let folder = tempfile::tempdir().unwrap();
        let file = LockedFile::open(&folder.path().join("keys.toml")).unwrap();
        let (one, one_path) = file.create_new().unwrap();
        let (_, other_path) = file.create_new().unwrap();
        assert_ne!(one_path, other_path);
        assert_eq!(one_path.parent(), Some(file.path().parent().unwrap()));
        assert_eq!(one.metadata().unwrap().permissions().mode() & 0o777, MODE);
    }

    #[test]
    fn planted_link_beside_the_file_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.toml");
        let target = folder.path().join("target");
        std::fs::write(&target, "unchanged").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join(".keys.toml.new")).unwrap();
        LockedFile::open(&keys).unwrap().replace("keys").unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "unchanged");
        assert_eq!(std::fs::read_to_string(&keys).unwrap(), "keys");
    }

    #[test]
    fn failed_replacement_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.toml");
        let file = LockedFile::open(&keys).unwrap();
        std::fs::remove_file(&keys).unwrap();
        std::fs::create_dir(&keys).unwrap(); // no file can be renamed to it
        file.replace("keys").unwrap_err();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}

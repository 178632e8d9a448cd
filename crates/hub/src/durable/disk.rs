//! The [`Storage`] on a real disk: one folder, locked by one process.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::storage::{Storage, UNFINISHED};

/// A folder on disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    folder: Arc<Path>,
}

/// A lock that keeps other processes from using the folder, held until the value is dropped. The
/// system also releases it when the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file holds the lock")] File);

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process uses the folder.
    #[error("process {process} uses it")]
    InUse {
        /// Id of that process, or `(unknown)`.
        process: String,
    },
    /// The folder cannot be created, locked or written to.
    #[error("cannot {what}")]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// Cause reported by the system.
        source: io::Error,
    },
}

const LOCK_FILE: &str = "lock";

/// Permissions of a new data folder: only its owner may list and read it. It holds every tick, also
/// those that a key may not read.
const FOLDER_MODE: u32 = 0o700;
/// Permissions of new files in the folder.
const FILE_MODE: u32 = 0o600;

impl Disk {
    /// Creates the folder if necessary, and locks it.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Lock), FolderError> {
        let failed = |what| move |source| FolderError::Io { what, source };
        create_folder(folder).map_err(failed("create it"))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let mut file =
            options.open(folder.join(LOCK_FILE)).map_err(failed("write the file `lock` in it"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let read = file.read_to_string(&mut process);
                let known = read.is_ok() && !process.trim().is_empty();
                let process =
                    if known { process.trim().to_owned() } else { "(unknown)".to_owned() };
                return Err(FolderError::InUse { process });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock it")(source)),
        }
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot write the process id to the file `lock`"); // the lock holds without it
        }
        Ok((Self { folder: folder.into() }, Lock(file)))
    }

    /// Forces the names of files to the disk, so that they survive a failure of the machine.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file under a temporary name, renames it and returns it. `sync` also forces it to
    /// the disk.
    fn write_file(&self, name: &str, content: &[u8], sync: bool) -> io::Result<File> {
        let unfinished = self.path(&format!("{name}{UNFINISHED}"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut file = options.open(&unfinished)?;
        let placed = file
            .write_all(content)
            .and_then(|()| if sync { file.sync_data() } else { Ok(()) })
            .and_then(|()| fs::rename(&unfinished, self.path(name)))
            .and_then(|()| if sync { self.sync_names() } else { Ok(()) });
        if let Err(error) = placed {
            let _ignored = fs::remove_file(&unfinished); // the first error is the one to report
            return Err(error);
        }
        Ok(file)
    }
}

impl Storage for Disk {
    type File = Arc<File>;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn read(&self, name: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(name))?;
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(bytes_max);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len)?;
        file.take(bytes_max as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<Arc<File>> {
        self.write_file(name, content, false).map(Arc::new)
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.write_file(name, content, true).map(drop)
    }

    fn append(&self, file: &mut Arc<File>, bytes: &[u8]) -> io::Result<()> {
        (&**file).write_all(bytes)
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path(name))?.set_len(len)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }
}

/// Creates a folder that only this user can read, if it does not exist. Folders above it get the
/// usual permissions; a folder that exists keeps its own.
fn create_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// Returns the boot id of the machine, or a random id where the system has none.
pub(crate) fn boot_id() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim().to_owned(),
        Err(_) => format!("unknown-{:016x}", rand::random::<u64>()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_can_read_the_folder_and_its_files() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data").join("log");
        let (disk, _lock) = Disk::open(&folder).unwrap();
        disk.create("segment", b"ticks").unwrap();
        disk.replace("epoch", b"1").unwrap();
        assert_eq!(mode(&folder), 0o700);
        for name in [LOCK_FILE, "segment", "epoch"] {
            assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn existing_folder_keeps_its_permissions() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let _opened = Disk::open(root.path()).unwrap();
        assert_eq!(mode(root.path()), 0o750);
    }
}

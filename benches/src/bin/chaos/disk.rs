//! The hub's disk: a small file system that a run can fill, if the user may mount one.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

/// Size of the mounted file system.
const DISK_BYTES: u64 = 160 << 20;

/// The folder for the hub's log, on a small file system if possible. Dropping it removes the
/// folder.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    /// Whether a separate file system is mounted at the folder.
    mounted: bool,
}

impl Disk {
    /// Creates the folder and tries to mount a file system on it. Without the right to mount, it
    /// stays a plain folder.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tickwire-chaos-").tempdir()?;
        let size = format!("size={DISK_BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        Ok(Self { folder, mounted })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns whether filling it affects no other program.
    pub(crate) const fn can_be_filled(&self) -> bool {
        self.mounted
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Fills the file system to the last byte.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.filler())?;
        let mut block = vec![0; 1 << 20];
        while !block.is_empty() {
            match filler.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    block.truncate(block.len() / 2)
                }
                Err(error) => bail!("filling the disk: {error}"),
            }
        }
        Ok(())
    }

    /// Frees the space that [`Self::fill`] took.
    pub(crate) fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("freeing space on the disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _left_to_the_system = Command::new("umount").arg(self.folder.path()).status();
        }
    }
}

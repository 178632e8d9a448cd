//! The disk of the hub: a small one that can be filled, where one can be had.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

/// Its size.
const DISK_BYTES: u64 = 160 << 20;

/// A folder, removed with this value.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    /// A file system of its own is mounted there.
    own: bool,
}

impl Disk {
    /// Makes one. A file system of its own takes the right to mount.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tickwire-chaos-").tempdir()?;
        let size = format!("size={DISK_BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        let own = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        Ok(Self { folder, own })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it can be filled without harm to others.
    pub(crate) const fn can_be_filled(&self) -> bool {
        self.own
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Fills it to the last byte.
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

    /// Makes room again.
    pub(crate) fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("making room on the disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.own {
            let _left_to_the_system = Command::new("umount").arg(self.folder.path()).status();
        }
    }
}

//! How the log on disk is, for metrics and for publishers.

use std::fmt;
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::Disk;
use super::keeper::Segments;
use super::writer::forget_epoch;
use crate::metrics::Cell;

/// How the log on disk is.
#[derive(Debug)]
pub(crate) struct Status {
    failed: AtomicBool,
    /// Where it is marked that the log cannot be continued.
    disk: Disk,
    marked: AtomicBool,
    /// Things found damaged or missing at start.
    pub(crate) problems: Cell,
    segments: Segments,
    /// Bytes of the segment that is written to.
    pub(crate) newest_bytes: Cell,
    /// Records written since the hub began.
    pub(crate) records: Cell,
}

impl Status {
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            failed: AtomicBool::new(false),
            disk,
            marked: AtomicBool::new(false),
            problems: Cell::default(),
            segments: Segments::default(),
            newest_bytes: Cell::default(),
            records: Cell::default(),
        }
    }

    /// The segments there are.
    pub(super) const fn segments(&self) -> &Segments {
        &self.segments
    }

    /// How many segments there are, and their bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, older)) = segments.split_last() else { return (0, 0) };
        let bytes: u64 = older.iter().map(|segment| segment.bytes).sum();
        (segments.len() as u64, bytes + self.newest_bytes.get())
    }

    /// Whether it has failed: nothing is logged any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// It has failed: says so once, and marks it as a log that cannot be continued.
    pub(crate) fn fail(&self, what: &str, error: &dyn fmt::Display) {
        if self.failed.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::error!(
            %error,
            "the log on disk cannot be {what}: nothing is logged any more, and the next start begins a new epoch"
        );
        if let Err(error) = self.mark() {
            tracing::error!(
                %error,
                "cannot mark it as incomplete either, and tries again: remove the file `epoch` in the folder before the hub starts again"
            );
        }
    }

    /// Whether it has failed, and what is on the disk does not say so yet.
    pub(super) fn is_unmarked(&self) -> bool {
        self.has_failed() && !self.marked.load(Ordering::SeqCst)
    }

    /// Marks a log that has failed, if that is not done.
    pub(super) fn mark(&self) -> io::Result<()> {
        if self.is_unmarked() {
            forget_epoch(&self.disk)?;
            self.marked.store(true, Ordering::SeqCst);
            tracing::warn!("the log on disk is marked as incomplete");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_log_that_has_failed_is_marked_as_soon_as_the_disk_lets_it() {
        let folder = tempfile::tempdir().unwrap();
        let epoch = folder.path().join("epoch");
        let (disk, _lock) = Disk::open(folder.path()).unwrap();
        let status = Status::new(disk);
        fs::create_dir(&epoch).unwrap(); // can neither be removed as a file nor written
        status.mark().unwrap();
        assert!(!status.is_unmarked(), "it has not failed");
        status.fail("written", &"no room");
        assert!(status.is_unmarked() && status.mark().is_err());
        fs::remove_dir(&epoch).unwrap();
        fs::write(&epoch, "tickwire log 1\n").unwrap();
        status.mark().unwrap();
        assert!(!status.is_unmarked() && !epoch.exists());
    }
}

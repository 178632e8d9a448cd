//! Health and size of the log on disk, for metrics and acks.

use std::fmt;
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::Disk;
use super::segment::Segments;
use super::writer::forget_epoch;
use crate::metrics::Metric;

/// Health and size of the log on disk.
#[derive(Debug)]
pub(crate) struct LogStatus {
    failed: AtomicBool,
    /// The folder in which a failed log is marked as incomplete.
    disk: Disk,
    /// Whether a failed log is marked on disk as incomplete.
    marked: AtomicBool,
    /// Number of files that were damaged or missing at start.
    pub(crate) problems: Metric,
    segments: Segments,
    /// Bytes of the segment being written.
    pub(crate) newest_bytes: Metric,
    /// Records written since the hub started.
    pub(crate) records: Metric,
}

impl LogStatus {
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            failed: AtomicBool::new(false),
            disk,
            marked: AtomicBool::new(false),
            problems: Metric::default(),
            segments: Segments::default(),
            newest_bytes: Metric::default(),
            records: Metric::default(),
        }
    }

    /// Returns the shared list of segments.
    pub(super) const fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Returns the number of segments and their total bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, older)) = segments.split_last() else { return (0, 0) };
        let bytes: u64 = older.iter().map(|segment| segment.bytes).sum();
        (segments.len() as u64, bytes + self.newest_bytes.get())
    }

    /// Returns whether the log has failed. Nothing is recorded after a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Records a failure: logs the first one, and marks the log on disk as incomplete. `what`
    /// completes the sentence "the log on disk cannot be …".
    pub(crate) fn fail(&self, what: &str, error: &dyn fmt::Display) {
        if self.failed.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::error!(
            %error,
            "the log on disk cannot be {what}: it records nothing from now on, and the next start \
             begins a new epoch"
        );
        if let Err(error) = self.mark() {
            tracing::error!(
                %error,
                "cannot mark the log on disk as incomplete, will retry: unless that succeeds, delete \
                 the file `epoch` in its folder before the next start"
            );
        }
    }

    /// Returns whether the log has failed and is not yet marked as incomplete.
    pub(super) fn is_unmarked(&self) -> bool {
        self.has_failed() && !self.marked.load(Ordering::SeqCst)
    }

    /// Marks a failed log as incomplete, unless that is done.
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
    fn failed_log_is_marked_as_soon_as_the_disk_permits() {
        let folder = tempfile::tempdir().unwrap();
        let epoch = folder.path().join("epoch");
        let (disk, _lock) = Disk::open(folder.path()).unwrap();
        let status = LogStatus::new(disk);
        fs::create_dir(&epoch).unwrap(); // can be neither deleted as a file nor written
        status.mark().unwrap();
        assert!(!status.is_unmarked(), "the log has not failed");
        status.fail("written", &"no room");
        assert!(status.is_unmarked() && status.mark().is_err());
        fs::remove_dir(&epoch).unwrap();
        fs::write(&epoch, "tickwire log 1\n").unwrap();
        status.mark().unwrap();
        assert!(!status.is_unmarked() && !epoch.exists());
    }
}

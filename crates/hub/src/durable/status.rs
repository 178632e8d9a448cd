//! How the log on disk is, for metrics and for publishers.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use super::keeper::Segments;
use crate::metrics::Cell;

/// How the log on disk is.
#[derive(Debug, Default)]
pub(crate) struct Status {
    failed: AtomicBool,
    /// Things found damaged or missing at start.
    pub(crate) problems: Cell,
    segments: Segments,
    /// Bytes of the segment that is written to.
    pub(crate) newest_bytes: Cell,
    /// Records written since the hub began.
    pub(crate) records: Cell,
}

impl Status {
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

    /// It has failed; says so once.
    pub(crate) fn fail(&self, what: &str, error: &dyn fmt::Display) {
        if !self.failed.swap(true, Ordering::SeqCst) {
            tracing::error!(
                %error,
                "the log on disk cannot be {what}: nothing is logged any more, and the next start begins a new epoch"
            );
        }
    }
}

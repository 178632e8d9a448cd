//! How the log on disk is, for metrics and for publishers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::metrics::Cell;

/// How the log on disk is.
#[derive(Debug, Default)]
pub(crate) struct Status {
    failed: AtomicBool,
    /// Things found damaged or missing at start.
    pub(crate) problems: Cell,
    /// Bytes of all segments.
    pub(crate) bytes: Cell,
    pub(crate) segments: Cell,
    /// Records written since the hub began.
    pub(crate) records: Cell,
}

impl Status {
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

//! Counters of a running feed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Shared counters of a running feed. [`Progress::counts`] reads them from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    pub(crate) ticks: AtomicU64,
    pub(crate) acked: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) resumed_after: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) republished: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) behind_ns: AtomicU64,
    pub(crate) connected: AtomicBool,
    /// The part of the source that is done, in millionths, plus 1; 0 if it is unknown.
    done: AtomicU64,
}

/// A snapshot of [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Ticks taken from the source in this run.
    pub ticks: u64,
    /// Ticks that the hub acknowledged or that were written to a file.
    pub acked: u64,
    /// Data messages made from the ticks.
    pub messages: u64,
    /// Total length of the messages that were sent or the lines that were written, in bytes.
    pub bytes: u64,
    /// Ticks that were skipped because an earlier run of this publisher had already published them.
    pub resumed_after: u64,
    /// Malformed lines that were skipped.
    pub skipped: u64,
    /// Messages that the hub refused.
    pub refused: u64,
    /// Ticks dropped because they were overdue by more than [`PublisherConfig::behind_max`].
    ///
    /// [`PublisherConfig::behind_max`]: crate::PublisherConfig::behind_max
    pub dropped: u64,
    /// Ticks that the hub acknowledged, then lost, and that were published again. Each is counted
    /// twice in `acked`.
    pub republished: u64,
    /// Ticks that the hub acknowledged and then lost, and that cannot be published again because
    /// the source cannot be read again.
    pub lost: u64,
    /// Number of reconnects.
    pub reconnects: u64,
    /// Delay of the last sent tick after its due time, in nanoseconds.
    pub behind_ns: u64,
    /// Whether a session with the hub is open.
    pub connected: bool,
    /// Completed fraction of the source from 0 to 1, if known.
    pub done: Option<f64>,
}

const MILLION: f64 = 1e6;

impl Progress {
    /// Returns a snapshot of the counters.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let done = self.done.load(Relaxed);
        Counts {
            ticks: self.ticks.load(Relaxed),
            acked: self.acked.load(Relaxed),
            messages: self.messages.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            resumed_after: self.resumed_after.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            refused: self.refused.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            republished: self.republished.load(Relaxed),
            lost: self.lost.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            behind_ns: self.behind_ns.load(Relaxed),
            connected: self.connected.load(Relaxed),
            done: (done > 0).then(|| (done - 1) as f64 / MILLION),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "between 0 and a million")]
    pub(crate) fn set_source(&self, skipped: u64, done: Option<f64>) {
        self.skipped.store(skipped, Relaxed);
        let millionths = done.map_or(0, |done| (done.clamp(0.0, 1.0) * MILLION) as u64 + 1);
        self.done.store(millionths, Relaxed);
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Relaxed);
}

//! What the threads of a run share, and their clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tickwire_protocol::UnixNanos;

/// The value of [`RunState::measure_at_ns`] before the start of the measurement is set.
const NOT_SET: u64 = u64::MAX;

/// The state of a run, shared by its threads and their collector.
#[derive(Debug)]
pub(crate) struct RunState<'a> {
    /// When the ramp started.
    pub(crate) started: Instant,
    /// When the measurement starts, in nanoseconds after `started`; [`NOT_SET`] until that is
    /// known.
    measure_at_ns: AtomicU64,
    /// Set when nothing is left to measure.
    ended: AtomicBool,
    /// Set by the caller to end the run early.
    stop: &'a AtomicBool,
}

impl<'a> RunState<'a> {
    pub(crate) fn new(stop: &'a AtomicBool) -> Self {
        Self {
            started: now(),
            measure_at_ns: AtomicU64::new(NOT_SET),
            ended: AtomicBool::new(false),
            stop,
        }
    }

    /// Ends the run.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed)
    }

    /// Sets the start of the measurement, unless it is set already.
    pub(crate) fn measure_at(&self, at: Instant) {
        let nanos = u64::try_from((at - self.started).as_nanos()).unwrap_or(NOT_SET - 1);
        // Fails if the start is set, which is intended.
        let _ = self.measure_at_ns.compare_exchange(
            NOT_SET,
            nanos,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Returns the start of the measurement; `None` until it is set.
    pub(crate) fn measured_from(&self) -> Option<Instant> {
        match self.measure_at_ns.load(Ordering::Relaxed) {
            NOT_SET => None,
            nanos => Some(self.started + Duration::from_nanos(nanos)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the load generator is a driver")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the current time in nanoseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "latency is measured from the event time of ticks")]
pub(super) fn unix_ns() -> u64 {
    UnixNanos::from(SystemTime::now()).0
}

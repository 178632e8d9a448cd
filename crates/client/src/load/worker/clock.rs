//! When things happen.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tickwire_protocol::UnixNanos;

/// When the measurement starts is not known yet.
const NOT_YET: u64 = u64::MAX;

/// What the threads and their collector share.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    /// When the ramp started.
    pub(crate) base: Instant,
    /// Nanoseconds from `base`.
    measure_at_ns: AtomicU64,
    /// There is nothing left to measure.
    ended: AtomicBool,
    /// Somebody wants the run to end.
    stop: &'a AtomicBool,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(stop: &'a AtomicBool) -> Self {
        let (measure_at_ns, ended) = (AtomicU64::new(NOT_YET), AtomicBool::new(false));
        Self { base: now(), measure_at_ns, ended, stop }
    }

    /// Ends the run.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed)
    }

    /// Sets when the measurement starts, if it is not set.
    pub(crate) fn measure_at(&self, at: Instant) {
        let nanos = u64::try_from((at - self.base).as_nanos()).unwrap_or(NOT_YET - 1);
        // Fails where it is set, which is what is wanted.
        let _ = self.measure_at_ns.compare_exchange(
            NOT_YET,
            nanos,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// When the measurement starts, once that is known.
    pub(crate) fn measured_from(&self) -> Option<Instant> {
        match self.measure_at_ns.load(Ordering::Relaxed) {
            NOT_YET => None,
            nanos => Some(self.base + Duration::from_nanos(nanos)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the load generator is a driver")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "latency is taken from the event time of ticks")]
pub(super) fn unix_ns() -> u64 {
    UnixNanos::from(SystemTime::now()).0
}

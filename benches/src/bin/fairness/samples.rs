//! The times of repeated operations of an honest client.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tickwire_benches::quantile::quantile;

/// Times since they were last taken. Shared with the client that adds them.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Times>);

/// Times of operations, and how many failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    /// Time of each operation. One that took too long counts with the time limit.
    times: Vec<Duration>,
    failed: usize,
    /// When the operation began that has not ended.
    began: Option<Instant>,
}

impl Samples {
    /// Notes that an operation begins.
    pub(crate) fn begin(&self, now: Instant) {
        self.lock().began = Some(now);
    }

    /// Adds an operation that succeeded.
    pub(crate) fn add(&self, time: Duration) {
        let mut times = self.lock();
        times.began = None;
        times.times.push(time);
    }

    /// Adds an operation that failed at once.
    pub(crate) fn fail(&self) {
        let mut times = self.lock();
        times.began = None;
        times.failed += 1;
    }

    /// Adds an operation that was given up after this time.
    pub(crate) fn give_up(&self, time: Duration) {
        let mut times = self.lock();
        times.began = None;
        times.times.push(time);
        times.failed += 1;
    }

    /// Returns the times since the last call, in ascending order. An operation that has not ended
    /// counts with its time so far.
    pub(crate) fn take(&self, now: Instant) -> Times {
        let mut times = self.lock();
        let mut taken = std::mem::take(&mut *times);
        times.began = taken.began;
        drop(times);
        taken.times.extend(taken.began.map(|began| now.saturating_duration_since(began)));
        taken.times.sort_unstable();
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    /// Returns the time that a share of the operations does not exceed; `None` without operations.
    pub(crate) fn at(&self, share: f64) -> Option<Duration> {
        quantile(&self.times, share)
    }

    pub(crate) const fn failed(&self) -> usize {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_that_was_given_up_counts_as_a_time_and_as_failed() {
        let samples = Samples::default();
        let now = crate::probes::now();
        samples.begin(now);
        samples.fail();
        samples.give_up(Duration::from_secs(5));
        samples.add(Duration::from_secs(1));
        let times = samples.take(now);
        assert_eq!(times.at(0.5), Some(Duration::from_secs(1)));
        assert_eq!(times.at(0.99), Some(Duration::from_secs(5)));
        assert_eq!(times.failed(), 2);
        assert_eq!(samples.take(now).at(0.5), None);
    }

    #[test]
    fn operation_that_has_not_ended_counts_with_its_time_so_far() {
        let samples = Samples::default();
        let began = crate::probes::now();
        samples.begin(began);
        for seconds in [2, 3] {
            let time = Duration::from_secs(seconds);
            assert_eq!(samples.take(began + time).at(1.0), Some(time));
        }
    }
}

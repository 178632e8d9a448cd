//! The last answer to `/metrics`, which is given again for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::telemetry::Telemetry;
use super::exposition;

/// Makes the answer to `/metrics`, but not again within a fixed time, so that many requests cost
/// little more than one.
#[derive(Debug)]
pub(crate) struct ExpositionCache {
    age_max: Duration,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl ExpositionCache {
    /// Creates a cache whose answers are at most this old.
    pub(crate) const fn new(age_max: Duration) -> Self {
        Self { age_max, last: Mutex::new(None) }
    }

    /// Returns the metrics as they were at `now` or shortly before. Concurrent requests wait for
    /// one of them to collect the metrics.
    pub(in super::super) fn text(&self, telemetry: &Arc<Telemetry>, now: Instant) -> Bytes {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |made: Instant| now.saturating_duration_since(made) < self.age_max;
        if let Some((made, text)) = &*last
            && is_fresh(*made)
        {
            return text.clone();
        }
        let text = Bytes::from(exposition(telemetry.clone()));
        *last = Some((now, text.clone()));
        text
    }
}

//! The last answer to `/metrics`, which is given again for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

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

    /// Returns the metrics as they were at `now` or shortly before. `collect` collects them if the
    /// last answer is too old; concurrent requests wait for it.
    pub(super) fn text(&self, now: Instant, collect: impl FnOnce() -> String) -> Bytes {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |made: Instant| now.saturating_duration_since(made) < self.age_max;
        if let Some((made, text)) = &*last
            && is_fresh(*made)
        {
            return text.clone();
        }
        let text = Bytes::from(collect());
        *last = Some((now, text.clone()));
        text
    }
}

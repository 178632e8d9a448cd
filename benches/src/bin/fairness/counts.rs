//! What the clients of an attack got from the hub.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::table::thousands;

/// Counts over all clients of an attack.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Requests and commands that the hub answered.
    pub(crate) answered: AtomicU64,
    /// Requests and commands that the hub refused.
    pub(crate) refused: AtomicU64,
    /// Messages with ticks.
    pub(crate) messages: AtomicU64,
    /// Connections that were refused, or ended by the hub.
    pub(crate) ended: AtomicU64,
}

impl Counts {
    /// Counts an answer of the hub.
    pub(crate) fn count(&self, is_accepted: bool) {
        let count = if is_accepted { &self.answered } else { &self.refused };
        count.fetch_add(1, Relaxed);
    }

    /// Describes what the clients got on `opened` connections, such as `1,000 connections, 20
    /// refused`.
    pub(crate) fn describe(&self, opened: u64) -> String {
        let others = [
            (&self.answered, "answered"),
            (&self.messages, "messages"),
            (&self.refused, "refused"),
            (&self.ended, "ended"),
        ];
        let mut text = format!("{} connections", thousands(opened));
        for (count, what) in others {
            let count = count.load(Relaxed);
            if count > 0 {
                text += &format!(", {} {what}", thousands(count));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_described() {
        let counts = Counts::default();
        assert_eq!(counts.describe(64), "64 connections");
        counts.answered.store(1_234_567, Relaxed);
        counts.ended.store(3, Relaxed);
        assert_eq!(counts.describe(8_000), "8,000 connections, 1,234,567 answered, 3 ended");
    }
}

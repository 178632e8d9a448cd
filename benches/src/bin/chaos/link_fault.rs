//! Faults of one direction of a connection, placed by the number of bytes transferred.

use std::time::Duration;

use crate::random::Random;

/// A fault of one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// This number of bytes is written one at a time.
    SplitWrites(u64),
    /// Nothing is transferred for this time.
    Pause(Duration),
    /// The connection is cut in both directions.
    Cut,
}

/// The sequence of faults of one direction of a connection.
#[derive(Debug)]
pub(crate) struct LinkFaults {
    random: Random,
    mean_bytes: u64,
    first: bool,
}

/// Limit of the bytes before an early first fault, which hits the handshake or the first responses.
const EARLY_BYTES: u64 = 600;

impl LinkFaults {
    /// Creates faults that are `mean_bytes` apart on average.
    pub(crate) fn new(random: Random, mean_bytes: u64) -> Self {
        Self { random, mean_bytes, first: true }
    }

    /// Returns the next fault and the number of bytes that pass undisturbed before it.
    pub(crate) fn next(&mut self) -> (u64, LinkFault) {
        let early = std::mem::take(&mut self.first) && self.random.percent(25);
        let limit = if early { EARLY_BYTES } else { 2 * self.mean_bytes };
        let clean_bytes = self.random.within(0, limit);
        let fault = match self.random.within(0, 100) {
            0..40 => LinkFault::SplitWrites(self.random.within(1, 300)),
            40..75 => LinkFault::Pause(Duration::from_millis(self.random.within(1, 100))),
            75..88 => LinkFault::Pause(Duration::from_millis(self.random.within(100, 3_000))),
            _ => LinkFault::Cut,
        };
        (clean_bytes, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_determines_the_faults_of_a_connection() {
        let all = |seed| {
            let mut faults = LinkFaults::new(Random::new(seed, 1), 1_000);
            (0..100).map(|_| faults.next()).collect::<Vec<_>>()
        };
        assert_eq!(all(3), all(3));
        assert_ne!(all(3), all(4));
        assert!(all(3).iter().any(|(_, fault)| *fault == LinkFault::Cut));
        assert!(all(3).iter().all(|(clean_bytes, _)| *clean_bytes < 2_000));
    }
}

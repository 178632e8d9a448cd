//! Troubles of one direction of one connection, by the bytes that have passed.

use std::time::Duration;

use crate::random::Random;

/// A trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// So many bytes go one by one.
    Chop(u64),
    /// Nothing goes for a while.
    Pause(Duration),
    /// The connection is cut here, both ways.
    Cut,
}

/// Troubles, one after the other.
#[derive(Debug)]
pub(crate) struct Troubles {
    random: Random,
    apart_bytes: u64,
    first: bool,
}

/// How far the first trouble is at most, where it comes early: the handshake and the first answers.
const EARLY_BYTES: u64 = 600;

impl Troubles {
    /// Troubles so far apart on average.
    pub(crate) fn new(random: Random, apart_bytes: u64) -> Self {
        Self { random, apart_bytes, first: true }
    }

    /// The next trouble, and how many bytes go well before it.
    pub(crate) fn next(&mut self) -> (u64, Trouble) {
        let early = std::mem::take(&mut self.first) && self.random.percent(25);
        let limit = if early { EARLY_BYTES } else { 2 * self.apart_bytes };
        let well = self.random.within(0, limit);
        let trouble = match self.random.within(0, 100) {
            0..40 => Trouble::Chop(self.random.within(1, 300)),
            40..75 => Trouble::Pause(Duration::from_millis(self.random.within(1, 100))),
            75..88 => Trouble::Pause(Duration::from_millis(self.random.within(100, 3_000))),
            _ => Trouble::Cut,
        };
        (well, trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_of_a_connection_follow_from_its_seed() {
        let all = |seed| {
            let mut troubles = Troubles::new(Random::new(seed, 1), 1_000);
            (0..100).map(|_| troubles.next()).collect::<Vec<_>>()
        };
        assert_eq!(all(3), all(3));
        assert_ne!(all(3), all(4));
        assert!(all(3).iter().any(|(_, trouble)| *trouble == Trouble::Cut));
        assert!(all(3).iter().all(|(well, _)| *well < 2_000));
    }
}

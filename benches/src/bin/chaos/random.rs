//! Chance that is the same wherever a seed is replayed.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};

/// A seeded generator; each user gets one of its own, so that what one does changes nothing for others.
#[derive(Debug)]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The generator of one user of a seed.
    pub(crate) fn new(seed: u64, user: u64) -> Self {
        let mut mixed = Xoshiro256PlusPlus::seed_from_u64(seed);
        let first = mixed.next_u64();
        Self(Xoshiro256PlusPlus::seed_from_u64(first ^ user.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A whole number from `least` up to but not including `limit`, which is greater.
    pub(crate) fn within(&mut self, least: u64, limit: u64) -> u64 {
        least + self.0.next_u64() % (limit - least)
    }

    /// An index below `len`, which is not 0.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.within(0, len as u64)).expect("an index below a length fits a usize")
    }

    /// True in so many of 100 cases.
    pub(crate) fn percent(&mut self, cases: u64) -> bool {
        self.within(0, 100) < cases
    }

    /// Brings a list into another order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.index(end + 1));
        }
    }
}

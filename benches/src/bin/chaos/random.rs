//! Random numbers that a seed determines, so that a run can be repeated.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};

/// A seeded generator. Each user of a seed has its own, so that the numbers one user draws do not
/// change those of the others.
#[derive(Debug)]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Creates the generator of one user of a seed.
    pub(crate) fn new(seed: u64, user: u64) -> Self {
        let mut mixed = Xoshiro256PlusPlus::seed_from_u64(seed);
        let first = mixed.next_u64();
        Self(Xoshiro256PlusPlus::seed_from_u64(first ^ user.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Returns a number from `least` up to but not including `limit`, which must be greater.
    pub(crate) fn within(&mut self, least: u64, limit: u64) -> u64 {
        least + self.0.next_u64() % (limit - least)
    }

    /// Returns an index below `len`, which must not be 0.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.within(0, len as u64)).expect("an index below a length fits a usize")
    }

    /// Returns true in `cases` of 100 calls on average.
    pub(crate) fn percent(&mut self, cases: u64) -> bool {
        self.within(0, 100) < cases
    }

    /// Shuffles a list.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.index(end + 1));
        }
    }
}

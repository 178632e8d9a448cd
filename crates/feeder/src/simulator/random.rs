//! A random generator with the same output on every machine and in every version.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A seeded random generator.
///
/// xoshiro256++ is a published algorithm with a fixed output, whereas the standard generator may
/// change with any version. For the same reason only its raw 64-bit words are used, and derived
/// values use only integers and float operations that IEEE 754 rounds exactly (no logarithm,
/// exponential or sine).
#[derive(Debug, Clone)]
pub(super) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Returns a whole number below `limit`, which must not be 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(limit);
        u64::try_from(wide >> 64).expect("the upper half of 128 bits")
    }

    /// Returns an index below `len`, which must not be 0.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index below a length fits a usize")
    }

    /// Returns a number from 0 (inclusive) to 1 (exclusive).
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns `true` with probability `share`.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Returns an approximately normally distributed value with mean 0 and deviation 1: the sum of
    /// four uniform values of 16 bits each.
    pub(super) fn normal(&mut self) -> f64 {
        let word = self.0.next_u64();
        let sum: u64 = (0..4).map(|part| (word >> (16 * part)) & 0xffff).sum();
        (sum as f64 / 65_536.0 - 2.0 + 2.0 / 65_536.0) * 3.0_f64.sqrt()
    }

    /// Returns a geometrically distributed number from 1 with the given mean.
    pub(super) fn geometric(&mut self, mean: f64) -> u64 {
        let mut count = 1;
        while self.chance(1.0 - 1.0 / mean) {
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_of_a_seed_is_the_published_one() {
        // splitmix64 of 42 fills the state; the first words of xoshiro256++ follow from it.
        let mut random = Random::new(42);
        let words: Vec<u64> = (0..3).map(|_| random.0.next_u64()).collect();
        assert_eq!(words, [15021278609987233951, 5881210131331364753, 18149643915985481100]);
    }

    #[test]
    fn values_have_the_stated_means() {
        let mut random = Random::new(7);
        let count = 100_000;
        let mut mean = |value: &mut dyn FnMut(&mut Random) -> f64| {
            (0..count).map(|_| value(&mut random)).sum::<f64>() / f64::from(count)
        };
        assert!((mean(&mut |r| r.unit()) - 0.5).abs() < 0.01);
        assert!((mean(&mut |r| r.below(10) as f64) - 4.5).abs() < 0.05);
        assert!(mean(&mut |r| r.normal()).abs() < 0.02);
        let mut squared = |r: &mut Random| {
            let value = r.normal();
            value * value
        };
        assert!((mean(&mut squared) - 1.0).abs() < 0.02);
        assert!((mean(&mut |r| r.geometric(4.0) as f64) - 4.0).abs() < 0.1);
    }
}

//! Valid messages with random changes.

use crate::samples::{Sample, samples};
use crate::{ENCODINGS, is_accepted};

/// The seed, unless `TICKWIRE_TEST_SEED` is set.
const SEED: u64 = 0x7469_636b_7769_7265;

/// The xorshift64* generator; its state is the seed, which must not be 0.
struct Random(u64);

impl Random {
    /// Returns a number in `0..limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % limit
    }

    /// Changes, removes, repeats or inserts a few bytes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const SIGNIFICANT: [u8; 12] =
            [0, 0x7f, 0x80, 0x91, 0xa1, 0xc0, 0xc1, 0xcb, 0xdd, 0xdf, 0xff, b'"'];
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = SIGNIFICANT[self.below(SIGNIFICANT.len())],
                2 => bytes.insert(at, SIGNIFICANT[self.below(SIGNIFICANT.len())]),
                3 => bytes.extend_from_within(at..),
                _ if bytes.len() > 1 => {
                    bytes.remove(at);
                }
                _ => {}
            }
            bytes.truncate(1 << 16);
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a failing test shows its seed")]
fn mutated_messages_never_panic() {
    let given = std::env::var("TICKWIRE_TEST_SEED").ok();
    let seed = given.map_or(SEED, |seed| seed.parse().unwrap());
    println!("TICKWIRE_TEST_SEED={seed}");
    let mut random = Random(seed | 1);
    let samples = samples();
    let mut accepted = 0;
    for _ in 0..50_000 {
        let (_, sample): &(_, Sample) = &samples[random.below(samples.len())];
        let mut bytes = sample.encode(ENCODINGS[random.below(ENCODINGS.len())]);
        random.mutate(&mut bytes);
        accepted += usize::from(is_accepted(&bytes));
    }
    // Some mutations leave a message valid. If none did, the test would not reach past the headers.
    assert!((100..50_000).contains(&accepted), "{accepted} accepted with seed {seed}");
}

//! Valid messages with random changes.

use rand::RngExt as _;
use rand::rngs::StdRng;
use tickwire_testkit::seeds;

use crate::samples::{Sample, samples};
use crate::{ENCODINGS, is_accepted};

/// Changes, removes, repeats or inserts a few bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    const SIGNIFICANT: [u8; 12] =
        [0, 0x7f, 0x80, 0x91, 0xa1, 0xc0, 0xc1, 0xcb, 0xdd, 0xdf, 0xff, b'"'];
    for _ in 0..=random.random_range(0..4) {
        let at = random.random_range(0..bytes.len());
        let significant = SIGNIFICANT[random.random_range(0..SIGNIFICANT.len())];
        match random.random_range(0..5) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = significant,
            2 => bytes.insert(at, significant),
            3 => bytes.extend_from_within(at..),
            _ if bytes.len() > 1 => {
                bytes.remove(at);
            }
            _ => {}
        }
        bytes.truncate(1 << 16);
    }
}

#[test]
fn mutated_messages_never_panic() {
    let mut random = seeds!().rng();
    let samples = samples();
    let mut accepted = 0;
    for _ in 0..50_000 {
        let (_, sample): &(_, Sample) = &samples[random.random_range(0..samples.len())];
        let mut bytes = sample.encode(ENCODINGS[random.random_range(0..ENCODINGS.len())]);
        mutate(&mut bytes, &mut random);
        accepted += usize::from(is_accepted(&bytes));
    }
    // Some mutations leave a message valid. If none did, the test would not reach past the headers.
    assert!((100..50_000).contains(&accepted), "{accepted} accepted");
}

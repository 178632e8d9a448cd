//! Chance in unit tests.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Random numbers from a printed seed. `TICKWIRE_TEST_SEED` repeats a run.
#[expect(clippy::print_stdout, reason = "shown when the test fails")]
pub(crate) fn random() -> StdRng {
    let given = std::env::var("TICKWIRE_TEST_SEED").ok();
    let seed = given.map_or_else(|| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("TICKWIRE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

//! Seeds of random tests.

use std::{env, thread};

use proptest::test_runner::{Config, RngSeed};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The name of the variable that selects the seeds: a number repeats the run with that seed,
/// `random` draws new seeds.
const SEED: &str = "TICKWIRE_TEST_SEED";
/// The name of the variable whose value multiplies the number of seeds or cases that a random test
/// tries.
const SCALE: &str = "TICKWIRE_TEST_SCALE";

/// The seed of a test that uses only one, and the first of a test that uses several.
const FIRST: u64 = 1;

/// The seeds of one random test. Made by [`seeds!`](crate::seeds).
#[derive(Debug, Clone, Copy)]
pub struct Seeds {
    target: TestTarget,
    choice: Choice,
    scale: u32,
}

/// How the environment selects seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    /// The same seeds in every run.
    Fixed,
    /// This seed alone.
    Given(u64),
    /// New seeds in every run.
    Random,
}

/// The compiled test that a seed belongs to, as `cargo test` selects it.
#[derive(Debug, Clone, Copy)]
pub struct TestTarget {
    /// The package, such as `tickwire-hub`.
    pub package: &'static str,
    /// The crate, which for an integration test is the name for `--test`.
    pub crate_name: &'static str,
    /// Whether the test is in the package's `tests` folder.
    pub is_integration_test: bool,
}

/// Returns the [`Seeds`] of the test in which it is called.
///
/// ```
/// use rand::RngExt as _;
///
/// let mut random = tickwire_testkit::seeds!().rng();
/// let roll: u32 = random.random_range(1..=6);
/// ```
#[macro_export]
macro_rules! seeds {
    () => {
        $crate::Seeds::of($crate::TestTarget {
            package: env!("CARGO_PKG_NAME"),
            crate_name: env!("CARGO_CRATE_NAME"),
            // Cargo sets this variable when it compiles integration tests.
            is_integration_test: option_env!("CARGO_TARGET_TMPDIR").is_some(),
        })
    };
}

impl Seeds {
    /// Reads the environment. Tests call [`seeds!`](crate::seeds) instead.
    ///
    /// # Panics
    /// Panics if a variable has a value that is not understood.
    #[must_use]
    pub fn of(target: TestTarget) -> Self {
        let variable = |name| env::var(name).ok();
        let scale = variable(SCALE).map_or(1, |text| {
            text.parse().unwrap_or_else(|_| panic!("{SCALE}={text}: expected a whole number"))
        });
        let choice =
            match variable(SEED).as_deref() {
                None => Choice::Fixed,
                Some("random") => Choice::Random,
                Some(text) => Choice::Given(text.parse().unwrap_or_else(|_| {
                    panic!("{SEED}={text}: expected a whole number, or `random`")
                })),
            };
        Self { target, choice, scale }
    }

    /// Returns a random number generator, and prints how to repeat the test with its seed. The
    /// output of a test is shown when the test fails.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "shown when the test fails")]
    pub fn rng(self) -> StdRng {
        let seed = self.first();
        println!("to repeat: {}", self.command(seed));
        StdRng::seed_from_u64(seed)
    }

    /// Returns `count` seeds, multiplied by `TICKWIRE_TEST_SCALE`; only one if
    /// `TICKWIRE_TEST_SEED` gives it.
    pub fn each(self, count: u32) -> impl Iterator<Item = Seed> {
        let first = self.first();
        let count = if let Choice::Given(_) = self.choice { 1 } else { count * self.scale };
        (first..first + u64::from(count)).map(move |number| Seed { seeds: self, number })
    }

    /// Returns a configuration for `proptest!` that tries `cases` cases, and prints how to repeat
    /// the test.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "shown when the test fails")]
    pub fn proptest(self, cases: u32) -> Config {
        let seed = self.first();
        println!("to repeat: {}", self.command(seed));
        Config {
            cases: cases * self.scale,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None, // the seed is all that it takes
            ..Config::default()
        }
    }

    fn first(self) -> u64 {
        match self.choice {
            Choice::Fixed => FIRST,
            Choice::Given(seed) => seed,
            // Short enough to be typed.
            Choice::Random => u64::from(rand::random::<u32>()),
        }
    }

    /// Returns the command that repeats the running test with a seed.
    fn command(self, seed: u64) -> String {
        self.command_for(seed, thread::current().name())
    }

    /// Returns the command that repeats a test with a seed. `thread` is the name of the running
    /// thread: the test harness names it like the test.
    fn command_for(self, seed: u64, thread: Option<&str>) -> String {
        let TestTarget { package, crate_name, is_integration_test } = self.target;
        let mut command = format!("{SEED}={seed} cargo test -p {package}");
        if self.scale > 1 {
            // The number of cases can be part of what a seed means.
            command = format!("{SCALE}={} {command}", self.scale);
        }
        if is_integration_test {
            command += &format!(" --test {crate_name}");
        }
        match thread {
            Some(name) if name != "main" => command + " -- --exact " + name,
            _ => command,
        }
    }
}

/// One of several seeds of a test. If a panic drops the seed, prints how to repeat the test with
/// it.
#[derive(Debug)]
pub struct Seed {
    seeds: Seeds,
    number: u64,
}

impl Seed {
    /// Returns the seed as a number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns a random number generator with this seed.
    #[must_use]
    pub fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.number)
    }
}

impl Drop for Seed {
    #[expect(clippy::print_stdout, reason = "shown when the test fails")]
    fn drop(&mut self) {
        if thread::panicking() {
            println!("to repeat: {}", self.seeds.command(self.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    const UNIT_TEST: TestTarget = TestTarget {
        package: "tickwire-hub",
        crate_name: "tickwire_hub",
        is_integration_test: false,
    };
    const INTEGRATION_TEST: TestTarget =
        TestTarget { crate_name: "fanout_model", is_integration_test: true, ..UNIT_TEST };

    fn seeds_of(target: TestTarget, choice: Choice) -> Seeds {
        Seeds { target, choice, scale: 1 }
    }

    fn tried(seeds: Seeds, count: u32) -> Vec<u64> {
        seeds.each(count).map(|seed| seed.number()).collect()
    }

    #[test]
    fn seeds_are_fixed_unless_told_otherwise() {
        let fixed = seeds_of(UNIT_TEST, Choice::Fixed);
        assert_eq!(tried(fixed, 3), [1, 2, 3]);
        assert_eq!(fixed.rng().random::<u64>(), fixed.rng().random::<u64>());
        assert_eq!(fixed.proptest(10).rng_seed, RngSeed::Fixed(1));
        assert_eq!(tried(Seeds { scale: 2, ..fixed }, 2), [1, 2, 3, 4]);
        assert_eq!(Seeds { scale: 2, ..fixed }.proptest(10).cases, 20);
    }

    #[test]
    fn given_seed_is_the_only_one() {
        assert_eq!(tried(seeds_of(UNIT_TEST, Choice::Given(7)), 3), [7]);
    }

    #[test]
    fn random_seeds_differ() {
        let random = seeds_of(UNIT_TEST, Choice::Random);
        let all: Vec<_> = (0..4).map(|_| tried(random, 1)[0]).collect();
        assert!(all.iter().any(|seed| *seed != all[0]), "{all:?}");
    }

    #[test]
    fn command_names_package_target_and_test() {
        let command = |target, thread| seeds_of(target, Choice::Fixed).command_for(5, thread);
        assert_eq!(
            command(UNIT_TEST, Some("bars::tests::late_trade")),
            "TICKWIRE_TEST_SEED=5 cargo test -p tickwire-hub -- --exact bars::tests::late_trade"
        );
        assert_eq!(
            command(INTEGRATION_TEST, Some("main")),
            "TICKWIRE_TEST_SEED=5 cargo test -p tickwire-hub --test fanout_model"
        );
    }

    #[test]
    fn seeds_record_the_package_of_their_test() {
        let TestTarget { package, crate_name, is_integration_test } = crate::seeds!().target;
        assert_eq!((package, crate_name), ("tickwire-testkit", "tickwire_testkit"));
        assert!(!is_integration_test);
    }
}

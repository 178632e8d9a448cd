//! A hub, its publishers and its subscribers in one thread, on virtual time and in an order that
//! chance decides: publishers are cut off and come back, shards fall behind, sockets take what they
//! take, clients stall, break off, return and resume; the disk fills up, the hub is killed amid a write,
//! its machine fails and loses what was not synced, and another hub goes on. Whatever happens, every
//! client checks every byte it is sent against what was issued: order, no loss, no repeat, what is gone
//! told exactly, and the newest at the end.
//!
//! `TICKWIRE_SIM_SECONDS` is how long it looks for a seed that fails, 10 unless told;
//! `TICKWIRE_SIM_SEED` repeats the run of one seed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod connection;
mod disk;
mod durable;
mod frames;
mod had;
mod intake;
mod observer;
mod publisher;
mod random;
mod restart;
mod seat;
mod source;
mod truth;
mod world;

use std::time::{Duration, Instant};

use random::Random;
use world::World;

/// Says the seed of a run that fails.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "for whoever reads why the test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was TICKWIRE_SIM_SEED={}", self.0);
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text}: expected a whole number")))
}

/// Runs a seed and says how many ticks were checked.
fn run(seed: u64) -> u64 {
    let seed = Seed(seed);
    let mut world = World::new(seed.0);
    for _ in 0..3 {
        world.run(400);
    }
    world.ticks
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long to go on looking; no run sees the time")]
#[expect(clippy::print_stderr, reason = "how much was looked at")]
fn nothing_promised_is_lost_whatever_happens_in_whatever_order() {
    if let Some(seed) = setting("TICKWIRE_SIM_SEED") {
        run(seed);
        return;
    }
    let time = Duration::from_secs(setting("TICKWIRE_SIM_SECONDS").unwrap_or(10));
    let began = Instant::now();
    let mut seeds = Random::new(rand::random());
    let (mut runs, mut ticks) = (0, 0);
    while began.elapsed() < time {
        ticks += run(seeds.below(1 << 32));
        runs += 1;
    }
    eprintln!("{runs} runs, {ticks} ticks checked");
    assert!(ticks > 0, "nobody was sent anything");
}

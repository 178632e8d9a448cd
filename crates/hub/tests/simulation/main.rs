//! A hub, its publishers and its subscribers in one thread, on virtual time and in an order that
//! chance decides: publishers are cut off and come back, shards fall behind, sockets take what they
//! take, clients stall, break off, return and resume; the disk fills up, the hub is killed amid a write,
//! its machine fails and loses what was not synced, and another hub goes on. Whatever happens, every
//! client checks every byte it is sent against what was issued: order, no loss, no repeat, what is gone
//! told exactly, and the newest at the end.
//!
//! `TICKWIRE_TEST_SEED` selects the seeds and `TICKWIRE_TEST_SCALE` multiplies their number: see
//! `tickwire_testkit::seeds`.
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
mod shard_driver;
mod source;
mod truth;
mod world;

use tickwire_testkit::seeds;
use world::World;

/// How many seeds a run of the test tries.
const RUNS: u32 = 300;

#[test]
#[expect(clippy::print_stderr, reason = "shows how much was checked")]
fn nothing_promised_is_lost_whatever_happens_in_whatever_order() {
    let mut runs = 0;
    let mut ticks = 0;
    for seed in seeds!().each(RUNS) {
        let mut world = World::new(seed.number());
        for _ in 0..3 {
            world.run(400);
        }
        runs += 1;
        ticks += world.ticks;
    }
    eprintln!("{runs} runs, {ticks} ticks checked");
    assert!(ticks > 0, "nobody was sent anything");
}

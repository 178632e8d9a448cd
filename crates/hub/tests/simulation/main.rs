//! Simulates a hub with publishers and subscribers in one thread, on virtual time and in random
//! order.
//!
//! Publishers are cut and return, shards fall behind, sockets accept data in pieces, clients stall,
//! disconnect, return and resume; the disk fills up, the hub is killed during a write, the machine
//! fails and loses unsynced data, and the next hub continues. Every client compares every received
//! byte with the ticks that the hub sent: order, no loss, no repetition, exact gaps, and the newest
//! value in the end.
//!
//! `TICKWIRE_TEST_SEED` selects the seeds and `TICKWIRE_TEST_SCALE` multiplies their number: see
//! `tickwire_testkit::seeds`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod connection;
mod disk;
mod durable;
mod fairness;
mod frames;
mod hostile_client;
mod intake;
mod observer;
mod oracle;
mod population;
mod publisher;
mod random;
mod restart;
mod resume_state;
mod shard_driver;
mod shard_turn;
mod siege;
mod source;
mod world;

use tickwire_testkit::seeds;
use world::World;

/// Number of seeds in a run of the test.
const RUNS: u32 = 300;
/// Number of seeds of the test with many hostile sessions.
const SIEGES: u32 = 4;

#[test]
#[expect(clippy::print_stderr, reason = "shows how much was checked")]
fn guarantees_hold_under_random_faults_in_random_order() {
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
    assert!(ticks > 0, "no tick was delivered");
}

#[test]
fn honest_clients_are_served_among_many_hostile_sessions() {
    for seed in seeds!().each(SIEGES) {
        World::besieged(seed.number()).besiege();
    }
}

//! Random operations on the pure core, against a model that is too naive to be wrong: each session
//! has the exact list of what it must receive, in order, and the topics of which it is owed the newest
//! tick, each with the slot before which it may not come and after which it must have come.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod driver;
#[cfg(test)]
mod history;
mod model;
mod ops;
mod wire;

use driver::Driver;
use ops::{Op, Setting};
use proptest::collection::vec;
use proptest::prelude::*;
use tickwire_testkit::seeds;

proptest! {
    #![proptest_config(seeds!().proptest(400))]

    #[test]
    fn every_session_receives_what_the_model_says(
        setting in ops::setting(),
        ops in vec(ops::op(), 1..150),
    ) {
        run(&setting, &ops);
    }
}

fn run(setting: &Setting, ops: &[Op]) {
    let mut driver = Driver::new(setting);
    for op in ops {
        driver.run(op);
    }
    driver.end();
}

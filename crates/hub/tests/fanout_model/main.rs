//! Runs random operations on the pure core, and compares it with a simple model. For each session
//! the model holds the exact list of elements that it must receive, in order, and the topics whose
//! newest tick is pending, each with the earliest and the latest time of its delivery.
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

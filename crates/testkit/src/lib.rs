//! Helpers for the tests of all crates.
//!
//! - [`seeds!`] gives a random test its seeds. Every run uses the same seeds, unless
//!   `TICKWIRE_TEST_SEED` says otherwise, and a failing test prints the command that repeats it.
//! - [`frames`] reads and writes WebSocket frames.
//! - [`until`] and [`holds_in_time`] wait for a condition instead of for a time.

pub mod frames;
mod seeds;
mod wait;

pub use seeds::{Seed, Seeds, TestTarget};
pub use wait::{PATIENCE, holds_in_time, until};

//! Properties of the hub that must hold for any input. The fuzz targets and the test that replays
//! their corpora share these checks.

mod budget;
mod clock;
pub(crate) mod frames;
mod input;
mod peer;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod session;

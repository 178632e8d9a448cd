//! What must hold in the hub for any bytes. Shared by the fuzz targets and by the test that replays
//! their corpora.

pub(crate) mod frames;
mod input;
mod peer;
pub(crate) mod recovery;
pub(crate) mod session;

//! How ticks leave the hub: the timelines that sessions follow and the shard loops that serve them.

pub(crate) mod delayer;
pub(crate) mod history_reader;
pub(crate) mod last_values;
pub(crate) mod session_protocol;
pub(crate) mod shard_loop;
pub(crate) mod timeline;

//! How ticks leave the hub: timelines, and the shard loops that serve their sessions.

pub(crate) mod delayer;
pub(crate) mod history_reader;
pub(crate) mod last_values;
pub(crate) mod new_connection;
pub(crate) mod session_protocol;
pub(crate) mod shard_handle;
pub(crate) mod shard_loop;
pub(crate) mod shard_query;
pub(crate) mod timeline;
pub(crate) mod topic_counts;
pub(crate) mod topic_listing;
pub(crate) mod topic_rates;

//! State that ingest writes and serving reads: the live log, feeds, topics and the lifecycle.

pub(crate) mod feeds;
pub(crate) mod lifecycle;
pub(crate) mod publisher_sessions;
pub(crate) mod shard_waker;
pub(crate) mod shared_log;
pub(crate) mod topic_registry;
pub(crate) mod views;

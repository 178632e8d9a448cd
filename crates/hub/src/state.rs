//! State that ingest writes and serving reads: the live log, feeds and topics.

pub(crate) mod feeds;
pub(crate) mod lifecycle;
pub(crate) mod shard_waker;
pub(crate) mod shared_log;
pub(crate) mod sources;
pub(crate) mod topic_registry;
pub(crate) mod views;

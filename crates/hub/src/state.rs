//! State that ingest writes and serving reads: the live log, feeds, topics and demand.

pub(crate) mod catalog;
pub(crate) mod demand;
pub(crate) mod feeds;
pub(crate) mod shared_log;
pub(crate) mod sources;
pub(crate) mod views;

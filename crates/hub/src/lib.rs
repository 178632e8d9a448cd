//! The Tickwire server: publishers hand ticks to a router, which numbers them and appends them to a
//! shared log; shards follow the log and write to their subscribers.
//!
//! [`Hub::start`] runs it inside a program; `tickwire hub` is a thin shell around that.

mod admission;
mod archive_desk;
pub mod bars;
mod catalog;
mod clock;
mod config;
mod delayer;
mod demand;
mod dialect;
mod drain;
pub mod durable;
pub mod fanout;
mod feeds;
mod http;
pub mod keys;
mod last_values;
mod login;
mod market;
mod metrics;
mod publisher;
mod refusals;
mod router;
#[cfg(test)]
mod seeded;
mod server;
mod shard_task;
mod shared_log;
mod sources;
mod test_feed;
mod tls;
mod views;

pub use config::{Config, ConfigError, Fsync, FsyncError, ViewConfig};
pub use server::{Hub, StartError};
#[doc(hidden)] // for fuzzing
pub use shard_task::Reader;
pub use tls::TlsError;

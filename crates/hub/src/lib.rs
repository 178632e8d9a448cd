//! The Tickwire server: publishers hand ticks to a router, which numbers them and appends them to a
//! shared log; shards follow the log and write to their subscribers.
//!
//! [`Hub::start`] runs it inside a program; `tickwire hub` is a thin shell around that.

mod access;
pub mod bars;
mod clock;
mod config;
pub mod durable;
pub mod fanout;
mod http;
mod ingest;
mod metrics;
mod retry;
mod server;
mod serving;
mod state;

pub use access::keys;
pub use config::{
    ByteSize, ByteSizeError, Config, ConfigError, DurationError, Fsync, FsyncError, Setting,
    ViewConfig, format_duration, parse_duration,
};
pub use http::page::HAS_PAGE;
pub use http::tls::TlsError;
pub use server::{Hub, StartError};
#[doc(hidden)] // for fuzzing
pub use serving::shard_loop::Reader;

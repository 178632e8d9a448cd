//! The Tickwire hub: receives ticks from publishers and delivers them to subscribers over
//! WebSocket.
//!
//! Publishers send ticks to the router, which numbers them and appends them to a shared log. Shards
//! read the log and write to the sockets of their subscribers.
//!
//! [`Hub::start`] starts a hub inside a program. The command `tickwire hub` is a thin shell around
//! it.

mod access;
pub mod bars;
mod clock;
mod config;
pub mod durable;
pub mod fanout;
mod http;
mod ingest;
mod log_rate_limit;
mod metrics;
mod retry;
mod server;
mod serving;
mod state;
mod suspension;
mod websocket;

pub use access::keys;
pub use config::{
    ByteSize, ByteSizeError, Cidr, CidrError, Config, ConfigError, DurationError, Fsync,
    FsyncError, Setting, ViewConfig, closest, format_duration, parse_duration,
};
pub use http::page::HAS_PAGE;
pub use http::tls::TlsError;
pub use server::{Hub, StartError};
#[doc(hidden)] // for fuzzing
pub use websocket::{
    BudgetAccount, CloseFrame, Message, MessageBudget, MessageError, OnEviction, Opcode, Payload,
    Reader, ReaderConfig, write_close, write_frame,
};

//! A load generator: thousands of subscribers from one process, at low cost.
//!
//! Each thread runs one epoll loop over its share of the connections. Frames are read where the kernel
//! put them, ticks are walked rather than decoded: their symbol, number and event time are read, the
//! rest is passed over. Every tick of every connection is checked against the number before it, and its
//! latency, from its event time, goes into a histogram. In delivery latest numbers may jump but not repeat,
//! and the latency of a tick is the age of the value.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use std::time::Duration;
//! use tickwire_client::load::{Plan, numbered, run};
//! use tickwire_client::{Channel, Delivery, Feed};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan {
//!     hub: "ws://127.0.0.1:8080".parse()?,
//!     feed: Feed::default(),
//!     token: None,
//!     connections: 1000,
//!     symbols: numbered("SYM", 500)?,
//!     per_connection: 50,
//!     channels: vec![Channel::Trades],
//!     delivery: Delivery::Every,
//!     on_lag: None,
//!     ramp: Duration::from_secs(2),
//!     warmup: Duration::from_secs(1),
//!     duration: Duration::from_secs(10),
//!     threads: 1,
//! };
//! let report = run(&plan, &AtomicBool::new(false), &mut |_| {})?;
//! println!("{:.0} ticks/s", report.ticks_per_s);
//! # Ok(())
//! # }
//! ```

mod collect;
mod files;
mod frame;
mod handshake;
mod peer;
mod plan;
mod plot;
mod report;
mod skew;
mod symbols;
mod tally;
mod topics;
mod walk;
mod worker;

use std::io;

use crate::HubUrl;

pub use collect::{Phase, Progress, run};
pub use files::{FilesError, allow_files};
pub use plan::{Plan, numbered};
pub use plot::svg;
pub use report::{Connections, Percentile, Report, Second, Spread};
pub use symbols::{Listed, SymbolsError, list_symbols};

/// Why a load test has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The hub's address leads nowhere.
    #[error("cannot resolve the hub's address {hub}")]
    Unreachable {
        /// Host and port.
        hub: String,
        /// What the system says.
        source: io::Error,
    },
    /// The hub's address asks for TLS.
    #[error("the load generator speaks no TLS: expected a hub at ws://, given {hub}")]
    Encrypted {
        /// The address.
        hub: HubUrl,
    },
    /// Not one connection opened.
    #[error("none of {connections} connections opened: {causes}")]
    NothingOpened {
        /// How many were tried.
        connections: usize,
        /// Causes with their counts.
        causes: String,
    },
    /// The system refused what the event loop needs.
    #[error("the event loop failed")]
    System(#[source] io::Error),
    /// A thread panicked, which is a fault of the load generator.
    #[error("a thread of the load generator panicked")]
    Panicked,
}

//! A load generator: thousands of subscribers in one process, at low cost.
//!
//! [`run`] carries out a [`Plan`] and returns a [`Report`]. Each thread runs one epoll loop over
//! its share of the connections. Frames are read where the kernel put them, and ticks are scanned
//! instead of decoded: only symbol, sequence number and event time are read. Every tick of every
//! connection is checked against the number before it, and its latency, measured from the event
//! time, goes into a histogram. With delivery `latest`, numbers may jump but not repeat, and the
//! latency of a tick is the age of its value.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use std::time::Duration;
//! use tickwire_client::load::{Plan, numbered_symbols, run};
//! use tickwire_client::{Channel, Delivery, Feed};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan {
//!     hub: "http://127.0.0.1:8080".parse()?,
//!     feed: Feed::default(),
//!     token: None,
//!     tls: None,
//!     connections: 1000,
//!     symbols: numbered_symbols("SYM", 500)?,
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

mod counters;
mod frame;
mod handshake;
mod open_files;
mod plan;
mod plot;
mod report;
mod run;
mod skew;
mod subscriber;
mod symbols;
mod tick_scanner;
mod topic_layout;
mod worker;

use std::io;

pub use open_files::{OpenFilesError, allow_connections};
pub use plan::{Plan, numbered_symbols};
pub use plot::svg;
pub use report::{Connections, Distribution, Percentile, Report, Second};
pub use run::{Phase, Progress, run};
pub use symbols::{ListedSymbols, SymbolsError, list_symbols};
pub use tick_scanner::{Malformed, MessageKind, TickHeader, TickScanner, scan_message};

/// Why a load test has no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The hub's host name cannot be resolved.
    #[error("cannot resolve the hub's address {hub}")]
    Unreachable {
        /// Host and port of the hub.
        hub: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The hub's address asks for TLS, which cannot be set up.
    #[error("cannot speak TLS with the hub at {hub}")]
    Tls {
        /// Host and port of the hub.
        hub: String,
        /// What is missing or wrong.
        source: io::Error,
    },
    /// Every connection was refused.
    #[error("none of {connections} connections opened: {causes}")]
    NothingOpened {
        /// How many connections were tried.
        connections: usize,
        /// The causes and how often each occurred.
        causes: String,
    },
    /// The operating system refused something that the event loop needs.
    #[error("the event loop failed")]
    System(#[source] io::Error),
    /// A thread panicked, which is a bug of the load generator.
    #[error("a thread of the load generator panicked")]
    Panicked,
}

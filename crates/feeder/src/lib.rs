//! Where Tickwire's ticks come from.
//!
//! A [`Source`] gives ticks with their event times: the [`Simulator`], or a [`Replay`] of recorded
//! files. A [`Pace`] says when they are due. [`publish`] sends what is due to a hub, over one session
//! after the other, so that the hub takes every tick once; [`write_ndjson`] writes it as lines of
//! JSON instead. [`relay`] publishes what a server says that speaks Alpaca's stock stream.
//!
//! The schedule is open-loop: a tick's scheduled time never depends on when it could be sent. Where
//! event times are scheduled times (`restamp`), latency measured from them therefore includes all
//! delay, the feed's own too.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tickwire_feeder::{Pace, Progress, PublisherConfig, SimConfig, Simulator, Speed, publish};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! let market = Simulator::new(SimConfig { symbols: 200, rate: 2_000.0, ..SimConfig::default() });
//! let pace = Pace { speed: Speed::Times(1.0), restamp: true };
//! let hub = PublisherConfig::new("ws://127.0.0.1:8080".parse()?);
//! let counts = publish(market, pace, hub, CancellationToken::new(), Arc::new(Progress::default())).await?;
//! println!("{} ticks", counts.ticks);
//! # Ok(())
//! # }
//! ```

mod alpaca;
mod clock;
mod error;
mod identity;
mod ndjson;
mod pace;
mod progress;
mod publisher;
mod replay;
mod schedule;
mod simulator;
mod source;
mod supply;
mod tls;

pub use alpaca::{AlpacaConfig, AlpacaUrl, AlpacaUrlError, MarketHours, MarketHoursError, relay};
pub use error::{FeedError, PublishError};
pub use ndjson::write_ndjson;
pub use pace::{Pace, Speed, SpeedError};
pub use progress::{Counts, Progress};
pub use publisher::{PublisherConfig, PublisherId, PublisherIdError, publish};
pub use replay::{OnError, Replay, ReplayConfig};
pub use simulator::{SimConfig, Simulator};
pub use source::{Source, SourceError};
pub use tls::{Authorities, AuthoritiesError};

pub use tickwire_protocol::{HubUrl, HubUrlError};

//! Feeds: sources of ticks, and the session that publishes them to a hub.
//!
//! A [`Source`] yields ticks with their event times: the [`Simulator`], or a [`Replay`] of recorded
//! files. A [`Pace`] sets when each is due. [`publish`] sends due ticks to a hub and reconnects as
//! needed, so that the hub receives every tick exactly once; [`write_ndjson`] writes them as lines
//! of JSON instead. [`relay`] publishes the ticks of a server that speaks Alpaca's stock stream.
//!
//! The schedule is open-loop: the scheduled time of a tick never depends on when it could be sent.
//! With `restamp`, event times are scheduled times, so latency measured from them includes every
//! delay, including that of the feed itself.
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
mod tick_stream;
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

//! Subscribes to a Tickwire hub.
//!
//! A [`Client`] is a stream of [`Event`]s: ticks, and what happens to the connection. It comes back by
//! itself when the connection is lost, asks for everything again, and says which ticks were missed.
//!
//! ```no_run
//! use tickwire_client::{Channel, Client, Event, names};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::builder("ws://127.0.0.1:8080").feed("main").connect().await?;
//! client.subscribe(names(&[Channel::Trades, Channel::Quotes], ["AAPL", "MSFT"])?).await?;
//! while let Some(event) = client.next().await {
//!     match event {
//!         Event::Tick { tick, snapshot: false } => println!("{} {:?}", tick.symbol, tick.data),
//!         Event::Gap { topic, from, to } => println!("missed {topic} {} to {}", from.0, to.0),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The logic is pure and lives in the session, the sequence tracker and the backoff; one tokio task per
//! client moves bytes between them and the socket. [`load`] is a load generator of its own, with a
//! cheaper way to read.

mod backoff;
mod client;
mod connect;
mod driver;
mod error;
mod event;
mod hub_url;
pub mod load;
mod sequence;
mod session;
mod wanted;

pub use backoff::Backoff;
pub use client::{Builder, Client};
pub use error::{ConnectError, Ended, HubUrlError};
pub use event::{Disconnect, Event, Topic};
pub use hub_url::HubUrl;
pub use wanted::names;

pub use tickwire_protocol::{
    Channel, Delivery, Encoding, ErrorCode, Feed, FeedState, MaxRate, Names, OnLag, PerChannel,
    Price, Quote, Selection, Seq, Symbol, Tick, TickData, Trade, UnixNanos, ValueError,
};

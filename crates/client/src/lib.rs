//! A client library for Tickwire hubs, and a load generator.
//!
//! [`Client::builder`] is the entry point. A [`Client`] is a stream of [`Event`]s: ticks, and
//! changes of the connection. It reconnects by itself, also after a restart of the hub, and
//! continues after the last tick. It never delivers a tick twice, keeps order within a topic, and
//! reports ticks that are no longer available as [`Event::Gap`].
//!
//! ```no_run
//! use tickwire_client::{Channel, Client, Event, names};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::builder("http://127.0.0.1:8080").feed("main").connect().await?;
//! client.subscribe(names(&[Channel::Trades, Channel::Quotes], ["AAPL", "MSFT"])?).await?;
//! while let Some(event) = client.next().await {
//!     match event {
//!         Event::Tick { tick, snapshot: false } => println!("{} {:?}", tick.symbol, tick.data),
//!         Event::Gap { topic, from, to } => println!("missed {topic} {from:?} to {to:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Client::resume`] continues after a restart of the application, at an [`Event::Position`].
//! - [`Client::subscribe_from`] starts with a replay of the hub's history.
//! - [`Client::subscribe_as`] subscribes to the newest value of each topic instead of every tick.
//! - [`load`] is a load generator with thousands of subscribers, which reads at lower cost.
//!
//! `docs/rust-client.md` is a guide to all of this.
//!
//! The protocol logic is pure: the session, the sequence tracker and the progress neither do I/O
//! nor read a clock. One tokio task per client moves bytes between them and the socket.

mod builder;
mod client;
mod connect;
mod driver;
mod error;
mod event;
pub mod http;
pub mod load;
mod position;
mod progress;
mod sequence;
mod session;
mod subscriptions;
mod tls;
mod token;

pub use builder::Builder;
pub use client::Client;
pub use error::{ClientEnded, ConnectError, ReplayError};
pub use event::{Disconnect, Event, Topic};
pub use position::Position;
pub use subscriptions::names;
pub use token::{Token, TokenError};

pub use tickwire_protocol::{
    Backoff, Channel, Delivery, Encoding, ErrorCode, Feed, FeedState, HubUrl, HubUrlError, MaxRate,
    OnLag, PerChannel, Price, Quote, Replay, ReplaySpeed, ReplayStart, ResumeOutcome, Selection,
    Seq, SubscriptionSet, Symbol, Tick, TickData, Trade, UnixNanos, ValueError,
};

/// Compiles the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust-client.md")]
mod guide {}

//! Subscribes to a Tickwire hub.
//!
//! A [`Client`] is a stream of [`Event`]s: ticks, and what happens to the connection. It comes back by
//! itself when the connection is lost, also over a restart of the hub, and goes on behind the last tick. What
//! the hub no longer has is told as an [`Event::Gap`]; no tick is given twice, and those of a topic come in order.
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
//!         Event::Gap { topic, from, to } => println!("missed {topic} {from:?} to {to:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An application that restarts continues where it was: [`Event::Position`] and [`Client::resume`].
//! [`Client::subscribe_from`] begins in the past.
//!
//! The logic is pure and lives in the session, the sequence tracker, the progress and the backoff; one tokio
//! task per client moves bytes between them and the socket. [`load`] is a load generator of its own, with a
//! cheaper way to read.

mod client;
mod connect;
mod driver;
mod error;
mod event;
pub mod http;
pub mod load;
mod position;
mod sequence;
mod session;
mod tls;
mod token;
mod wanted;

pub use client::{Builder, Client};
pub use error::{ConnectError, Ended, ReplayError};
pub use event::{Disconnect, Event, Topic};
pub use position::Position;
pub use token::{Token, TokenError};
pub use wanted::names;

pub use tickwire_protocol::{
    Backoff, Channel, Delivery, Encoding, ErrorCode, Feed, FeedState, HubUrl, HubUrlError, MaxRate,
    OnLag, PerChannel, Price, Quote, Replay, ReplaySpeed, ReplayStart, ResumeOutcome, Selection,
    Seq, SubscriptionSet, Symbol, Tick, TickData, Trade, UnixNanos, ValueError,
};

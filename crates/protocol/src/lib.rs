//! The wire vocabulary of Tickwire and its codecs.
//!
//! A [`Tick`] is one event of one topic: a trade, a quote, a bar and so on. It is spelled in one of
//! the [`Encoding`]s. Everything else that crosses the wire is a [`Control`] element (hub to peer) or
//! a [`Command`] (peer to hub). The crate does no I/O, reads no clock and never panics on input.
//!
//! Encoders append to a buffer the caller owns and allocate nothing else; decoders check every length
//! before they allocate and say which field of which element was wrong ([`DecodeError`]).
//!
//! ```
//! use tickwire_protocol::{Encoding, MessageBuf, Tick};
//!
//! let line = br#"{"T":"t","S":"AAPL","i":96921,"x":"D","p":126.55,"s":100,"c":["@","I"],"t":"2026-01-02T14:30:00.123456789Z","z":"C"}"#;
//! let tick = Tick::from_json(line)?;
//! assert_eq!(tick.symbol.as_str(), "AAPL");
//!
//! let mut message = MessageBuf::new(Encoding::MsgpackArray);
//! message.push(&tick);
//! assert_eq!(tickwire_protocol::decode_ticks(message.finish(), Encoding::MsgpackArray)?, vec![tick]);
//! # Ok::<(), tickwire_protocol::DecodeError>(())
//! ```

mod alpaca;
mod channel;
mod command;
mod control;
mod credentials;
mod delivery;
mod encoding;
mod envelope;
mod error;
mod error_code;
mod fields;
mod history;
mod json;
mod limits;
mod map;
mod message;
mod msgpack;
mod names;
mod price;
mod size;
mod stream;
mod symbol;
mod text;
mod tick;
mod time;

pub use alpaca::{AlpacaCommand, AlpacaCommandError, AlpacaCommands, write_alpaca_subscription};
pub use channel::{Channel, PerChannel};
pub use command::{Command, CommandError, PublishRequest, SourceReport, SubscribeRequest};
pub use control::{Control, FeedState};
pub use credentials::Credentials;
pub use delivery::{Delivery, DeliveryGroup, MaxRate, OnLag};
pub use encoding::Encoding;
pub use error::{DecodeError, ValueError};
pub use error_code::ErrorCode;
pub use history::{
    Replay, ReplaySpeed, ReplayStart, Resume, ResumeOutcome, ResumePoint, SpeedFactor,
};
pub use limits::{
    CONDITIONS_MAX, REPORT_TEXT_BYTES_MAX, SYMBOL_BYTES_MAX, TEXT_BYTES_MAX, TICK_BYTES_MAX,
};
pub use message::{
    Element, MessageBuf, PublishedMessage, decode_message, decode_publish, decode_ticks,
};
pub use names::{Selection, SubscriptionSet};
pub use price::Price;
pub use stream::decode_alpaca_stream;
pub use symbol::{Feed, Symbol};
pub use text::{Conditions, Text};
pub use tick::{
    Bar, CancelError, Correction, Imbalance, Luld, Quote, Seq, Status, Tick, TickData, Trade,
};
pub use time::UnixNanos;

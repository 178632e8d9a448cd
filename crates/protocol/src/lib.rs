//! The messages of Tickwire's protocol and their encodings.
//!
//! A [`Tick`] is one event of a topic: a trade, a quote, a bar and so on. A message from the hub is
//! an array of [`Element`]s, which are ticks or [`Control`] elements; a peer sends [`Command`]s.
//! Each session has one [`Encoding`]. The protocol is described in `docs/protocol`;
//! [`AlpacaCommand`] and [`decode_alpaca_stream`] are for the protocol of Alpaca's stock stream.
//!
//! The crate does no I/O, reads no clock and never panics on input. Encoders append to a buffer of
//! the caller and, for ticks, allocate nothing else. Decoders check every length before they
//! allocate, and name the field and the element that is wrong ([`DecodeError`]).
//!
//! ```
//! use tickwire_protocol::{Encoding, MessageBuf, Tick, decode_ticks};
//!
//! let line = br#"{"T":"t","S":"AAPL","i":96921,"x":"D","p":126.55,"s":100,"c":["@","I"],"t":"2026-01-02T14:30:00.123456789Z","z":"C"}"#;
//! let tick = Tick::from_json(line)?;
//! assert_eq!(tick.symbol.as_str(), "AAPL");
//!
//! let mut message = MessageBuf::new(Encoding::MsgpackArray);
//! message.push(&tick);
//! assert_eq!(decode_ticks(message.finish(), Encoding::MsgpackArray)?, vec![tick]);
//! # Ok::<(), tickwire_protocol::DecodeError>(())
//! ```

mod alpaca;
mod backoff;
mod channel;
mod command;
mod control;
mod credentials;
mod delivery;
mod encoding;
mod error;
mod error_code;
mod feed;
mod fields;
mod hub_url;
mod json;
mod limits;
mod message;
mod message_buf;
mod msgpack;
mod per_channel;
mod price;
mod printable;
mod replay;
mod resume;
mod size;
mod subscription_set;
mod symbol;
mod text;
mod thousandths;
mod tick;
mod time;
mod wire_map;
mod word;

pub use alpaca::{
    AlpacaCommand, AlpacaCommandError, AlpacaCommands, decode_alpaca_stream,
    write_alpaca_subscription,
};
pub use backoff::{Backoff, requested_delay};
pub use channel::Channel;
pub use command::{Command, CommandError, PublishRequest, SourceReport, SubscribeRequest};
pub use control::Control;
pub use credentials::Credentials;
pub use delivery::{Delivery, DeliveryGroup, MaxRate, OnLag};
pub use encoding::Encoding;
pub use error::{DecodeError, ValueError};
pub use error_code::ErrorCode;
pub use feed::{Feed, FeedState};
pub use hub_url::{HubUrl, HubUrlError};
pub use limits::{
    CONDITIONS_MAX, REPORT_TEXT_BYTES_MAX, SYMBOL_BYTES_MAX, TEXT_BYTES_MAX, TICK_BYTES_MAX,
};
pub use message::{Element, PublishedMessage, decode_message, decode_publish, decode_ticks};
pub use message_buf::MessageBuf;
pub use per_channel::PerChannel;
pub use price::Price;
pub use printable::{Cut, Printable, push_printable_json};
pub use replay::{Replay, ReplaySpeed, ReplayStart, SpeedFactor};
pub use resume::{Resume, ResumeOutcome, ResumePoint};
pub use subscription_set::{Selection, SubscriptionSet};
pub use symbol::Symbol;
pub use text::{Conditions, Text};
pub use tick::{
    Bar, CancelError, Correction, Imbalance, Luld, Quote, Seq, Status, Tick, TickData, Trade,
};
pub use time::UnixNanos;

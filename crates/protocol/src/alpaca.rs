//! The protocol of Alpaca's stock stream: commands of its clients, and messages of its servers.
//!
//! Sources: <https://docs.alpaca.markets/docs/streaming-market-data> and
//! <https://docs.alpaca.markets/docs/real-time-stock-pricing-data>; what the SDKs do beyond them is in
//! `docs/alpaca.md`.

mod command;
mod stream;
mod subscription;
mod unknown_value;

pub use command::{AlpacaCommand, AlpacaCommandError, AlpacaCommands};
pub use stream::decode_alpaca_stream;
pub use subscription::write_alpaca_subscription;

//! Limits of values in the protocol, shared by hub, publishers and subscribers.
//!
//! They are part of the contract: `docs/protocol/ticks.md`, section "Limits".

/// Longest symbol and longest feed name, in bytes.
pub const SYMBOL_BYTES_MAX: usize = 24;
/// Longest string inside a tick (exchange, tape, condition code, status message), in bytes of
/// UTF-8.
pub const TEXT_BYTES_MAX: usize = 64;
/// Maximum number of condition codes in one list of a tick.
pub const CONDITIONS_MAX: usize = 16;
/// Longest `detail` and longest `upstream` of a [`SourceReport`](crate::SourceReport), in bytes of
/// UTF-8.
pub const REPORT_TEXT_BYTES_MAX: usize = 256;
/// Largest encoded tick, in bytes, in every encoding.
///
/// The limits on strings do not imply it, because a JSON escape turns one byte into six. Check a
/// tick with [`Tick::check_size`](crate::Tick::check_size).
pub const TICK_BYTES_MAX: usize = 4096;

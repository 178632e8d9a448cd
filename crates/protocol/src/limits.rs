//! Limits of the wire contract that both sides rely on.

/// Longest symbol, in bytes.
pub const SYMBOL_BYTES_MAX: usize = 24;
/// Longest string inside a tick (exchange, tape, condition, message), in bytes.
pub const TEXT_BYTES_MAX: usize = 64;
/// Most conditions on one side of a tick.
pub const CONDITIONS_MAX: usize = 16;
/// Longest text in a publisher's report, in bytes.
pub const REPORT_TEXT_BYTES_MAX: usize = 256;
/// Largest encoded tick, in bytes, in any encoding. The limits above do not imply it, since JSON
/// escapes make a byte six, so it has a check of its own: [`Tick::check_size`](crate::Tick::check_size).
pub const TICK_BYTES_MAX: usize = 4096;

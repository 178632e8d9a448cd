//! MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>): ticks as arrays and as
//! maps, and what both need.

pub(crate) mod array;
pub(crate) mod map;
mod reader;

pub(crate) use reader::Reader;

use rmp::encode;

use crate::Price;

// Writing into a vector cannot fail: rmp returns results only for writers that can.

/// Appends an unsigned integer in its shortest form.
pub(crate) fn write_uint(out: &mut Vec<u8>, value: u64) {
    let written = encode::write_uint(out, value);
    debug_assert!(written.is_ok());
}

/// Appends a price as a float64 (`cb`), whatever its value.
pub(crate) fn write_price(out: &mut Vec<u8>, value: Price) {
    out.push(0xcb);
    out.extend_from_slice(&value.as_f64().to_be_bytes());
}

/// Appends a string in its shortest form.
pub(crate) fn write_str(out: &mut Vec<u8>, value: &str) {
    let written = encode::write_str(out, value);
    debug_assert!(written.is_ok());
}

/// Appends the header of an array of `len` values, in its shortest form.
pub(crate) fn write_array_len(out: &mut Vec<u8>, len: usize) {
    let written = encode::write_array_len(out, u32::try_from(len).unwrap_or(u32::MAX));
    debug_assert!(written.is_ok());
}

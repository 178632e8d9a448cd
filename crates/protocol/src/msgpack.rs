//! Ticks as MessagePack arrays, positional and append-only.

mod reader;

pub(crate) use reader::Reader;

use rmp::encode;

use crate::control::POSITION;
use crate::fields::{self, Sink, Source};
use crate::{
    Channel, Conditions, DecodeError, Price, Seq, Symbol, Text, Tick, UnixNanos, ValueError,
};

/// Appends one element.
pub(crate) fn write_tick(tick: &Tick, out: &mut Vec<u8>) {
    let channel = tick.channel();
    out.push(0x90 | fields::count(channel)); // fixarray: no kind has more than 15 fields
    out.push(0xa1); // fixstr of one byte
    out.extend_from_slice(channel.letter().as_bytes());
    fields::write(tick, &mut ArraySink { out });
}

/// Appends a position, as it ends a data message.
pub(crate) fn write_position(position: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x92\xa1p");
    write_uint(out, position);
}

struct ArraySink<'a> {
    out: &'a mut Vec<u8>,
}

impl ArraySink<'_> {
    fn str(&mut self, value: &str) {
        write_str(self.out, value);
    }
}

impl Sink for ArraySink<'_> {
    fn symbol(&mut self, _key: &'static str, value: &Symbol) {
        self.str(value.as_str());
    }

    fn seq(&mut self, value: Seq) {
        write_uint(self.out, value.0);
    }

    fn time(&mut self, _key: &'static str, value: UnixNanos) {
        write_uint(self.out, value.0);
    }

    fn uint(&mut self, _key: &'static str, value: u64) {
        write_uint(self.out, value);
    }

    fn price(&mut self, _key: &'static str, value: Price) {
        write_price(self.out, value);
    }

    fn text(&mut self, _key: &'static str, value: &Text) {
        self.str(value.as_str());
    }

    fn conditions(&mut self, _key: &'static str, value: &Conditions) {
        write_array_len(self.out, value.len());
        for code in value.iter() {
            self.str(code);
        }
    }
}

/// Appends an unsigned integer in its shortest form.
pub(crate) fn write_uint(out: &mut Vec<u8>, value: u64) {
    // Writing to a vector cannot fail: its error type only exists for other writers.
    let written = encode::write_uint(out, value);
    debug_assert!(written.is_ok());
}

/// Appends a price as float64.
pub(crate) fn write_price(out: &mut Vec<u8>, value: Price) {
    out.push(0xcb);
    out.extend_from_slice(&value.as_f64().to_be_bytes());
}

pub(crate) fn write_str(out: &mut Vec<u8>, value: &str) {
    let written = encode::write_str(out, value);
    debug_assert!(written.is_ok());
}

pub(crate) fn write_array_len(out: &mut Vec<u8>, len: usize) {
    let written = encode::write_array_len(out, u32::try_from(len).unwrap_or(u32::MAX));
    debug_assert!(written.is_ok());
}

/// What an array is.
pub(crate) enum Array {
    Tick(Tick),
    Position(u64),
}

/// Reads one element, of which nothing has been read, and leaves the reader behind it.
pub(crate) fn read_array(reader: &mut Reader<'_>) -> Result<Array, DecodeError> {
    let len = reader.array_len().map_err(|problem| DecodeError::field("", "", problem))?;
    if len == 0 {
        return Err(DecodeError::field("", "T", ValueError::Missing));
    }
    let letter = reader.str().map_err(|problem| DecodeError::field("", "T", problem))?;
    let channel = Channel::from_letter(letter);
    if channel.is_none() && letter != POSITION {
        return Err(DecodeError::field("", "T", ValueError::unknown_kind(letter)));
    }
    let kind = channel.map_or(POSITION, Channel::letter);
    let mut source = ArraySource { reader, kind, left: len - 1 };
    let array = match channel {
        Some(channel) => Array::Tick(fields::read(channel, &mut source)?),
        None => Array::Position(source.uint("pos")?),
    };
    for _ in 0..source.left {
        source.reader.skip().map_err(|problem| DecodeError::field(kind, "", problem))?;
    }
    Ok(array)
}

struct ArraySource<'r, 'a> {
    reader: &'r mut Reader<'a>,
    kind: &'static str,
    /// Fields of the element that have not been read.
    left: usize,
}

impl<'a> ArraySource<'_, 'a> {
    fn take<V>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<V, ValueError>,
    ) -> Result<V, DecodeError> {
        let value = if self.left == 0 {
            Err(ValueError::Missing)
        } else {
            self.left -= 1;
            read(self.reader)
        };
        value.map_err(|problem| DecodeError::field(self.kind, key, problem))
    }
}

impl Source for ArraySource<'_, '_> {
    fn symbol(&mut self, key: &'static str) -> Result<Symbol, DecodeError> {
        self.take(key, |reader| Symbol::new(reader.str()?))
    }

    fn seq(&mut self) -> Result<Seq, DecodeError> {
        self.take("seq", Reader::uint).map(Seq)
    }

    fn time(&mut self, key: &'static str) -> Result<UnixNanos, DecodeError> {
        self.take(key, |reader| {
            let value = reader.uint()?;
            let limit = UnixNanos::MAX.0;
            UnixNanos::new(value).ok_or(ValueError::TooLarge { value, limit })
        })
    }

    fn uint(&mut self, key: &'static str) -> Result<u64, DecodeError> {
        self.take(key, Reader::uint)
    }

    fn price(&mut self, key: &'static str) -> Result<Price, DecodeError> {
        self.take(key, |reader| Price::checked(reader.number()?))
    }

    fn text(&mut self, key: &'static str) -> Result<Text, DecodeError> {
        self.take(key, |reader| Text::new(reader.str()?))
    }

    fn conditions(&mut self, key: &'static str) -> Result<Conditions, DecodeError> {
        self.take(key, Reader::conditions)
    }
}

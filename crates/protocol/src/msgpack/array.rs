//! Ticks as MessagePack arrays: fields by position, to which later versions may only append.
//!
//! Source: `docs/protocol/ticks.md`, section "Encodings".

use super::{Reader, write_array_len, write_price, write_str, write_uint};
use crate::control::POSITION;
use crate::fields::{self, FieldReader, FieldWriter};
use crate::{
    Channel, Conditions, DecodeError, Price, Seq, Symbol, Text, Tick, UnixNanos, ValueError,
};

/// Appends a tick as an array.
pub(crate) fn write_tick(tick: &Tick, out: &mut Vec<u8>) {
    let channel = tick.channel();
    out.push(0x90 | fields::count(channel)); // a fixarray: no kind has more than 15 fields
    out.push(0xa1); // a fixstr of one byte
    out.extend_from_slice(channel.letter().as_bytes());
    fields::write(tick, &mut ArrayFieldWriter { out });
}

/// Appends a position element, which ends a data message: `["p", 7]`.
pub(crate) fn write_position(position: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x92\xa1p");
    write_uint(out, position);
}

struct ArrayFieldWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl ArrayFieldWriter<'_> {
    fn str(&mut self, value: &str) {
        write_str(self.out, value);
    }
}

impl FieldWriter for ArrayFieldWriter<'_> {
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

/// An element that is an array.
pub(crate) enum ArrayElement {
    Tick(Tick),
    Position(u64),
}

/// Reads one element, and ignores the fields after those that are known.
pub(crate) fn read_element(reader: &mut Reader<'_>) -> Result<ArrayElement, DecodeError> {
    let len = reader.array_len().map_err(DecodeError::message)?;
    if len == 0 {
        return Err(DecodeError::missing("", "T"));
    }
    let letter = reader.str().map_err(|problem| DecodeError::field("", "T", problem))?;
    let channel = Channel::from_letter(letter);
    if channel.is_none() && letter != POSITION {
        return Err(DecodeError::field("", "T", ValueError::unknown_kind(letter)));
    }
    let kind = channel.map_or(POSITION, Channel::letter);
    let mut remaining = ArrayFieldReader { reader, kind, left: len - 1 };
    let element = match channel {
        Some(channel) => ArrayElement::Tick(fields::read(channel, &mut remaining)?),
        None => ArrayElement::Position(remaining.uint("pos")?),
    };
    for _ in 0..remaining.left {
        remaining.reader.skip().map_err(|problem| DecodeError::field(kind, "", problem))?;
    }
    Ok(element)
}

struct ArrayFieldReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    kind: &'static str,
    /// Number of fields of the element that have not been read.
    left: usize,
}

impl<'a> ArrayFieldReader<'_, 'a> {
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

impl FieldReader for ArrayFieldReader<'_, '_> {
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
            UnixNanos::new(value).ok_or(ValueError::TooLarge { value, limit, unit: "ns" })
        })
    }

    fn uint(&mut self, key: &'static str) -> Result<u64, DecodeError> {
        self.take(key, Reader::uint)
    }

    fn price(&mut self, key: &'static str) -> Result<Price, DecodeError> {
        self.take(key, |reader| Price::from_wire(reader.number()?))
    }

    fn text(&mut self, key: &'static str) -> Result<Text, DecodeError> {
        self.take(key, |reader| Text::new(reader.str()?))
    }

    fn conditions(&mut self, key: &'static str) -> Result<Conditions, DecodeError> {
        self.take(key, Reader::conditions)
    }
}

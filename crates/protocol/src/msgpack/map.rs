//! Ticks as MessagePack maps: the keys of the JSON objects, `T` first, times as the timestamp
//! extension (type -1). Alpaca's stream and its SDKs use this form.
//!
//! Source: `docs/protocol/ticks.md`, section "Encodings".

use super::{Reader, write_array_len, write_price, write_str, write_uint};
use crate::fields::{self, FieldReader, FieldWriter};
use crate::{
    Channel, Conditions, DecodeError, Price, Seq, Symbol, Text, Tick, UnixNanos, ValueError,
};

/// Appends a tick as a map. A tick that is not numbered yet has no `seq`.
pub(crate) fn write_tick(tick: &Tick, out: &mut Vec<u8>) {
    let channel = tick.channel();
    let fields = fields::count(channel) - u8::from(tick.seq.0 == 0);
    out.extend_from_slice(&[0x80 | fields, 0xa1, b'T', 0xa1]); // a fixmap: at most 15 fields
    out.extend_from_slice(channel.letter().as_bytes());
    fields::write(tick, &mut MapFieldWriter { out });
}

struct MapFieldWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl MapFieldWriter<'_> {
    /// Appends a key. Keys are constants of one to three bytes, so an inlined call is one store.
    #[inline]
    fn key(&mut self, key: &'static str) {
        match *key.as_bytes() {
            [only] => self.out.extend_from_slice(&[0xa1, only]),
            [first, second] => self.out.extend_from_slice(&[0xa2, first, second]),
            _ => write_str(self.out, key),
        }
    }
}

impl FieldWriter for MapFieldWriter<'_> {
    fn symbol(&mut self, key: &'static str, value: &Symbol) {
        self.key(key);
        write_str(self.out, value.as_str());
    }

    fn seq(&mut self, value: Seq) {
        if value.0 != 0 {
            self.out.extend_from_slice(b"\xa3seq");
            write_uint(self.out, value.0);
        }
    }

    fn time(&mut self, key: &'static str, value: UnixNanos) {
        self.key(key);
        write_time(self.out, value);
    }

    fn uint(&mut self, key: &'static str, value: u64) {
        self.key(key);
        write_uint(self.out, value);
    }

    fn price(&mut self, key: &'static str, value: Price) {
        self.key(key);
        write_price(self.out, value);
    }

    fn text(&mut self, key: &'static str, value: &Text) {
        self.key(key);
        write_str(self.out, value.as_str());
    }

    fn conditions(&mut self, key: &'static str, value: &Conditions) {
        self.key(key);
        write_array_len(self.out, value.len());
        for code in value.iter() {
            write_str(self.out, code);
        }
    }
}

/// Appends a time as a timestamp extension: 4 bytes for whole seconds until 2106, 8 bytes
/// otherwise. The form of 12 bytes is for times after 2514, which [`UnixNanos`] does not reach.
fn write_time(out: &mut Vec<u8>, time: UnixNanos) {
    let nanos = time.0.min(UnixNanos::MAX.0);
    let seconds = nanos / NANOS_PER_SECOND;
    let fraction = nanos % NANOS_PER_SECOND;
    match u32::try_from(seconds) {
        Ok(seconds) if fraction == 0 => {
            out.extend_from_slice(b"\xd6\xff");
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        _ => {
            out.extend_from_slice(b"\xd7\xff");
            out.extend_from_slice(&(fraction << 34 | seconds).to_be_bytes());
        }
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Longest key of a tick, in bytes; it is `seq`.
const KEY_BYTES_MAX: usize = 3;
/// Maximum number of keys of an element that are considered; the largest kind of tick has 14.
const KEYS_MAX: usize = 32;

/// An index of one element: its keys that may belong to a tick, each with the bytes from its value
/// on. It is reused from element to element to save allocations.
#[derive(Debug, Default)]
pub(crate) struct MapIndex<'a> {
    entries: Vec<(&'a str, &'a [u8])>,
}

impl<'a> MapIndex<'a> {
    /// Indexes the map that comes next in `reader`.
    pub(crate) fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), ValueError> {
        self.entries.clear();
        for _ in 0..reader.map_len()? {
            if !reader.at_str() {
                reader.skip()?; // a key that is not a string
                reader.skip()?;
                continue;
            }
            let key = reader.str()?;
            let value = reader.rest();
            reader.skip()?;
            if key.len() <= KEY_BYTES_MAX && self.entries.len() < KEYS_MAX {
                self.entries.push((key, value));
            }
        }
        Ok(())
    }

    /// Returns a reader at the value of `key`, if the element has that key.
    pub(crate) fn value(&self, key: &str) -> Option<Reader<'a>> {
        let (_, value) = self.entries.iter().find(|(candidate, _)| *candidate == key)?;
        Some(Reader::new(value))
    }

    /// Returns the type of the element, its `T`.
    pub(crate) fn kind(&self) -> Result<&'a str, DecodeError> {
        let kind = self.value("T").ok_or(ValueError::Missing).and_then(|mut value| value.str());
        kind.map_err(|problem| DecodeError::field("", "T", problem))
    }

    /// Decodes the element as a tick of `channel`. If `lenient`, optional fields may be absent
    /// ([`fields::is_optional`]).
    pub(crate) fn tick(&self, channel: Channel, lenient: bool) -> Result<Tick, DecodeError> {
        fields::read(channel, &mut MapFieldReader { index: self, kind: channel.letter(), lenient })
    }
}

struct MapFieldReader<'i, 'a> {
    index: &'i MapIndex<'a>,
    kind: &'static str,
    lenient: bool,
}

impl<'a> MapFieldReader<'_, 'a> {
    fn may_be_absent(&self, key: &str) -> bool {
        self.lenient && fields::is_optional(key)
    }

    fn take<V: Default>(
        &self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<V, ValueError>,
    ) -> Result<V, DecodeError> {
        let value = match self.index.value(key) {
            None if self.may_be_absent(key) => Ok(V::default()),
            Some(value) if value.at_nil() && self.may_be_absent(key) => Ok(V::default()),
            Some(mut value) => read(&mut value),
            None => Err(ValueError::Missing),
        };
        value.map_err(|problem| DecodeError::field(self.kind, key, problem))
    }
}

impl FieldReader for MapFieldReader<'_, '_> {
    fn symbol(&mut self, key: &'static str) -> Result<Symbol, DecodeError> {
        let value = self.index.value(key).ok_or(ValueError::Missing);
        value
            .and_then(|mut value| Symbol::new(value.str()?))
            .map_err(|problem| DecodeError::field(self.kind, key, problem))
    }

    fn seq(&mut self) -> Result<Seq, DecodeError> {
        match self.index.value("seq") {
            Some(_) => self.take("seq", Reader::uint).map(Seq),
            None => Ok(Seq(0)),
        }
    }

    fn time(&mut self, key: &'static str) -> Result<UnixNanos, DecodeError> {
        self.take(key, |value| if value.at_str() { value.str()?.parse() } else { value.time() })
    }

    fn uint(&mut self, key: &'static str) -> Result<u64, DecodeError> {
        self.take(key, Reader::uint)
    }

    fn price(&mut self, key: &'static str) -> Result<Price, DecodeError> {
        self.take(key, |value| Price::from_wire(value.number()?))
    }

    fn text(&mut self, key: &'static str) -> Result<Text, DecodeError> {
        self.take(key, |value| Text::new(value.str()?))
    }

    fn conditions(&mut self, key: &'static str) -> Result<Conditions, DecodeError> {
        self.take(key, Reader::conditions)
    }
}

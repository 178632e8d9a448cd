//! Ticks as MessagePack maps: the keys of the JSON objects, `T` first, times as the timestamp
//! extension (type -1).

use crate::channel::Channel;
use crate::fields::{self, Sink, Source};
use crate::msgpack::{self, Reader, write_array_len, write_str, write_uint};
use crate::{Conditions, DecodeError, Price, Seq, Symbol, Text, Tick, UnixNanos, ValueError};

/// Appends one element. A tick that has no number yet has no `seq`.
pub(crate) fn write_tick(tick: &Tick, out: &mut Vec<u8>) {
    let channel = tick.channel();
    let fields = fields::count(channel) - u8::from(tick.seq.0 == 0);
    out.extend_from_slice(&[0x80 | fields, 0xa1, b'T', 0xa1]); // fixmap: at most 15 fields
    out.extend_from_slice(channel.letter().as_bytes());
    fields::write(tick, &mut MapSink { out });
}

struct MapSink<'a> {
    out: &'a mut Vec<u8>,
}

impl MapSink<'_> {
    /// Keys are constants of one to three bytes: inlined, this is one store.
    #[inline]
    fn key(&mut self, key: &'static str) {
        match *key.as_bytes() {
            [only] => self.out.extend_from_slice(&[0xa1, only]),
            [first, second] => self.out.extend_from_slice(&[0xa2, first, second]),
            _ => write_str(self.out, key),
        }
    }
}

impl Sink for MapSink<'_> {
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
        msgpack::write_price(self.out, value);
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

/// Appends a time in the shorter form that holds it: 4 bytes of seconds, or 8 with nanoseconds.
/// Times end in 2262, so that the form of 12 bytes, for years beyond 2514, is never needed.
fn write_time(out: &mut Vec<u8>, time: UnixNanos) {
    let nanos = time.0.min(UnixNanos::MAX.0);
    let (seconds, fraction) = (nanos / NANOS, nanos % NANOS);
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

const NANOS: u64 = 1_000_000_000;

/// Longest key of a tick, in bytes: `seq`.
const KEY_BYTES_MAX: usize = 3;
/// So many keys of an element are looked at; the kind with the most has 14.
const KEYS_MAX: usize = 32;

/// The keys of one element that may be a tick's, and where their values begin. Kept from element to
/// element for its memory.
#[derive(Debug, Default)]
pub(crate) struct Keys<'a> {
    found: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Keys<'a> {
    /// Takes the map that comes next.
    pub(crate) fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), ValueError> {
        self.found.clear();
        for _ in 0..reader.map_len()? {
            if !reader.at_str() {
                reader.skip()?; // a key that is not ours
                reader.skip()?;
                continue;
            }
            let key = reader.str()?;
            let value = reader.rest();
            reader.skip()?;
            if key.len() <= KEY_BYTES_MAX && self.found.len() < KEYS_MAX {
                self.found.push((key, value));
            }
        }
        Ok(())
    }

    pub(crate) fn value(&self, key: &str) -> Option<Reader<'a>> {
        let (_, value) = self.found.iter().find(|(found, _)| *found == key)?;
        Some(Reader::new(value))
    }

    /// The element's `T`.
    pub(crate) fn kind(&self) -> Result<&'a str, DecodeError> {
        let kind = self.value("T").ok_or(ValueError::Missing).and_then(|mut value| value.str());
        kind.map_err(|problem| DecodeError::field("", "T", problem))
    }

    /// Reads them as a tick; `lenient`: see [`fields::is_optional`].
    pub(crate) fn tick(&self, channel: Channel, lenient: bool) -> Result<Tick, DecodeError> {
        fields::read(channel, &mut MapSource { keys: self, kind: channel.letter(), lenient })
    }
}

struct MapSource<'k, 'a> {
    keys: &'k Keys<'a>,
    kind: &'static str,
    lenient: bool,
}

impl<'a> MapSource<'_, 'a> {
    fn may_lack(&self, key: &str) -> bool {
        self.lenient && fields::is_optional(key)
    }

    fn take<V: Default>(
        &self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<V, ValueError>,
    ) -> Result<V, DecodeError> {
        let value = match self.keys.value(key) {
            None if self.may_lack(key) => Ok(V::default()),
            Some(value) if value.at_nil() && self.may_lack(key) => Ok(V::default()),
            Some(mut value) => read(&mut value),
            None => Err(ValueError::Missing),
        };
        value.map_err(|problem| DecodeError::field(self.kind, key, problem))
    }
}

impl Source for MapSource<'_, '_> {
    fn symbol(&mut self, key: &'static str) -> Result<Symbol, DecodeError> {
        let value = self.keys.value(key).ok_or(ValueError::Missing);
        value
            .and_then(|mut value| Symbol::new(value.str()?))
            .map_err(|problem| DecodeError::field(self.kind, key, problem))
    }

    fn seq(&mut self) -> Result<Seq, DecodeError> {
        match self.keys.value("seq") {
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
        self.take(key, |value| Price::checked(value.number()?))
    }

    fn text(&mut self, key: &'static str) -> Result<Text, DecodeError> {
        self.take(key, |value| Text::new(value.str()?))
    }

    fn conditions(&mut self, key: &'static str) -> Result<Conditions, DecodeError> {
        self.take(key, Reader::conditions)
    }
}

//! Ticks as JSON objects (RFC 8259). The bytes are the same on every endpoint.
//!
//! Source: `docs/protocol/ticks.md`.

use serde_json::{Map, Value};

use crate::fields::{self, FieldReader, FieldWriter};
use crate::{
    Channel, Conditions, DecodeError, Price, Seq, Symbol, Text, Tick, UnixNanos, ValueError,
};

/// Appends a tick as an object. A tick that is not numbered yet has no `seq`.
pub(crate) fn write_tick(tick: &Tick, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"T\":\"");
    out.extend_from_slice(tick.channel().letter().as_bytes());
    out.push(b'"');
    fields::write(tick, &mut ObjectWriter { out });
    out.push(b'}');
}

/// Appends a tick as an object without its fields `T` and `S`.
pub(crate) fn write_tick_without_symbol(tick: &Tick, out: &mut Vec<u8>) {
    let start = out.len();
    write_tick(tick, out);
    // The omitted fields come first: {"T":"t","S":"AAPL",
    let omitted_bytes = br#""T":"t","S":"","#.len() + tick.symbol.as_bytes().len();
    out.drain(start + 1..start + 1 + omitted_bytes);
}

/// Appends a position element, which ends a data message: `{"T":"p","pos":7}`.
pub(crate) fn write_position(position: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"T\":\"p\",\"pos\":");
    out.extend_from_slice(itoa::Buffer::new().format(position).as_bytes());
    out.push(b'}');
}

struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl ObjectWriter<'_> {
    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

impl FieldWriter for ObjectWriter<'_> {
    fn symbol(&mut self, key: &'static str, value: &Symbol) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    fn seq(&mut self, value: Seq) {
        if value.0 != 0 {
            self.uint("seq", value.0);
        }
    }

    fn time(&mut self, key: &'static str, value: UnixNanos) {
        self.key(key);
        self.out.push(b'"');
        value.write_rfc3339(self.out);
        self.out.push(b'"');
    }

    fn uint(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn price(&mut self, key: &'static str, value: Price) {
        self.key(key);
        value.write_decimal(self.out);
    }

    fn text(&mut self, key: &'static str, value: &Text) {
        self.key(key);
        write_str(self.out, value.as_str());
    }

    fn conditions(&mut self, key: &'static str, value: &Conditions) {
        self.key(key);
        self.out.push(b'[');
        for (index, code) in value.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write_str(self.out, code);
        }
        self.out.push(b']');
    }
}

/// Appends a string in quotes, escaped where JSON requires it.
pub(crate) fn write_str(out: &mut Vec<u8>, value: &str) {
    // Writing a string to a vector cannot fail.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

/// Decodes a tick that must have all of its fields.
pub(crate) fn read_tick(element: &Map<String, Value>) -> Result<Tick, DecodeError> {
    read_tick_as(element, false)
}

/// Decodes a tick. If `lenient`, optional fields may be absent ([`fields::is_optional`]).
pub(crate) fn read_tick_as(
    element: &Map<String, Value>,
    lenient: bool,
) -> Result<Tick, DecodeError> {
    let letter = kind(element)?;
    let Some(channel) = Channel::from_letter(letter) else {
        return Err(DecodeError::field("", "T", ValueError::unknown_kind(letter)));
    };
    fields::read(channel, &mut ObjectReader { element, kind: channel.letter(), lenient })
}

/// Returns the type of an element, its `T`.
pub(crate) fn kind(element: &Map<String, Value>) -> Result<&str, DecodeError> {
    let kind = element.get("T").ok_or(ValueError::Missing).and_then(string);
    kind.map_err(|problem| DecodeError::field("", "T", problem))
}

/// Returns the elements of a message. A message may also be one object outside an array.
pub(crate) fn elements(text: &[u8]) -> Result<Vec<Value>, DecodeError> {
    match serde_json::from_slice(text) {
        Ok(Value::Array(elements)) => Ok(elements),
        Ok(element @ Value::Object(_)) => Ok(vec![element]),
        Ok(other) => Err(DecodeError::message(mismatch("an array", &other))),
        Err(error) => Err(DecodeError::message(ValueError::Invalid(error.to_string()))),
    }
}

struct ObjectReader<'a> {
    element: &'a Map<String, Value>,
    kind: &'static str,
    lenient: bool,
}

impl<'a> ObjectReader<'a> {
    fn take<V: Default>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a Value) -> Result<V, ValueError>,
    ) -> Result<V, DecodeError> {
        let value = match self.element.get(key) {
            None | Some(Value::Null) if self.lenient && fields::is_optional(key) => {
                Ok(V::default())
            }
            Some(value) => read(value),
            None => Err(ValueError::Missing),
        };
        value.map_err(|problem| DecodeError::field(self.kind, key, problem))
    }
}

impl FieldReader for ObjectReader<'_> {
    fn symbol(&mut self, key: &'static str) -> Result<Symbol, DecodeError> {
        let value = self.element.get(key).ok_or(ValueError::Missing);
        value
            .and_then(|value| Symbol::new(string(value)?))
            .map_err(|problem| DecodeError::field(self.kind, key, problem))
    }

    fn seq(&mut self) -> Result<Seq, DecodeError> {
        if self.element.contains_key("seq") { self.uint("seq").map(Seq) } else { Ok(Seq(0)) }
    }

    fn time(&mut self, key: &'static str) -> Result<UnixNanos, DecodeError> {
        self.take(key, |value| string(value)?.parse())
    }

    fn uint(&mut self, key: &'static str) -> Result<u64, DecodeError> {
        self.take(key, |value| value.as_u64().ok_or_else(|| mismatch("an unsigned integer", value)))
    }

    fn price(&mut self, key: &'static str) -> Result<Price, DecodeError> {
        self.take(key, |value| {
            Price::from_wire(value.as_f64().ok_or_else(|| mismatch("a number", value))?)
        })
    }

    fn text(&mut self, key: &'static str) -> Result<Text, DecodeError> {
        self.take(key, |value| Text::new(string(value)?))
    }

    fn conditions(&mut self, key: &'static str) -> Result<Conditions, DecodeError> {
        self.take(key, |value| match value {
            Value::Null => Ok(Conditions::default()),
            Value::Array(codes) => {
                Conditions::check_count(codes.len())?;
                let mut conditions = Conditions::default();
                for code in codes {
                    conditions.push(string(code)?)?;
                }
                Ok(conditions)
            }
            other => Err(mismatch("an array of strings", other)),
        })
    }
}

fn string(value: &Value) -> Result<&str, ValueError> {
    value.as_str().ok_or_else(|| mismatch("a string", value))
}

/// Returns the error for a value of another type than `expected`.
pub(crate) fn mismatch(expected: &'static str, found: &Value) -> ValueError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ValueError::Type { expected, found }
}

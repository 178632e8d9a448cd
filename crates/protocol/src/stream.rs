//! Reads what a server says that is like Alpaca's, as it comes.

use serde_json::Value;

use crate::envelope::Envelope;
use crate::map::Keys;
use crate::msgpack::{self, Array, Reader};
use crate::{Channel, Control, DecodeError, Element, Encoding, ValueError, json};

/// So many elements of a message may be unreadable; with more of them none of it is taken.
const ERRORS_MAX: usize = 100;
/// The control elements that are known; all others are passed over.
const CONTROLS: [&str; 3] = ["success", "error", "subscription"];

/// Reads a message of an Alpaca-like server: one bad element loses only itself, and elements of
/// unknown types are passed over.
///
/// Lenient where such servers differ: text, conditions, ids (`i`, `oi`, `ci`), the number of trades
/// (`n`) and the average price (`vw`) may be absent or null; MessagePack times may be strings. A tick
/// that is larger than [`TICK_BYTES_MAX`](crate::TICK_BYTES_MAX) is a bad element.
///
/// # Errors
/// If the message is no array, is cut short, or has more than 100 bad elements.
pub fn decode_alpaca_stream(
    bytes: &[u8],
    encoding: Encoding,
) -> Result<Vec<Result<Element, DecodeError>>, DecodeError> {
    let mut decoded = Decoded::default();
    if encoding == Encoding::Json {
        for element in json::elements(bytes)? {
            decoded.add(json_element(element))?;
        }
        return Ok(decoded.elements);
    }
    let (mut reader, mut keys) = (Reader::new(bytes), Keys::default());
    for _ in 0..reader.array_len().map_err(DecodeError::message)? {
        let element = reader.value().map_err(DecodeError::message)?;
        decoded.add(msgpack_element(element, &mut keys))?;
    }
    match reader.rest().len() {
        0 => Ok(decoded.elements),
        left => Err(DecodeError::message(ValueError::Trailing(left))),
    }
}

#[derive(Default)]
struct Decoded {
    elements: Vec<Result<Element, DecodeError>>,
    index: usize,
    errors: usize,
}

impl Decoded {
    fn add(&mut self, element: Result<Option<Element>, DecodeError>) -> Result<(), DecodeError> {
        let element = element.and_then(checked).map_err(|error| error.at(self.index));
        self.index += 1;
        if let Err(error) = &element {
            if self.errors == ERRORS_MAX {
                return Err(error.clone());
            }
            self.errors += 1;
        }
        self.elements.extend(element.transpose());
        Ok(())
    }
}

fn checked(element: Option<Element>) -> Result<Option<Element>, DecodeError> {
    if let Some(Element::Tick(tick)) = &element {
        let kind = tick.channel().letter();
        tick.check_size().map_err(|problem| DecodeError::field(kind, "", problem))?;
    }
    Ok(element)
}

fn json_element(element: Value) -> Result<Option<Element>, DecodeError> {
    let Value::Object(map) = &element else {
        return Err(DecodeError::message(json::mismatch("an object", &element)));
    };
    let kind = json::kind(map)?;
    if Channel::from_letter(kind).is_some() {
        return json::read(map, true).map(|tick| Some(Element::Tick(tick)));
    }
    if !CONTROLS.contains(&kind) {
        return Ok(None);
    }
    control(Envelope::from_value(element)?)
}

fn msgpack_element<'a>(
    element: &'a [u8],
    keys: &mut Keys<'a>,
) -> Result<Option<Element>, DecodeError> {
    let mut reader = Reader::new(element);
    if reader.at_array() {
        return msgpack::read_array(&mut reader).map(|array| match array {
            Array::Tick(tick) => Some(Element::Tick(tick)),
            Array::Position(_) => None,
        });
    }
    keys.read(&mut reader).map_err(DecodeError::message)?;
    let kind = keys.kind()?;
    if let Some(channel) = Channel::from_letter(kind) {
        return keys.tick(channel, true).map(|tick| Some(Element::Tick(tick)));
    }
    if !CONTROLS.contains(&kind) {
        return Ok(None);
    }
    control(Envelope::from_msgpack(element)?)
}

fn control(map: Envelope) -> Result<Option<Element>, DecodeError> {
    Ok(Control::from_envelope(map)?.map(Element::Control))
}

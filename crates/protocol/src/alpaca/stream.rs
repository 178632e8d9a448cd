//! Messages of servers that speak Alpaca's protocol.

use serde_json::Value;

use crate::msgpack::Reader;
use crate::msgpack::array::{self, ArrayElement};
use crate::msgpack::map::MapIndex;
use crate::wire_map::WireMap;
use crate::{Channel, Control, DecodeError, Element, Encoding, ValueError, json};

/// Maximum number of malformed elements of a message; with more of them the whole message is
/// rejected.
const ERRORS_MAX: usize = 100;
/// The types of control elements that are decoded. All others are ignored.
const CONTROL_KINDS: [&str; 3] = ["success", "error", "subscription"];

/// Decodes a message of a server that speaks Alpaca's stock stream. A malformed element does not
/// affect the others, and elements of unknown types are ignored.
///
/// Decoding is lenient, because such servers differ from each other: texts, conditions, ids (`i`,
/// `oi`, `ci`), the number of trades (`n`) and the average price (`vw`) may be absent or null, and
/// times in MessagePack may be strings. A tick larger than
/// [`TICK_BYTES_MAX`](crate::TICK_BYTES_MAX) counts as malformed. Source:
/// <https://docs.alpaca.markets/docs/real-time-stock-pricing-data>.
///
/// # Errors
/// Fails if the message is not an array, is truncated, or has more than 100 malformed elements.
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
    let mut reader = Reader::new(bytes);
    let mut index = MapIndex::default();
    for _ in 0..reader.array_len().map_err(DecodeError::message)? {
        let element = reader.value().map_err(DecodeError::message)?;
        decoded.add(msgpack_element(element, &mut index))?;
    }
    match reader.rest().len() {
        0 => Ok(decoded.elements),
        left => Err(DecodeError::message(ValueError::Trailing(left))),
    }
}

/// The elements of a message decoded so far.
#[derive(Default)]
struct Decoded {
    elements: Vec<Result<Element, DecodeError>>,
    /// Index of the next element in the message.
    index: usize,
    /// Number of malformed elements.
    errors: usize,
}

impl Decoded {
    fn add(&mut self, element: Result<Option<Element>, DecodeError>) -> Result<(), DecodeError> {
        let element = element.and_then(check_size).map_err(|error| error.in_element(self.index));
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

fn check_size(element: Option<Element>) -> Result<Option<Element>, DecodeError> {
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
        return json::read_tick_as(map, true).map(|tick| Some(Element::Tick(tick)));
    }
    if !CONTROL_KINDS.contains(&kind) {
        return Ok(None);
    }
    control(WireMap::from_value(element)?)
}

fn msgpack_element<'a>(
    element: &'a [u8],
    index: &mut MapIndex<'a>,
) -> Result<Option<Element>, DecodeError> {
    let mut reader = Reader::new(element);
    if reader.at_array() {
        return array::read_element(&mut reader).map(|element| match element {
            ArrayElement::Tick(tick) => Some(Element::Tick(tick)),
            ArrayElement::Position(_) => None,
        });
    }
    index.read(&mut reader).map_err(DecodeError::message)?;
    let kind = index.kind()?;
    if let Some(channel) = Channel::from_letter(kind) {
        return index.tick(channel, true).map(|tick| Some(Element::Tick(tick)));
    }
    if !CONTROL_KINDS.contains(&kind) {
        return Ok(None);
    }
    control(WireMap::from_msgpack(element)?)
}

fn control(map: WireMap) -> Result<Option<Element>, DecodeError> {
    Ok(Control::from_map(map)?.map(Element::Control))
}

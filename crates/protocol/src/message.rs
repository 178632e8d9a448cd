//! Decodes messages: arrays of elements, which are ticks or control elements.

use serde_json::Value;

use crate::command::check_publisher_text;
use crate::control::POSITION;
use crate::msgpack::Reader;
use crate::msgpack::array::{self, ArrayElement};
use crate::msgpack::map::MapIndex;
use crate::wire_map::WireMap;
use crate::{Channel, Control, DecodeError, Encoding, Tick, ValueError, json};

/// An element of a message from the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A tick.
    Tick(Tick),
    /// A control element.
    Control(Control),
}

/// A data message of a publisher.
///
/// See `docs/protocol/publisher.md`, section "Acknowledged publishing".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishedMessage {
    /// The ticks. Their sequence numbers have no meaning; the hub numbers them.
    pub ticks: Vec<Tick>,
    /// The place in the publisher's source after these ticks, from which it continues after a
    /// restart: 1 to 64 bytes. `None` if the message carries no mark.
    pub mark: Option<String>,
    /// Number of ticks that the source dropped before these.
    pub lost: u64,
}

/// Decodes a message from the hub. Control elements of unknown types are ignored.
///
/// # Errors
/// Fails if the message is malformed. The error names the element and the field that is wrong, and
/// what is allowed.
pub fn decode_message(bytes: &[u8], encoding: Encoding) -> Result<Vec<Element>, DecodeError> {
    let mut elements = Vec::new();
    decode_elements(bytes, encoding, |element| {
        match element {
            RawElement::Tick(tick) => elements.push(Element::Tick(tick)),
            RawElement::Position(pos) => {
                elements.push(Element::Control(Control::Position { pos }));
            }
            RawElement::Map(map) => {
                elements.extend(Control::from_map(*map)?.map(Element::Control));
            }
        }
        Ok(())
    })?;
    Ok(elements)
}

/// Decodes a message that consists of ticks only.
///
/// # Errors
/// Fails if the message is malformed or contains a control element. The error names the element and
/// the field that is wrong, and what is allowed.
pub fn decode_ticks(bytes: &[u8], encoding: Encoding) -> Result<Vec<Tick>, DecodeError> {
    let mut ticks = Vec::new();
    decode_elements(bytes, encoding, |element| match element {
        RawElement::Tick(tick) => {
            ticks.push(tick);
            Ok(())
        }
        RawElement::Position(_) => Err(unknown(Some(POSITION))),
        RawElement::Map(map) => Err(unknown(map.kind.as_deref())),
    })?;
    Ok(ticks)
}

/// Decodes a data message of a publisher. A message in JSON may also be one element outside an
/// array.
///
/// # Errors
/// Fails if the message is malformed, has more than `ticks_max` ticks, or a tick that is larger
/// than [`TICK_BYTES_MAX`](crate::TICK_BYTES_MAX). The error names the element and the field that
/// is wrong, and what is allowed.
pub fn decode_publish(
    bytes: &[u8],
    encoding: Encoding,
    ticks_max: usize,
) -> Result<PublishedMessage, DecodeError> {
    let mut published = PublishedMessage::default();
    decode_elements(bytes, encoding, |element| match element {
        RawElement::Tick(_) if has_trailer(&published) => Err(misplaced()),
        RawElement::Tick(tick) => {
            ValueError::check_len(published.ticks.len() + 1, ticks_max, "ticks")
                .map_err(DecodeError::message)?;
            let kind = tick.channel().letter();
            tick.check_size().map_err(|problem| DecodeError::field(kind, "", problem))?;
            published.ticks.push(tick);
            Ok(())
        }
        RawElement::Map(map) if map.kind.as_deref() == Some("mark") => {
            if published.mark.is_some() {
                return Err(misplaced());
            }
            let mark = map.mark.ok_or_else(|| DecodeError::missing("mark", "mark"))?;
            check_publisher_text("mark", &mark)?;
            published.mark = Some(mark);
            Ok(())
        }
        RawElement::Map(map) if map.kind.as_deref() == Some("lost") => {
            let ticks = map.ticks.ok_or_else(|| DecodeError::missing("lost", "ticks"))?;
            published.lost = published.lost.saturating_add(ticks);
            Ok(())
        }
        RawElement::Position(_) => Err(unknown(Some(POSITION))),
        RawElement::Map(map) => Err(unknown(map.kind.as_deref())),
    })?;
    Ok(published)
}

/// Returns whether a mark or a lost element has been read. Ticks must precede both.
const fn has_trailer(published: &PublishedMessage) -> bool {
    published.mark.is_some() || published.lost > 0
}

fn misplaced() -> DecodeError {
    let problem =
        "not allowed here: ticks precede the mark and lost elements, and there is one mark";
    DecodeError::message(ValueError::Invalid(problem.to_owned()))
}

/// Creates the error for an element whose type is unknown, or absent.
fn unknown(kind: Option<&str>) -> DecodeError {
    let problem = kind.map_or(ValueError::Missing, ValueError::unknown_kind);
    DecodeError::field("", "T", problem)
}

/// An element after the first step of decoding: ticks and positions are complete, while other
/// control elements are maps whose fields have not been checked.
enum RawElement {
    Tick(Tick),
    Position(u64),
    /// A control element of any type, as a map.
    Map(Box<WireMap>),
}

/// Decodes a message and calls `each` with its elements. Errors carry the index of the element.
fn decode_elements(
    bytes: &[u8],
    encoding: Encoding,
    mut each: impl FnMut(RawElement) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match encoding {
        Encoding::Json => json_elements(bytes, &mut each),
        Encoding::MsgpackArray => {
            msgpack_elements(bytes, &mut each, |reader| match reader.at_map() {
                true => control_map(reader),
                false => array_element(reader),
            })
        }
        Encoding::MsgpackMap => {
            let mut index = MapIndex::default();
            msgpack_elements(bytes, &mut each, |reader| map_element(reader, &mut index))
        }
    }
}

fn msgpack_elements<'a>(
    bytes: &'a [u8],
    each: &mut impl FnMut(RawElement) -> Result<(), DecodeError>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<RawElement, DecodeError>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    let len = reader.array_len().map_err(DecodeError::message)?;
    for index in 0..len {
        read(&mut reader).and_then(&mut *each).map_err(|error| error.in_element(index))?;
    }
    match reader.rest().len() {
        0 => Ok(()),
        left => Err(DecodeError::message(ValueError::Trailing(left))),
    }
}

fn array_element(reader: &mut Reader<'_>) -> Result<RawElement, DecodeError> {
    array::read_element(reader).map(|element| match element {
        ArrayElement::Tick(tick) => RawElement::Tick(tick),
        ArrayElement::Position(position) => RawElement::Position(position),
    })
}

fn control_map(reader: &mut Reader<'_>) -> Result<RawElement, DecodeError> {
    let map = reader.value().map_err(DecodeError::message)?;
    WireMap::from_msgpack(map).map(|map| RawElement::Map(Box::new(map)))
}

/// Reads a map, which may be a tick or a control element.
fn map_element<'a>(
    reader: &mut Reader<'a>,
    index: &mut MapIndex<'a>,
) -> Result<RawElement, DecodeError> {
    let mut element = Reader::new(reader.value().map_err(DecodeError::message)?);
    let whole = element.rest();
    index.read(&mut element).map_err(DecodeError::message)?;
    let kind = index.kind()?;
    if !is_tick(kind) {
        return WireMap::from_msgpack(whole).map(|map| RawElement::Map(Box::new(map)));
    }
    let channel = Channel::from_letter(kind).ok_or_else(|| unknown(Some(kind)))?;
    index.tick(channel, false).map(RawElement::Tick)
}

/// Returns whether the type of an element is that of a tick: any single letter but that of a
/// position.
fn is_tick(kind: &str) -> bool {
    kind.len() == 1 && kind != POSITION
}

fn json_elements(
    text: &[u8],
    each: &mut impl FnMut(RawElement) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    for (index, element) in json::elements(text)?.into_iter().enumerate() {
        json_element(element).and_then(&mut *each).map_err(|error| error.in_element(index))?;
    }
    Ok(())
}

fn json_element(element: Value) -> Result<RawElement, DecodeError> {
    let Value::Object(map) = &element else {
        return Err(DecodeError::message(json::mismatch("an object", &element)));
    };
    if matches!(map.get("T"), Some(Value::String(kind)) if is_tick(kind)) {
        return json::read_tick(map).map(RawElement::Tick);
    }
    WireMap::from_value(element).map(|map| RawElement::Map(Box::new(map)))
}

//! Whole messages: arrays of elements.

use serde_json::Value;

use crate::command::check_length;
use crate::control::POSITION;
use crate::envelope::Envelope;
use crate::map::Keys;
use crate::msgpack::{self, Array, Reader};
use crate::{Channel, Control, DecodeError, Encoding, Tick, ValueError, json};

/// What a message from the hub holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A tick.
    Tick(Tick),
    /// Something else the hub says.
    Control(Control),
}

/// A publisher's data message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishedMessage {
    /// The ticks, not numbered yet.
    pub ticks: Vec<Tick>,
    /// Where the publisher's source stands after them.
    pub mark: Option<String>,
    /// How many ticks its source dropped before them.
    pub lost: u64,
}

/// Builds one data message: ticks, and at its end perhaps a publisher's mark and what it lost, or
/// the hub's position.
///
/// Buffers are kept from message to message.
#[derive(Debug)]
pub struct MessageBuf {
    encoding: Encoding,
    bytes: Vec<u8>,
    elements: u16,
}

/// An array header of MessagePack that holds any count up to 65,535.
const ARRAY16: [u8; 3] = [0xdc, 0, 0];

impl MessageBuf {
    /// An empty message.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        let mut message = Self { encoding, bytes: Vec::new(), elements: 0 };
        message.clear();
        message
    }

    /// Starts the next message.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.elements = 0;
        match self.encoding {
            Encoding::Json => self.bytes.push(b'['),
            Encoding::MsgpackArray | Encoding::MsgpackMap => {
                self.bytes.extend_from_slice(&ARRAY16);
            }
        }
    }

    /// Adds a tick. A message holds 65,535 elements at most; senders stop long before.
    pub fn push(&mut self, tick: &Tick) {
        self.separate();
        self.encoding.write_tick(tick, &mut self.bytes);
    }

    /// Adds a mark: where the publisher's source stands behind the ticks before it.
    pub fn push_mark(&mut self, mark: &str) {
        self.separate();
        let element = Envelope { mark: Some(mark.to_owned()), ..Envelope::element("mark") };
        match self.encoding {
            Encoding::Json => element.write_json(&mut self.bytes),
            Encoding::MsgpackArray | Encoding::MsgpackMap => {
                element.write_msgpack(&mut self.bytes);
            }
        }
    }

    /// Adds how many ticks the publisher's source dropped before these.
    pub fn push_lost(&mut self, ticks: u64) {
        self.push_control(&Control::Lost { ticks });
    }

    /// Adds the position that ends a data message of the hub.
    pub fn push_position(&mut self, pos: u64) {
        self.push_control(&Control::Position { pos });
    }

    fn push_control(&mut self, control: &Control) {
        self.separate();
        control.write_element(self.encoding, &mut self.bytes);
    }

    fn separate(&mut self) {
        if self.encoding == Encoding::Json && self.elements > 0 {
            self.bytes.push(b',');
        }
        debug_assert!(self.elements < u16::MAX, "the array's header cannot count more");
        self.elements = self.elements.saturating_add(1);
    }

    /// Elements so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.elements as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// Length of the message so far, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Ends the message and shows it; [`MessageBuf::clear`] starts the next one.
    pub fn finish(&mut self) -> &[u8] {
        match self.encoding {
            Encoding::Json => self.bytes.push(b']'),
            Encoding::MsgpackArray | Encoding::MsgpackMap => {
                self.bytes[1..3].copy_from_slice(&self.elements.to_be_bytes());
            }
        }
        &self.bytes
    }
}

/// Reads a message from the hub. Control elements of unknown kinds are passed over.
///
/// # Errors
/// Says which field of which element was wrong.
pub fn decode_message(bytes: &[u8], encoding: Encoding) -> Result<Vec<Element>, DecodeError> {
    let mut elements = Vec::new();
    decode_elements(bytes, encoding, |found| {
        match found {
            Found::Tick(tick) => elements.push(Element::Tick(tick)),
            Found::Position(pos) => elements.push(Element::Control(Control::Position { pos })),
            Found::Map(map) => elements.extend(Control::from_envelope(*map)?.map(Element::Control)),
        }
        Ok(())
    })?;
    Ok(elements)
}

/// Reads a message that holds nothing but ticks.
///
/// # Errors
/// Says which field of which element was wrong.
pub fn decode_ticks(bytes: &[u8], encoding: Encoding) -> Result<Vec<Tick>, DecodeError> {
    let mut ticks = Vec::new();
    decode_elements(bytes, encoding, |found| match found {
        Found::Tick(tick) => {
            ticks.push(tick);
            Ok(())
        }
        Found::Position(_) => Err(unknown(Some(POSITION))),
        Found::Map(map) => Err(unknown(map.kind.as_deref())),
    })?;
    Ok(ticks)
}

/// Reads a publisher's data message. JSON may also be one element that stands alone.
///
/// # Errors
/// Says which field of which element was wrong; more than `ticks_max` ticks, and a tick larger than
/// [`TICK_BYTES_MAX`](crate::TICK_BYTES_MAX), are errors too.
pub fn decode_publish(
    bytes: &[u8],
    encoding: Encoding,
    ticks_max: usize,
) -> Result<PublishedMessage, DecodeError> {
    let mut published = PublishedMessage::default();
    decode_elements(bytes, encoding, |found| match found {
        Found::Tick(_) if ended(&published) => Err(follows()),
        Found::Tick(_) if published.ticks.len() == ticks_max => {
            let limit = ticks_max as u64;
            Err(DecodeError::message(ValueError::TooLarge { value: limit + 1, limit }))
        }
        Found::Tick(tick) => {
            let kind = tick.channel().letter();
            tick.check_size().map_err(|problem| DecodeError::field(kind, "", problem))?;
            published.ticks.push(tick);
            Ok(())
        }
        Found::Map(map) if map.kind.as_deref() == Some("mark") => {
            if published.mark.is_some() {
                return Err(follows());
            }
            let mark =
                map.mark.ok_or_else(|| DecodeError::field("mark", "mark", ValueError::Missing))?;
            check_length("mark", &mark)?;
            published.mark = Some(mark);
            Ok(())
        }
        Found::Map(map) if map.kind.as_deref() == Some("lost") => {
            let ticks = map.ticks;
            let ticks =
                ticks.ok_or_else(|| DecodeError::field("lost", "ticks", ValueError::Missing))?;
            published.lost = published.lost.saturating_add(ticks);
            Ok(())
        }
        Found::Position(_) => Err(unknown(Some(POSITION))),
        Found::Map(map) => Err(unknown(map.kind.as_deref())),
    })?;
    Ok(published)
}

const fn ended(published: &PublishedMessage) -> bool {
    published.mark.is_some() || published.lost > 0
}

fn follows() -> DecodeError {
    let problem = "a mark or what was lost ends its message, but this follows";
    DecodeError::message(ValueError::Invalid(problem.to_owned()))
}

fn unknown(kind: Option<&str>) -> DecodeError {
    let problem = kind.map_or(ValueError::Missing, ValueError::unknown_kind);
    DecodeError::field("", "T", problem)
}

enum Found {
    Tick(Tick),
    Position(u64),
    Map(Box<Envelope>),
}

fn decode_elements(
    bytes: &[u8],
    encoding: Encoding,
    mut each: impl FnMut(Found) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match encoding {
        Encoding::Json => json_elements(bytes, &mut each),
        Encoding::MsgpackArray => {
            msgpack_elements(bytes, &mut each, |reader| match reader.at_map() {
                true => envelope(reader),
                false => positional(reader),
            })
        }
        Encoding::MsgpackMap => {
            let mut keys = Keys::default();
            msgpack_elements(bytes, &mut each, |reader| keyed(reader, &mut keys))
        }
    }
}

fn msgpack_elements<'a>(
    bytes: &'a [u8],
    each: &mut impl FnMut(Found) -> Result<(), DecodeError>,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<Found, DecodeError>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    let len = reader.array_len().map_err(DecodeError::message)?;
    for index in 0..len {
        element(&mut reader).and_then(&mut *each).map_err(|error| error.at(index))?;
    }
    match reader.rest().len() {
        0 => Ok(()),
        left => Err(DecodeError::message(ValueError::Trailing(left))),
    }
}

fn positional(reader: &mut Reader<'_>) -> Result<Found, DecodeError> {
    msgpack::read_array(reader).map(|array| match array {
        Array::Tick(tick) => Found::Tick(tick),
        Array::Position(position) => Found::Position(position),
    })
}

fn envelope(reader: &mut Reader<'_>) -> Result<Found, DecodeError> {
    let map = reader.value().map_err(DecodeError::message)?;
    Envelope::from_msgpack(map).map(|map| Found::Map(Box::new(map)))
}

fn keyed<'a>(reader: &mut Reader<'a>, keys: &mut Keys<'a>) -> Result<Found, DecodeError> {
    let mut element = Reader::new(reader.value().map_err(DecodeError::message)?);
    let whole = element.rest();
    keys.read(&mut element).map_err(DecodeError::message)?;
    let kind = keys.kind()?;
    if !is_tick(kind) {
        return Envelope::from_msgpack(whole).map(|map| Found::Map(Box::new(map)));
    }
    let channel = Channel::from_letter(kind).ok_or_else(|| unknown(Some(kind)))?;
    keys.tick(channel, false).map(Found::Tick)
}

/// Whether an element of this type is a tick; all of them have one letter.
fn is_tick(kind: &str) -> bool {
    kind.len() == 1 && kind != POSITION
}

fn json_elements(
    text: &[u8],
    each: &mut impl FnMut(Found) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    for (index, element) in json::elements(text)?.into_iter().enumerate() {
        json_element(element).and_then(&mut *each).map_err(|error| error.at(index))?;
    }
    Ok(())
}

fn json_element(element: Value) -> Result<Found, DecodeError> {
    let Value::Object(map) = &element else {
        return Err(DecodeError::message(json::mismatch("an object", &element)));
    };
    if matches!(map.get("T"), Some(Value::String(kind)) if is_tick(kind)) {
        return json::read_tick(map).map(Found::Tick);
    }
    Envelope::from_value(element).map(|map| Found::Map(Box::new(map)))
}

//! Builds messages of ticks.

use crate::wire_map::WireMap;
use crate::{Control, Encoding, Tick};

/// Builds one message of ticks. At its end it may also hold a publisher's mark and the number of
/// ticks its source lost, or a position of the hub.
///
/// The buffer keeps its memory from message to message.
///
/// ```
/// use tickwire_protocol::{Encoding, MessageBuf};
///
/// let mut message = MessageBuf::new(Encoding::Json);
/// message.push_mark("trades.csv:1042");
/// assert_eq!(message.finish(), br#"[{"T":"mark","mark":"trades.csv:1042"}]"#);
/// ```
#[derive(Debug)]
pub struct MessageBuf {
    encoding: Encoding,
    bytes: Vec<u8>,
    elements: u16,
}

/// The header of a MessagePack array with a length of 16 bits, which is filled in at the end.
const ARRAY16: [u8; 3] = [0xdc, 0, 0];

impl MessageBuf {
    /// Creates an empty message.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        let mut message = Self { encoding, bytes: Vec::new(), elements: 0 };
        message.clear();
        message
    }

    /// Removes all elements, to start the next message.
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

    /// Appends a tick. A message holds at most 65,535 elements; the caller starts the next message
    /// before that.
    pub fn push(&mut self, tick: &Tick) {
        self.begin_element();
        self.encoding.write_tick(tick, &mut self.bytes);
    }

    /// Appends a mark: the place in the publisher's source after the preceding ticks.
    pub fn push_mark(&mut self, mark: &str) {
        self.begin_element();
        let element = WireMap { mark: Some(mark.to_owned()), ..WireMap::element("mark") };
        element.write(self.encoding, &mut self.bytes);
    }

    /// Appends the number of ticks that the publisher's source dropped before those of this
    /// message.
    pub fn push_lost(&mut self, ticks: u64) {
        self.push_control(&Control::Lost { ticks });
    }

    /// Appends the position of the last tick, which ends a message of the hub.
    pub fn push_position(&mut self, pos: u64) {
        self.push_control(&Control::Position { pos });
    }

    fn push_control(&mut self, control: &Control) {
        self.begin_element();
        control.write_element(self.encoding, &mut self.bytes);
    }

    /// Counts an element, and separates it from the one before.
    fn begin_element(&mut self) {
        if self.encoding == Encoding::Json && self.elements > 0 {
            self.bytes.push(b',');
        }
        debug_assert!(self.elements < u16::MAX, "the header of the array cannot count more");
        self.elements = self.elements.saturating_add(1);
    }

    /// Returns the number of elements so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.elements as usize
    }

    /// Returns whether the message has no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// Returns the length of the message so far, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Completes the message and returns its bytes. Call [`clear`](Self::clear) before the next
    /// message.
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

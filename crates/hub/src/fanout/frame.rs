//! WebSocket frames, server to client (RFC 6455 section 5.2): unmasked, never fragmented.

use tickwire_protocol::{Control, Encoding, Tick};

use super::Position;

/// Room in front of a payload: 4 bytes of frame header for up to 65,535 bytes, then the opening of
/// the message's array, 3 bytes at most.
const LEAD: usize = 7;

/// Bytes of a position and its separator, at the most.
pub(crate) const POSITION_BYTES_MAX: usize = 40;

/// One data message under construction, reused from connection to connection.
///
/// Ticks are appended first; only then are their number and length known, so the headers are
/// written backwards into the room in front.
#[derive(Debug)]
pub struct FrameBuf {
    bytes: Vec<u8>,
    start: usize,
    /// What the frame was made of, if it can serve the next session too.
    made_of: Option<MadeOf>,
    /// Ticks in the frame.
    ticks: usize,
    /// Kept for its memory: the backlog the frame was made of.
    pending: Vec<u32>,
}

/// With the pending indexes, all that determines a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MadeOf {
    pub(crate) encoding: Encoding,
    /// Position of the oldest pending tick: indexes repeat after 2^32 ticks, positions do not.
    pub(crate) oldest: Position,
    /// Whether it ends with the position of its last tick.
    pub(crate) positioned: bool,
}

impl Default for FrameBuf {
    fn default() -> Self {
        let (made_of, ticks, pending) = (None, 0, Vec::new());
        Self { bytes: vec![0; LEAD], start: LEAD, made_of, ticks, pending }
    }
}

impl FrameBuf {
    /// The finished frame.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(LEAD);
        self.start = LEAD;
        self.made_of = None;
    }

    /// Notes what the frame is made of, so that sessions that are owed the same get the same bytes
    /// without their being put together again: all of one symbol, all of `"*"`.
    pub(crate) fn remember(&mut self, made_of: MadeOf, pending: &[u32]) {
        self.made_of = Some(made_of);
        self.pending.clear();
        self.pending.extend_from_slice(pending);
    }

    /// Whether the finished frame is the one that a backlog would give.
    pub(crate) fn holds(&self, made_of: MadeOf, pending: &[u32]) -> bool {
        self.made_of == Some(made_of) && self.pending == pending
    }

    /// Ticks in the finished frame.
    pub(crate) const fn ticks(&self) -> usize {
        self.ticks
    }

    /// Bytes of ticks so far.
    pub(crate) fn body_bytes(&self) -> usize {
        self.bytes.len() - LEAD
    }

    pub(crate) fn append(&mut self, ticks: &[u8]) {
        self.bytes.extend_from_slice(ticks);
    }

    /// Adds a tick that is encoded for this message only.
    pub(crate) fn append_tick(&mut self, encoding: Encoding, tick: &Tick) {
        encoding.write_tick(tick, &mut self.bytes);
        if encoding == Encoding::Json {
            self.bytes.push(b',');
        }
    }

    /// Takes ticks away again: so many bytes of them stay.
    pub(crate) fn shorten(&mut self, body_bytes: usize) {
        self.bytes.truncate(LEAD + body_bytes);
    }

    /// Closes the array of `ticks` elements, and perhaps their position, and writes the headers. The
    /// body is at most 65,535 - 3 bytes, of which a position takes [`POSITION_BYTES_MAX`] at most.
    pub(crate) fn finish(&mut self, encoding: Encoding, ticks: usize, position: Option<Position>) {
        self.ticks = ticks;
        if let Some(Position(pos)) = position {
            Control::Position { pos }.write_element(encoding, &mut self.bytes);
            if encoding == Encoding::Json {
                self.bytes.push(b',');
            }
        }
        let elements = ticks + usize::from(position.is_some());
        match encoding {
            Encoding::Json => {
                if let Some(last) = self.bytes.last_mut() {
                    *last = b']'; // in place of the last comma
                }
                self.prepend(b"[");
            }
            Encoding::MsgpackArray | Encoding::MsgpackMap => match u8::try_from(elements) {
                Ok(elements @ 0..16) => self.prepend(&[0x90 | elements]),
                _ => {
                    let count =
                        u16::try_from(elements).expect("a body of 64 KiB holds fewer ticks");
                    let [high, low] = count.to_be_bytes();
                    self.prepend(&[0xdc, high, low]);
                }
            },
        }
        let payload = u16::try_from(self.bytes.len() - self.start).expect("the body is bounded");
        if payload > 125 {
            self.prepend(&payload.to_be_bytes());
            self.prepend(&[opcode(encoding), 126]);
        } else {
            self.prepend(&[opcode(encoding), payload.to_be_bytes()[1]]);
        }
    }

    /// Makes as many data messages as the ticks need, each of at most `body_max` bytes of ticks, and
    /// hands the frame of each to `out`. For snapshots: live ticks are encoded once for everyone.
    pub(crate) fn write_ticks(
        &mut self,
        encoding: Encoding,
        ticks: &[&Tick],
        body_max: usize,
        mut out: impl FnMut(&[u8]),
    ) {
        self.clear();
        let mut count = 0;
        for tick in ticks {
            let before = self.body_bytes();
            self.append_tick(encoding, tick);
            if count > 0 && self.body_bytes() > body_max {
                self.shorten(before);
                self.finish(encoding, count, None);
                out(self.frame());
                self.clear();
                self.append_tick(encoding, tick);
                count = 0;
            }
            count += 1;
        }
        if count > 0 {
            self.finish(encoding, count, None);
            out(self.frame());
        }
    }

    fn prepend(&mut self, header: &[u8]) {
        self.start -= header.len();
        self.bytes[self.start..self.start + header.len()].copy_from_slice(header);
    }
}

/// First byte of a whole message: final, text or binary.
const fn opcode(encoding: Encoding) -> u8 {
    if encoding.is_binary() { 0x82 } else { 0x81 }
}

/// Appends one message as a frame of any length; `write` appends its payload.
pub(crate) fn write_message(
    encoding: Encoding,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.push(opcode(encoding));
    out.push(127);
    out.extend_from_slice(&[0; 8]);
    write(out);
    let payload = out.len() - start - 10;
    if payload > 65_535 {
        out[start + 2..start + 10].copy_from_slice(&(payload as u64).to_be_bytes());
    } else if let Ok(short @ 0..126) = u8::try_from(payload) {
        out[start + 1] = short;
        out.drain(start + 2..start + 10);
    } else {
        let length = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
        out[start + 1] = 126;
        out[start + 2..start + 4].copy_from_slice(&length);
        out.drain(start + 4..start + 10);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequencer::tests::trade;
    use super::*;
    use tickwire_protocol::{MessageBuf, decode_message};

    fn body(frame: &[u8]) -> &[u8] {
        match frame[1] {
            126 => {
                assert_eq!(usize::from(u16::from_be_bytes([frame[2], frame[3]])), frame.len() - 4);
                &frame[4..]
            }
            127 => {
                let length = u64::from_be_bytes(frame[2..10].try_into().unwrap());
                assert_eq!(usize::try_from(length).unwrap(), frame.len() - 10);
                &frame[10..]
            }
            short => {
                assert_eq!(usize::from(short), frame.len() - 2);
                &frame[2..]
            }
        }
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut out = vec![9; 3];
            write_message(Encoding::Json, &mut out, |out| out.resize(out.len() + length, b'x'));
            assert_eq!(out[..3], [9; 3]);
            assert_eq!(body(&out[3..]).len(), length);
        }
        let mut frame = FrameBuf::default();
        for length in [1, 123, 124, 125, 65_532] {
            for count in [1, 15, 16, 5000] {
                frame.clear();
                frame.append(&vec![0xc0; length]);
                frame.finish(Encoding::MsgpackArray, count, None);
                let header = if count < 16 { 1 } else { 3 };
                assert_eq!(frame.frame()[0], 0x82);
                assert_eq!(body(frame.frame()).len(), header + length);
            }
        }
    }

    #[test]
    fn a_position_fits_into_its_room_and_counts_as_an_element() {
        for encoding in [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap] {
            let mut frame = FrameBuf::default();
            let mut message = MessageBuf::new(encoding);
            for seq in 1..=15 {
                let tick = trade("A", seq);
                frame.append_tick(encoding, &tick);
                message.push(&tick);
            }
            let before = frame.body_bytes();
            frame.finish(encoding, 15, Some(Position(u64::MAX)));
            message.push_position(u64::MAX);
            assert!(frame.body_bytes() - before <= POSITION_BYTES_MAX);
            assert_eq!(frame.ticks(), 15);
            let read = |bytes| decode_message(bytes, encoding).unwrap();
            assert_eq!(read(body(frame.frame())), read(message.finish()));
        }
    }

    #[test]
    fn json_ticks_become_one_array() {
        let mut frame = FrameBuf::default();
        frame.append(b"{\"a\":1},{\"b\":2},");
        frame.finish(Encoding::Json, 2, None);
        assert_eq!(frame.frame()[0], 0x81);
        assert_eq!(body(frame.frame()), b"[{\"a\":1},{\"b\":2}]");
    }
}

//! WebSocket frames, server to client (RFC 6455 section 5.2): unmasked, never fragmented.

use tickwire_protocol::{Control, Encoding, Tick};

use super::Position;

/// Space reserved before the body: 4 bytes for the header of a frame of up to 65,535 bytes, and at
/// most 3 for the opening of the message's array.
const LEAD: usize = 7;

/// Largest encoded position element with its separator, in bytes.
pub(crate) const POSITION_BYTES_MAX: usize = 40;

/// Buffer in which one data message is built. It is reused from session to session.
///
/// The ticks are appended first. Only then are their number and length known, so the headers are
/// written backwards into the space before them.
#[derive(Debug)]
pub struct FrameBuf {
    bytes: Vec<u8>,
    start: usize,
    /// The inputs from which the frame was built, if other sessions may share it.
    source: Option<FrameSource>,
    /// Number of ticks in the frame.
    ticks: usize,
    /// Indexes of the ticks from which the frame was built. Valid only with `source`.
    pending: Vec<u32>,
}

/// The inputs of a frame of pending ticks, apart from the indexes of these ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameSource {
    pub(crate) encoding: Encoding,
    /// Position of the oldest pending tick. Indexes repeat after 2^32 ticks; positions do not.
    pub(crate) oldest: Position,
    /// Whether the frame ends with the position of its last tick.
    pub(crate) has_position: bool,
    /// Whether corrections and cancels have frames of their own.
    pub(crate) separates_corrections: bool,
}

impl Default for FrameBuf {
    fn default() -> Self {
        Self { bytes: vec![0; LEAD], start: LEAD, source: None, ticks: 0, pending: Vec::new() }
    }
}

impl FrameBuf {
    /// Returns the finished frame.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(LEAD);
        self.start = LEAD;
        self.source = None;
    }

    /// Records what the frame is built from. Sessions with the same pending ticks, such as all
    /// subscribers of one symbol or of `"*"`, then get the same bytes without building them again.
    pub(crate) fn remember(&mut self, source: FrameSource, pending: &[u32]) {
        self.source = Some(source);
        self.pending.clear();
        self.pending.extend_from_slice(pending);
    }

    /// Returns whether the finished frame was built from the same inputs and pending ticks.
    pub(crate) fn holds(&self, source: FrameSource, pending: &[u32]) -> bool {
        self.source == Some(source) && self.pending == pending
    }

    /// Returns the number of ticks in the finished frame.
    pub(crate) const fn ticks(&self) -> usize {
        self.ticks
    }

    /// Returns the size of the ticks appended so far, in bytes.
    pub(crate) fn body_bytes(&self) -> usize {
        self.bytes.len() - LEAD
    }

    pub(crate) fn append(&mut self, ticks: &[u8]) {
        self.bytes.extend_from_slice(ticks);
    }

    /// Encodes a tick for this message only and appends it.
    pub(crate) fn append_tick(&mut self, encoding: Encoding, tick: &Tick) {
        encoding.write_tick(tick, &mut self.bytes);
        if encoding == Encoding::Json {
            self.bytes.push(b',');
        }
    }

    /// Removes appended ticks, so that the body is `body_bytes` long.
    pub(crate) fn truncate(&mut self, body_bytes: usize) {
        self.bytes.truncate(LEAD + body_bytes);
    }

    /// Appends the position, if there is one, closes the array of `ticks` ticks and writes the
    /// headers. The body is at most 65,535 - 3 bytes, of which a position takes at most
    /// [`POSITION_BYTES_MAX`].
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

    /// Builds as many data messages as the ticks need, each with at most `body_max` bytes of ticks,
    /// and passes the frame of each to `out`. This serves snapshots; live ticks are encoded once
    /// for all sessions.
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
                self.truncate(before);
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

/// Returns the first byte of a frame that holds a whole message, text or binary.
const fn opcode(encoding: Encoding) -> u8 {
    if encoding.is_binary() { 0x82 } else { 0x81 }
}

/// Appends one message of any length as a frame; `write` appends its payload.
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
    use tickwire_testkit::frames::first_frame;

    fn body(frame: &[u8]) -> &[u8] {
        let (_, payload) = first_frame(frame).unwrap();
        assert_eq!(payload.end, frame.len());
        &frame[payload]
    }

    #[test]
    fn frame_lengths_take_their_shortest_form() {
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
    fn position_fits_into_its_reserved_space_and_counts_as_an_element() {
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

//! WebSocket frames, server to client (RFC 6455 section 5.2): unmasked, never fragmented.

use tickwire_protocol::{Encoding, Tick};

/// Room in front of a payload: 4 bytes of frame header for up to 65,535 bytes, then the opening of
/// the message's array, 3 bytes at most.
const LEAD: usize = 7;

/// One data message under construction, reused from connection to connection.
///
/// Ticks are appended first; only then are their number and length known, so the headers are
/// written backwards into the room in front.
#[derive(Debug)]
pub struct FrameBuf {
    bytes: Vec<u8>,
    start: usize,
}

impl Default for FrameBuf {
    fn default() -> Self {
        Self { bytes: vec![0; LEAD], start: LEAD }
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
    }

    /// Bytes of ticks so far.
    pub(crate) fn body_bytes(&self) -> usize {
        self.bytes.len() - LEAD
    }

    pub(crate) fn append(&mut self, ticks: &[u8]) {
        self.bytes.extend_from_slice(ticks);
    }

    /// Closes the array of `ticks` elements and writes the headers. The body is at most 65,535 - 3
    /// bytes.
    pub(crate) fn finish(&mut self, encoding: Encoding, ticks: usize) {
        match encoding {
            Encoding::Json => {
                if let Some(last) = self.bytes.last_mut() {
                    *last = b']'; // in place of the last comma
                }
                self.prepend(b"[");
            }
            Encoding::MsgpackArray => match u8::try_from(ticks) {
                Ok(ticks @ 0..16) => self.prepend(&[0x90 | ticks]),
                _ => {
                    let count = u16::try_from(ticks).expect("a body of 64 KiB holds fewer ticks");
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
        let mut one = Vec::new();
        for tick in ticks {
            one.clear();
            encoding.write_tick(tick, &mut one);
            if encoding == Encoding::Json {
                one.push(b',');
            }
            if count > 0 && self.body_bytes() + one.len() > body_max {
                self.finish(encoding, count);
                out(self.frame());
                self.clear();
                count = 0;
            }
            self.append(&one);
            count += 1;
        }
        if count > 0 {
            self.finish(encoding, count);
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
    use super::*;

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
                frame.finish(Encoding::MsgpackArray, count);
                let header = if count < 16 { 1 } else { 3 };
                assert_eq!(frame.frame()[0], 0x82);
                assert_eq!(body(frame.frame()).len(), header + length);
            }
        }
    }

    #[test]
    fn json_ticks_become_one_array() {
        let mut frame = FrameBuf::default();
        frame.append(b"{\"a\":1},{\"b\":2},");
        frame.finish(Encoding::Json, 2);
        assert_eq!(frame.frame()[0], 0x81);
        assert_eq!(body(frame.frame()), b"[{\"a\":1},{\"b\":2}]");
    }
}

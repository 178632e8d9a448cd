//! Splits bytes into frames (RFC 6455 section 5.2). It keeps a partial header, and never a payload.

use super::MessageError;

/// Longest frame header of a client, in bytes: start, length, mask.
const HEADER_BYTES_MAX: usize = 2 + 8 + MASK_BYTES;
pub(super) const MASK_BYTES: usize = 4;
/// Largest payload of a control frame, in bytes.
const CONTROL_BYTES_MAX: usize = 125;

const FINAL: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The close frame, the last frame of a peer.
    Close = 8,
    /// A ping, which is answered with a pong.
    Ping = 9,
    /// A pong.
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a frame, without its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Whether the frame is the last of its message.
    pub(super) is_final: bool,
    /// Whether the message is compressed: RSV1 of its first frame (RFC 7692 section 6).
    pub(super) is_compressed: bool,
    pub(super) opcode: Opcode,
    pub(super) payload_len: u64,
}

/// A part of a payload. Its bytes are still masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PayloadPart<'a> {
    pub(super) bytes: &'a [u8],
    /// The mask, rotated so that it starts with the first byte of the part.
    pub(super) mask: [u8; MASK_BYTES],
    /// Whether the payload ends with the part.
    pub(super) is_last: bool,
}

/// Reads frames of a client, each as a header followed by the parts of its payload.
#[derive(Debug)]
pub(super) struct FrameReader {
    /// Whether permessage-deflate was negotiated, so that messages may be compressed.
    allows_compression: bool,
    header: [u8; HEADER_BYTES_MAX],
    /// Number of bytes in `header`; 0 between two frames.
    header_len: usize,
    mask: [u8; MASK_BYTES],
    /// Number of payload bytes that are still to come.
    remaining: u64,
}

impl FrameReader {
    pub(super) const fn new(allows_compression: bool) -> Self {
        Self {
            allows_compression,
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            mask: [0; MASK_BYTES],
            remaining: 0,
        }
    }

    /// Returns whether no frame has begun.
    pub(super) const fn is_between_frames(&self) -> bool {
        self.header_len == 0
    }

    /// Returns the number of payload bytes of the current frame that are still to come.
    pub(super) const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Takes the header of the next frame from `input`; `None` if its end has not arrived. After a
    /// header, the caller reads the payload.
    ///
    /// # Errors
    /// If no client may send such a frame.
    pub(super) fn read_header(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<FrameHeader>, MessageError> {
        if !self.fill_header(input, 2) {
            return Ok(None);
        }
        let [start, length, ..] = self.header;
        let (opcode, is_compressed) = self.check_start(start, length)?;
        let length_bytes = match length & LENGTH {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if !self.fill_header(input, 2 + length_bytes + MASK_BYTES) {
            return Ok(None);
        }
        let (extended, mask) = self.header[2..self.header_len].split_at(length_bytes);
        let payload_len = match length_bytes {
            0 => u64::from(length & LENGTH),
            _ => extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.mask.copy_from_slice(mask);
        self.remaining = payload_len;
        let is_final = start & FINAL != 0;
        Ok(Some(FrameHeader { is_final, is_compressed, opcode, payload_len }))
    }

    /// Takes the next part of the payload from `input`. The part may be empty, and is the last one
    /// if the payload ends there.
    pub(super) fn read_payload<'a>(&mut self, input: &mut &'a [u8]) -> PayloadPart<'a> {
        let count = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len());
        let (bytes, rest) = input.split_at(count);
        *input = rest;
        let mask = self.mask;
        self.mask.rotate_left(count % MASK_BYTES);
        self.remaining -= count as u64;
        let is_last = self.remaining == 0;
        if is_last {
            self.header_len = 0;
        }
        PayloadPart { bytes, mask, is_last }
    }

    /// Takes header bytes until there are `count`. Returns whether there are.
    fn fill_header(&mut self, input: &mut &[u8], count: usize) -> bool {
        let missing = count.saturating_sub(self.header_len).min(input.len());
        let (bytes, rest) = input.split_at(missing);
        self.header[self.header_len..self.header_len + missing].copy_from_slice(bytes);
        self.header_len += missing;
        *input = rest;
        self.header_len >= count
    }

    /// Checks the first two bytes of a frame. Returns its opcode and whether it is compressed.
    fn check_start(&self, start: u8, length: u8) -> Result<(Opcode, bool), MessageError> {
        let opcode = Opcode::from_bits(start & OPCODE).ok_or(MessageError::Protocol)?;
        let is_compressed = start & RSV1 != 0;
        let starts_message = matches!(opcode, Opcode::Text | Opcode::Binary);
        let may_be_compressed = self.allows_compression && starts_message;
        let is_valid = length & MASKED != 0
            && start & RSV2_AND_RSV3 == 0
            && (!is_compressed || may_be_compressed)
            && (!opcode.is_control()
                || (start & FINAL != 0 && usize::from(length & LENGTH) <= CONTROL_BYTES_MAX));
        if is_valid { Ok((opcode, is_compressed)) } else { Err(MessageError::Protocol) }
    }
}

/// Removes the mask from the bytes of a payload (RFC 6455 section 5.3).
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; MASK_BYTES]) {
    let [a, b, c, d] = mask;
    let mask = [a, b, c, d, a, b, c, d];
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn header(bytes: &[u8]) -> Result<Option<FrameHeader>, MessageError> {
        FrameReader::new(false).read_header(&mut &*bytes)
    }

    #[test]
    fn header_is_read_wherever_it_is_split() {
        let frame = [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 2][..], &MASK].concat();
        for cut in 0..frame.len() {
            let mut reader = FrameReader::new(false);
            let (mut early, mut late) = frame.split_at(cut);
            assert_eq!(reader.read_header(&mut early), Ok(None), "{cut}");
            assert_eq!(reader.is_between_frames(), cut == 0);
            let read = reader.read_header(&mut late).unwrap().unwrap();
            assert_eq!((read.payload_len, read.opcode), (65_538, Opcode::Binary));
            assert!(read.is_final);
            assert!(late.is_empty());
        }
    }

    #[test]
    fn parts_of_a_payload_carry_the_rotated_mask() {
        let mut input = &[0x81, 0x85, 1, 2, 3, 4, b'h', b'e', b'l'][..];
        let mut reader = FrameReader::new(false);
        reader.read_header(&mut input).unwrap().unwrap();
        let part = reader.read_payload(&mut input);
        assert_eq!(part, PayloadPart { bytes: b"hel", mask: MASK, is_last: false });
        assert_eq!(reader.remaining(), 2);
        let part = reader.read_payload(&mut &b"lonext"[..]);
        assert_eq!(part, PayloadPart { bytes: b"lo", mask: [4, 1, 2, 3], is_last: true });
        assert!(reader.is_between_frames());
    }

    #[test]
    fn invalid_frame_is_refused_at_its_second_byte() {
        for start in [
            [0x81, 0x01], // not masked
            [0xc1, 0x81], // RSV1 without an extension
            [0xa1, 0x81],
            [0x91, 0x81],
            [0x83, 0x81], // reserved opcode
            [0x8b, 0x80],
            [0x09, 0x80], // a fragmented ping
            [0x89, 0xfe], // a long ping
        ] {
            assert_eq!(header(&start), Err(MessageError::Protocol), "{start:x?}");
        }
        assert_eq!(header(&[0x01, 0x80]), Ok(None));
    }

    #[test]
    fn first_frame_of_a_message_may_be_compressed_if_negotiated() {
        let read = |start| {
            let bytes = [start, 0x80, 1, 2, 3, 4];
            FrameReader::new(true).read_header(&mut &bytes[..])
        };
        assert!(read(0xc1).unwrap().unwrap().is_compressed);
        assert!(!read(0x81).unwrap().unwrap().is_compressed);
        for start in [0xc0, 0xc9, 0xa1, 0x91] {
            assert_eq!(read(start), Err(MessageError::Protocol), "{start:x}");
        }
    }

    #[test]
    fn mask_repeats_every_four_bytes() {
        let mut bytes: Vec<u8> = (0..23).collect();
        unmask(&mut bytes, MASK);
        for (index, byte) in bytes.iter().enumerate() {
            assert_eq!(usize::from(*byte), index ^ usize::from(MASK[index % 4]));
        }
    }
}

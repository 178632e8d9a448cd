//! Minimal reading and writing of WebSocket frames (RFC 6455 section 5.2), for tests that check
//! single frames, and for measuring clients, which share the machine with the hub and must use
//! little CPU.

use std::ops::Range;

/// First byte of an unfragmented text message.
pub const OPEN_TEXT: u8 = 0x81;
/// First byte of an unfragmented binary message.
pub const OPEN_BINARY: u8 = 0x82;
/// First byte of a close frame.
pub const CLOSE: u8 = 0x88;
/// First byte of a ping.
pub const PING: u8 = 0x89;
/// First byte of a pong.
pub const PONG: u8 = 0x8a;

/// Appends a frame of a client. Its masking key is zero, which is legal: the hub unmasks it like
/// any other, and the client need not compute anything.
pub fn write(first_byte: u8, payload: &[u8], out: &mut Vec<u8>) {
    write_header(first_byte, payload.len(), [0; 4], out);
    out.extend_from_slice(payload);
}

/// Returns a frame of a client, always with the same masking key, which is not zero.
#[must_use]
pub fn masked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = Vec::new();
    write_header(first_byte, payload.len(), mask, &mut frame);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn write_header(first_byte: u8, payload_len: usize, mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(first_byte);
    match (u8::try_from(payload_len), u16::try_from(payload_len)) {
        (Ok(short @ 0..=125), _) => out.push(0x80 | short),
        (_, Ok(medium)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload_len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
}

/// Returns the first byte and the range of the payload of the hub's first frame, or `None` if it is
/// incomplete.
///
/// # Panics
/// Panics if the frame is masked, fragmented or has reserved bits: no hub sends such a frame.
#[must_use]
pub fn first_frame(bytes: &[u8]) -> Option<(u8, Range<usize>)> {
    let [first, short, rest @ ..] = bytes else { return None };
    assert!(first & 0xf0 == 0x80, "frames of the hub are whole: {first:#x}");
    assert!(short & 0x80 == 0, "frames of the hub are not masked");
    let (start, len) = match short {
        126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
        len => (2, u64::from(*len)),
    };
    let payload = start..start + usize::try_from(len).ok()?;
    (payload.end <= bytes.len()).then_some((*first, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 5] = [0, 125, 126, 65_535, 65_536];

    #[test]
    fn incomplete_frames_are_not_read() {
        for len in LENGTHS {
            let mut frame = Vec::new();
            write(OPEN_TEXT, &vec![7; len], &mut frame);
            let masked = frame.len();
            frame.drain(masked - len - 4..masked - len); // the hub sends no masking key
            frame[1] &= 0x7f;
            let whole = frame.len();
            assert_eq!(first_frame(&frame[..whole - 1]), None, "{len}");
            frame.push(OPEN_BINARY);
            assert_eq!(first_frame(&frame), Some((OPEN_TEXT, whole - len..whole)), "{len}");
        }
    }

    #[test]
    fn masking_key_is_all_that_differs_between_the_writers() {
        for len in LENGTHS {
            let payload = vec![7; len];
            let mut plain = Vec::new();
            write(OPEN_BINARY, &payload, &mut plain);
            let mut frame = masked(OPEN_BINARY, &payload);
            let (header, payload) = frame.split_at_mut(plain.len() - len);
            let (_, mask) = header.split_last_chunk_mut::<4>().unwrap();
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            *mask = [0; 4];
            assert!(frame == plain, "{len}");
        }
    }
}

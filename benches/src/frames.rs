//! Minimal reading and writing of WebSocket frames (RFC 6455 section 5.2). Measuring clients share
//! the machine with the hub, so they must use little CPU.

use std::ops::Range;

/// Appends a text frame of a client. Its masking key is zero, which is legal: the hub unmasks it
/// like any other, and the client need not compute anything.
pub fn write_frame(payload: &[u8], out: &mut Vec<u8>) {
    write_frame_of(0x81, payload, out);
}

/// Like [`write_frame`], but appends a binary frame.
pub fn write_binary_frame(payload: &[u8], out: &mut Vec<u8>) {
    write_frame_of(0x82, payload, out);
}

fn write_frame_of(first_byte: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first_byte);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(0x80 | short),
        (_, Ok(medium)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Returns the opcode and the range of the payload of the first frame, or `None` if it is
/// incomplete. Frames of the hub are neither masked nor fragmented.
#[must_use]
pub fn first_frame(bytes: &[u8]) -> Option<(u8, Range<usize>)> {
    let [head, short, rest @ ..] = bytes else { return None };
    let (start, len) = match short {
        126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
        len => (2, u64::from(*len)),
    };
    let payload = start..start + usize::try_from(len).ok()?;
    (payload.end <= bytes.len()).then_some((head & 15, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_frames_are_not_read() {
        for len in [0, 125, 126, 65_535, 65_536] {
            let mut frame = Vec::new();
            write_frame(&vec![7; len], &mut frame);
            let masked = frame.len();
            frame.drain(masked - len - 4..masked - len); // the hub sends no masking key
            frame[1] &= 0x7f;
            let whole = frame.len();
            assert_eq!(first_frame(&frame[..whole - 1]), None, "{len}");
            frame.push(0x82);
            assert_eq!(first_frame(&frame), Some((1, whole - len..whole)), "{len}");
        }
    }
}

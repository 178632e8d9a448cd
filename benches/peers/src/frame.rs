//! WebSocket frames: encodes those of clients and of servers, decodes those of servers.

/// The opcodes that this program sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 1,
    Binary = 2,
    Pong = 10,
}

/// Appends the frame of a client. Its mask is zero, which is legal: the server unmasks it like any
/// other, and masking costs nothing here.
pub(crate) fn write(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    header(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Appends the frame of a server, which has no mask.
pub(crate) fn write_unmasked(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    header(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

fn header(opcode: Opcode, payload_len: usize, mask_bit: u8, out: &mut Vec<u8>) {
    out.push(0x80 | opcode as u8);
    match (u8::try_from(payload_len), u16::try_from(payload_len)) {
        (Ok(short @ 0..=125), _) => out.push(mask_bit | short),
        (_, Ok(medium)) => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(payload_len as u64).to_be_bytes());
        }
    }
}

/// A complete frame of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A message or a fragment of one.
    Data(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close,
}

/// Decodes the first frame of `bytes`. Returns it with its length, header included; `None` if it
/// is incomplete.
pub(crate) fn first(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let [head, short, rest @ ..] = bytes else { return None };
    let (payload_len, extra) = match short & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        len => (u64::from(len), 0),
    };
    let end = usize::try_from(payload_len).ok()?.checked_add(extra)?;
    let payload = rest.get(extra..end)?;
    let frame = match head & 15 {
        8 => Frame::Close,
        9 => Frame::Ping(payload),
        10 => Frame::Pong,
        _ => Frame::Data(payload),
    };
    Some((frame, 2 + end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_encoding_are_decoded_once_complete() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![7; len];
            let mut bytes = Vec::new();
            write_unmasked(Opcode::Binary, &payload, &mut bytes);
            let whole = bytes.len();
            for cut in [0, 1, 2, 3, 9, whole - 1] {
                if cut < whole {
                    assert_eq!(first(&bytes[..cut]), None, "{cut} of {whole}");
                }
            }
            bytes.push(0x82);
            assert_eq!(first(&bytes), Some((Frame::Data(&payload), whole)), "{len}");
        }
    }

    #[test]
    fn control_frames_are_distinguished() {
        assert_eq!(first(&[0x89, 2, 1, 2]), Some((Frame::Ping(&[1, 2]), 4)));
        assert_eq!(first(&[0x8a, 0]), Some((Frame::Pong, 2)));
        assert_eq!(first(&[0x88, 2, 3, 0xe8]), Some((Frame::Close, 4)));
    }

    #[test]
    fn client_frame_carries_its_mask() {
        let mut bytes = Vec::new();
        write(Opcode::Text, b"hi", &mut bytes);
        assert_eq!(bytes, [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }

    #[test]
    fn length_beyond_usize_is_incomplete_and_does_not_overflow() {
        assert_eq!(first(&[&[0x82, 127][..], &[0xff; 20]].concat()), None);
    }
}

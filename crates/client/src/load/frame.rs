//! Reads the frames a hub sends, without copying: unmasked, never fragmented, no extensions.

/// Largest payload taken. Data is far smaller; an acknowledgement names what it is for.
const PAYLOAD_BYTES_MAX: u64 = 4 << 20;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A whole message.
    Data(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// The code, if there is one.
    Close(Option<u16>),
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a masked frame")]
    Masked,
    #[error("a fragmented message")]
    Fragmented,
    #[error("reserved bits or opcode")]
    Reserved,
    #[error("a frame of {0} bytes")]
    TooLarge(u64),
}

/// The first frame of `bytes` and its length with header; `None` if it is not there as a whole.
pub(crate) fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let [head, length, rest @ ..] = bytes else { return Ok(None) };
    let (fin, reserved, opcode) = (head & 0x80 != 0, head & 0x70, head & 0x0f);
    if length & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    if reserved != 0 || !matches!(opcode, 0..=2 | 8..=10) {
        return Err(FrameError::Reserved);
    }
    if !fin || opcode == 0 {
        return Err(FrameError::Fragmented);
    }
    let (payload_len, extra) = match length {
        126 => match rest {
            [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 2),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8),
            None => return Ok(None),
        },
        short => (u64::from(*short), 0),
    };
    let Some(payload_len) =
        usize::try_from(payload_len).ok().filter(|_| payload_len <= PAYLOAD_BYTES_MAX)
    else {
        return Err(FrameError::TooLarge(payload_len));
    };
    let Some(payload) = rest.get(extra..extra + payload_len) else { return Ok(None) };
    let frame = match opcode {
        8 => Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        9 => Frame::Ping(payload),
        10 => Frame::Pong,
        _ => Frame::Data(payload),
    };
    Ok(Some((frame, 2 + extra + payload_len)))
}

/// Opcodes a client sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opcode {
    Text = 1,
    Close = 8,
    Pong = 10,
}

/// Appends a masked frame.
pub(crate) fn write(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(0x80 | opcode as u8);
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
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame as Reference, FrameSocket};

    fn server(frame: Reference) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    fn data(len: usize) -> Vec<u8> {
        server(Reference::message(vec![7; len], OpCode::Data(Data::Binary), true))
    }

    #[test]
    fn frames_of_every_length_form_are_read() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let mut bytes = data(len);
            let whole = bytes.len();
            bytes.push(0x82);
            assert_eq!(first(&bytes), Ok(Some((Frame::Data(&vec![7; len]), whole))), "{len}");
        }
    }

    #[test]
    fn frame_cut_at_any_byte_is_waited_for() {
        for len in [0, 125, 126, 300, 65_536] {
            let bytes = data(len);
            for cut in 0..bytes.len() {
                assert_eq!(first(&bytes[..cut]), Ok(None), "{cut} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn control_frames_are_told_apart() {
        let ping = server(Reference::ping(vec![1, 2]));
        assert_eq!(first(&ping), Ok(Some((Frame::Ping(&[1, 2]), 4))));
        assert_eq!(first(&[0x88, 0]), Ok(Some((Frame::Close(None), 2))));
        assert_eq!(first(&[0x88, 2, 3, 0xf0]), Ok(Some((Frame::Close(Some(1008)), 4))));
        assert_eq!(first(&[0x8a, 0]), Ok(Some((Frame::Pong, 2))));
    }

    #[test]
    fn what_no_hub_sends_is_refused() {
        assert_eq!(first(&[0x82, 0x80, 0, 0, 0, 0]), Err(FrameError::Masked));
        assert_eq!(first(&[0x02, 0]), Err(FrameError::Fragmented));
        assert_eq!(first(&[0x80, 0]), Err(FrameError::Fragmented));
        assert_eq!(first(&[0xc2, 0]), Err(FrameError::Reserved));
        assert_eq!(first(&[0x83, 0]), Err(FrameError::Reserved));
        let huge = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(first(&huge), Err(FrameError::TooLarge(1 << 32)));
    }

    #[test]
    fn written_frames_are_what_a_server_reads() {
        for len in [0, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            let payload = vec![9; len];
            write(Opcode::Text, &payload, [1, 2, 3, 4], &mut bytes);
            let mut socket = FrameSocket::new(std::io::Cursor::new(bytes));
            let mut frame = socket.read(None).unwrap().unwrap();
            assert_eq!(frame.header().opcode, OpCode::Data(Data::Text));
            let mask = frame.header_mut().mask.take();
            assert_eq!(mask, Some([1, 2, 3, 4]));
            let payload_read: Vec<u8> = frame
                .payload()
                .iter()
                .zip([1, 2, 3, 4].iter().cycle())
                .map(|(b, m)| b ^ m)
                .collect();
            assert_eq!(payload_read, payload);
        }
    }
}

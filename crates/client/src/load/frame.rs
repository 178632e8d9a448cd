//! WebSocket frames (RFC 6455, section 5) as a hub sends and receives them.
//!
//! A hub's frames are unmasked, never fragmented and use no extensions, so they are read in place,
//! without copying their payload. A library would cost more than the hub that is measured.

/// The largest payload to accept, in bytes. Data messages are far smaller; the largest payload is
/// the answer to a subscribe, which lists its names.
const PAYLOAD_BYTES_MAX: u64 = 4 << 20;

/// A frame of the hub.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A text or binary frame, which is always a whole message.
    Data(&'a [u8]),
    /// A ping with its payload, to be sent back in a pong.
    Ping(&'a [u8]),
    Pong,
    /// A close frame with its code, if it has one.
    Close(Option<u16>),
}

/// Why a frame cannot come from a hub.
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

/// Parses the first frame of `bytes`. Returns the frame and its length in bytes, header included;
/// `None` if `bytes` ends before the frame does.
///
/// # Errors
/// Fails if the frame is not of the kind that hubs send: it is masked, fragmented, too large or
/// uses reserved bits.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let [head, length, rest @ ..] = bytes else { return Ok(None) };
    let is_final = head & 0x80 != 0;
    let reserved = head & 0x70;
    let opcode = head & 0x0f;
    if length & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    if reserved != 0 || !matches!(opcode, 0..=2 | 8..=10) {
        return Err(FrameError::Reserved);
    }
    if !is_final || opcode == 0 {
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

/// The opcodes that a subscriber sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opcode {
    Text = 1,
    Close = 8,
    Pong = 10,
}

/// Appends a frame with this payload, masked as a client must (RFC 6455, section 5.3).
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

    fn server_frame(frame: Reference) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    fn data_frame(len: usize) -> Vec<u8> {
        server_frame(Reference::message(vec![7; len], OpCode::Data(Data::Binary), true))
    }

    #[test]
    fn frames_of_every_length_form_are_read() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let mut bytes = data_frame(len);
            let whole = bytes.len();
            bytes.push(0x82);
            assert_eq!(parse(&bytes), Ok(Some((Frame::Data(&vec![7; len]), whole))), "{len}");
        }
    }

    #[test]
    fn frame_cut_at_any_byte_is_incomplete() {
        for len in [0, 125, 126, 300, 65_536] {
            let bytes = data_frame(len);
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn control_frames_are_distinguished() {
        let ping = server_frame(Reference::ping(vec![1, 2]));
        assert_eq!(parse(&ping), Ok(Some((Frame::Ping(&[1, 2]), 4))));
        assert_eq!(parse(&[0x88, 0]), Ok(Some((Frame::Close(None), 2))));
        assert_eq!(parse(&[0x88, 2, 3, 0xf0]), Ok(Some((Frame::Close(Some(1008)), 4))));
        assert_eq!(parse(&[0x8a, 0]), Ok(Some((Frame::Pong, 2))));
    }

    #[test]
    fn frames_that_no_hub_sends_are_refused() {
        assert_eq!(parse(&[0x82, 0x80, 0, 0, 0, 0]), Err(FrameError::Masked));
        assert_eq!(parse(&[0x02, 0]), Err(FrameError::Fragmented));
        assert_eq!(parse(&[0x80, 0]), Err(FrameError::Fragmented));
        assert_eq!(parse(&[0xc2, 0]), Err(FrameError::Reserved));
        assert_eq!(parse(&[0x83, 0]), Err(FrameError::Reserved));
        let huge = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(parse(&huge), Err(FrameError::TooLarge(1 << 32)));
    }

    #[test]
    fn server_reads_written_frames() {
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

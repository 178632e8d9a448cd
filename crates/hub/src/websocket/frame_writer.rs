//! Writes frames, server to client: unmasked and never fragmented.

use super::{CloseFrame, Opcode};

/// Appends a frame that holds a whole message.
pub fn write_frame(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(medium)) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a close frame, with an empty payload for `None`.
pub fn write_close(frame: Option<&CloseFrame>, out: &mut Vec<u8>) {
    let payload = frame.map_or_else(Vec::new, |CloseFrame { code, reason }| {
        [&code.to_be_bytes(), reason.as_bytes()].concat()
    });
    debug_assert!(payload.len() <= 125, "a control frame is short");
    write_frame(Opcode::Close, &payload, out);
}

#[cfg(test)]
mod tests {
    use tungstenite::protocol::frame::FrameSocket;
    use tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    #[test]
    fn frames_are_read_by_another_library() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let mut bytes = Vec::new();
            write_frame(Opcode::Binary, &payload, &mut bytes);
            let mut socket = FrameSocket::new(std::io::Cursor::new(bytes));
            let frame = socket.read(None).unwrap().unwrap();
            assert_eq!(frame.header().opcode, OpCode::Data(Data::Binary));
            assert_eq!(frame.payload(), payload);
        }
    }

    #[test]
    fn close_frame_has_code_and_reason() {
        let mut bytes = Vec::new();
        write_close(None, &mut bytes);
        write_close(Some(&CloseFrame { code: 1001, reason: "bye".into() }), &mut bytes);
        assert_eq!(bytes, b"\x88\x00\x88\x05\x03\xe9bye");
    }
}

//! Reading WebSocket frames from bytes that come in pieces.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Frame {
    Message { binary: bool, payload: Vec<u8> },
    Close { code: u16, reason: String },
}

impl Frames {
    pub(crate) fn push(&mut self, bytes: impl Iterator<Item = u8>) {
        self.bytes.extend(bytes);
    }

    /// Returns the next complete frame.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut cursor = Cursor::new(&self.bytes[..]);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap()?;
        let start = usize::try_from(cursor.position()).unwrap();
        let end = start + usize::try_from(length).unwrap();
        if self.bytes.len() < end {
            return None;
        }
        assert!(header.is_final && header.mask.is_none(), "{header:?}");
        let payload = self.bytes[start..end].to_vec();
        self.bytes.drain(..end);
        Some(match header.opcode {
            OpCode::Data(data) => Frame::Message { binary: data == Data::Binary, payload },
            OpCode::Control(Control::Close) => Frame::Close {
                code: u16::from_be_bytes([payload[0], payload[1]]),
                reason: String::from_utf8(payload[2..].to_vec()).unwrap(),
            },
            other => panic!("unexpected {other:?}"),
        })
    }
}

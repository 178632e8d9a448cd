//! Decodes the frames that the core wrote.

use std::io::Cursor;

use tickwire_protocol::{Element, Encoding, decode_message};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

pub(crate) const ENCODINGS: [Encoding; 3] =
    [Encoding::Json, Encoding::MsgpackMap, Encoding::MsgpackArray];

/// A message: the bytes of its payload and its elements.
pub(crate) struct Message {
    pub(crate) payload: usize,
    pub(crate) elements: Vec<Element>,
}

/// Decodes complete frames into messages.
pub(crate) fn messages(bytes: &[u8], encoding: Encoding) -> Vec<Message> {
    let data = if encoding.is_binary() { Data::Binary } else { Data::Text };
    let mut cursor = Cursor::new(bytes);
    let mut messages = Vec::new();
    while usize::try_from(cursor.position()).unwrap() < bytes.len() {
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap().expect("a whole header");
        assert!(header.is_final && header.mask.is_none(), "{header:?}");
        assert_eq!(header.opcode, OpCode::Data(data));
        let start = usize::try_from(cursor.position()).unwrap();
        let payload = &bytes[start..start + usize::try_from(length).unwrap()];
        let elements = decode_message(payload, encoding).unwrap();
        messages.push(Message { payload: payload.len(), elements });
        cursor.set_position((start + payload.len()) as u64);
    }
    messages
}

//! Assembles messages from frames, and keeps control frames apart from the fragments around them
//! (RFC 6455 section 5.4).

use super::frame_reader::{FrameHeader, MASK_BYTES, PayloadPart, unmask};
use super::message_budget::BudgetAccount;
use super::message_buffer::MessageBuffer;
use super::utf8::Utf8Validator;
use super::{CloseFrame, Message, MessageError, Opcode, Payload};

/// The message and the frame of a client that have not ended.
#[derive(Debug)]
pub(super) struct MessageAssembler {
    /// The frame whose payload arrives.
    frame: Option<FrameHeader>,
    message: Option<PartialMessage>,
    /// Payload of the current control frame.
    control: Vec<u8>,
}

#[derive(Debug)]
struct PartialMessage {
    is_text: bool,
    is_compressed: bool,
    buffer: MessageBuffer,
    utf8: Utf8Validator,
}

impl MessageAssembler {
    pub(super) const fn new() -> Self {
        Self { frame: None, message: None, control: Vec::new() }
    }

    /// Returns whether no message and no frame has begun.
    pub(super) const fn is_idle(&self) -> bool {
        self.frame.is_none() && self.message.is_none()
    }

    /// Returns whether the payload of a frame is expected next, rather than a header.
    pub(super) const fn is_within_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Returns whether the budget has evicted the message.
    pub(super) fn is_evicted(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.buffer.is_evicted())
    }

    /// Returns the memory of payloads, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.buffer.memory());
        self.control.capacity() + message
    }

    /// Begins a frame.
    ///
    /// # Errors
    /// If the frame does not fit the message before it, or makes the message too large.
    pub(super) fn begin_frame(
        &mut self,
        header: FrameHeader,
        message_bytes_max: usize,
    ) -> Result<(), MessageError> {
        match (header.opcode, &self.message) {
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(MessageError::Protocol);
            }
            (Opcode::Text | Opcode::Binary, None) => {
                self.message = Some(PartialMessage {
                    is_text: header.opcode == Opcode::Text,
                    is_compressed: header.is_compressed,
                    buffer: MessageBuffer::default(),
                    utf8: Utf8Validator::default(),
                });
            }
            (Opcode::Continuation, Some(_)) | (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {}
        }
        if !header.opcode.is_control()
            && let Some(message) = &self.message
        {
            let room = message_bytes_max.saturating_sub(message.buffer.len());
            if header.payload_len > room as u64 {
                return Err(MessageError::TooBig);
            }
        }
        self.frame = Some(header);
        Ok(())
    }

    /// Takes a part of the current frame's payload. Returns the message that ends with it.
    ///
    /// # Errors
    /// If the bytes are not valid in the message, or the budget is used up.
    pub(super) fn take(
        &mut self,
        part: PayloadPart<'_>,
        account: &BudgetAccount,
    ) -> Result<Option<Message>, MessageError> {
        let Some(header) = self.frame else { return Ok(None) };
        if header.opcode.is_control() {
            let start = self.control.len();
            self.control.extend_from_slice(part.bytes);
            unmask(&mut self.control[start..], part.mask);
        } else if let Some(message) = &mut self.message {
            message.append(part, account)?;
        }
        if !part.is_last {
            return Ok(None);
        }
        self.frame = None;
        if header.opcode.is_control() {
            return self.finish_control(header.opcode).map(Some);
        }
        let ended = self.message.take_if(|_| header.is_final);
        ended.map(PartialMessage::finish).transpose()
    }

    fn finish_control(&mut self, opcode: Opcode) -> Result<Message, MessageError> {
        let payload = std::mem::take(&mut self.control);
        Ok(match opcode {
            Opcode::Close => Message::Close(CloseFrame::decode(&payload)?),
            Opcode::Ping => Message::Ping(payload),
            _ => Message::Pong,
        })
    }
}

impl PartialMessage {
    fn append(
        &mut self,
        part: PayloadPart<'_>,
        account: &BudgetAccount,
    ) -> Result<(), MessageError> {
        let checks_utf8 = self.is_text && !self.is_compressed;
        let utf8 = &mut self.utf8;
        let mut mask = part.mask;
        self.buffer.append(part.bytes, account, |bytes| {
            unmask(bytes, mask);
            mask.rotate_left(bytes.len() % MASK_BYTES);
            if checks_utf8 { utf8.check(bytes) } else { Ok(()) }
        })
    }

    fn finish(self) -> Result<Message, MessageError> {
        self.utf8.finish()?;
        let payload = Payload { is_compressed: self.is_compressed, ..self.buffer.finish() };
        Ok(if self.is_text { Message::Text(payload) } else { Message::Binary(payload) })
    }
}

//! Why a message cannot be read.

use crate::fanout::CloseReason;

/// Why the messages of a peer cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The peer violated the WebSocket protocol.
    #[error("malformed WebSocket frames")]
    Protocol,
    /// The peer sent text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// The peer sent a message larger than the limit.
    #[error("a message larger than the limit")]
    TooBig,
    /// The peer did not end a message in time.
    #[error("a message that did not end in time")]
    Overdue,
    /// The budget of messages is used up, and the peer has the largest share in it.
    #[error("the memory for messages is used up")]
    Evicted,
}

impl From<MessageError> for CloseReason {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Protocol => Self::Protocol,
            MessageError::NotUtf8 => Self::NotUtf8,
            MessageError::TooBig => Self::TooBig,
            MessageError::Overdue => Self::MessageTimeout,
            MessageError::Evicted => Self::MessageMemory,
        }
    }
}

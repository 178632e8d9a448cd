//! The payload of close frames (RFC 6455 section 5.5.1).

use super::MessageError;

/// Code and reason of a close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The close code (RFC 6455 section 7.4).
    pub code: u16,
    /// The reason, at most 123 bytes.
    pub reason: String,
}

impl CloseFrame {
    /// Decodes the payload of a close frame; `None` if it is empty.
    ///
    /// # Errors
    /// If the payload has one byte, the code may not be sent, or the reason is not UTF-8.
    pub(super) fn decode(payload: &[u8]) -> Result<Option<Self>, MessageError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return if payload.is_empty() { Ok(None) } else { Err(MessageError::Protocol) };
        };
        let code = u16::from_be_bytes(*code);
        if !may_be_sent(code) {
            return Err(MessageError::Protocol);
        }
        let reason = str::from_utf8(reason).map_err(|_| MessageError::NotUtf8)?;
        Ok(Some(Self { code, reason: reason.to_owned() }))
    }
}

/// Returns whether a peer may send a close code: one that IANA has registered for close frames, or
/// one of a library or an application. The other codes are reserved, or for errors that send no
/// close frame.
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_reason_are_decoded() {
        assert_eq!(CloseFrame::decode(b""), Ok(None));
        let decoded = CloseFrame::decode(b"\x03\xe8bye");
        assert_eq!(decoded, Ok(Some(CloseFrame { code: 1000, reason: "bye".into() })));
        let decoded = CloseFrame::decode(b"\x03\xf3");
        assert_eq!(decoded, Ok(Some(CloseFrame { code: 1011, reason: String::new() })));
    }

    #[test]
    fn malformed_payload_is_refused() {
        assert_eq!(CloseFrame::decode(b"\x03"), Err(MessageError::Protocol));
        assert_eq!(CloseFrame::decode(b"\x03\xe8\xff"), Err(MessageError::NotUtf8));
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535] {
            let decoded = CloseFrame::decode(&code.to_be_bytes());
            assert_eq!(decoded, Err(MessageError::Protocol), "{code}");
        }
        for code in [1001_u16, 1003, 1007, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            assert!(CloseFrame::decode(&code.to_be_bytes()).is_ok(), "{code}");
        }
    }
}

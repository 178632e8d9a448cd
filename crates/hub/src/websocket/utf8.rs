//! Checks that text is UTF-8 while it arrives in pieces.

use super::MessageError;

/// Longest encoding of a character, in bytes.
const CHAR_BYTES_MAX: usize = 4;

/// Checks pieces of one text, and finds an error in the piece that contains it. Pieces may end
/// within a character.
#[derive(Debug, Default)]
pub(super) struct Utf8Validator {
    /// The beginning of a character whose end has not arrived.
    partial: [u8; CHAR_BYTES_MAX],
    partial_len: usize,
}

impl Utf8Validator {
    /// Checks the next piece.
    ///
    /// # Errors
    /// If no text can begin with the pieces so far.
    pub(super) fn check(&mut self, piece: &[u8]) -> Result<(), MessageError> {
        let rest = self.complete_partial(piece)?;
        match str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                let partial = &rest[error.valid_up_to()..];
                self.partial[..partial.len()].copy_from_slice(partial);
                self.partial_len = partial.len();
                Ok(())
            }
            Err(_) => Err(MessageError::NotUtf8),
        }
    }

    /// Checks that the text ends here, and not within a character.
    ///
    /// # Errors
    /// If the last character is not complete.
    pub(super) const fn finish(&self) -> Result<(), MessageError> {
        if self.partial_len == 0 { Ok(()) } else { Err(MessageError::NotUtf8) }
    }

    /// Completes the partial character with the first bytes of a piece. Returns the other bytes.
    fn complete_partial<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], MessageError> {
        let mut rest = piece;
        while self.partial_len > 0
            && let [byte, after @ ..] = rest
        {
            self.partial[self.partial_len] = *byte;
            self.partial_len += 1;
            rest = after;
            match str::from_utf8(&self.partial[..self.partial_len]) {
                Ok(_) => self.partial_len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(MessageError::NotUtf8),
            }
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]]) -> Result<(), MessageError> {
        let mut validator = Utf8Validator::default();
        for piece in pieces {
            validator.check(piece)?;
        }
        validator.finish()
    }

    #[test]
    fn text_is_valid_wherever_it_is_split() {
        let text = "aß€𝄞z".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(check(&pieces), Ok(()), "{first} {second}");
            }
        }
        assert_eq!(check(&text.chunks(1).collect::<Vec<_>>()), Ok(()));
    }

    #[test]
    fn first_invalid_byte_is_refused_in_its_piece() {
        for invalid in [&b"\xff"[..], b"\x80", b"\xc0", b"\xed\xa0", b"\xf4\x90", b"\xe2a"] {
            let mut validator = Utf8Validator::default();
            validator.check(b"ok").unwrap();
            let (last, before) = invalid.split_last().unwrap();
            validator.check(before).unwrap();
            assert_eq!(validator.check(&[*last]), Err(MessageError::NotUtf8), "{invalid:x?}");
        }
    }

    #[test]
    fn text_may_not_end_within_a_character() {
        for partial in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9d\x84"] {
            assert_eq!(check(&[b"ok", partial]), Err(MessageError::NotUtf8));
        }
    }
}

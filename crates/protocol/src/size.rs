//! The size of a tick, on the wire and in memory.

use crate::fields::{self, FieldWriter};
use crate::{
    CancelError, Conditions, Correction, Price, Seq, Status, Symbol, TICK_BYTES_MAX, Text, Tick,
    TickData, UnixNanos, ValueError,
};

/// Upper bound on a tick's JSON without the contents of its strings, in bytes: keys, numbers,
/// quotes and commas. A test checks it against the largest tick.
const FRAME_BYTES_MAX: usize = 640;
/// Maximum number of bytes that one byte of a string becomes in JSON: `\u0000`.
const ESCAPE_BYTES_MAX: usize = 6;

impl Tick {
    /// Checks that the tick takes at most [`TICK_BYTES_MAX`] bytes in every encoding.
    ///
    /// The limits on its strings do not imply that: 32 conditions of 64 control characters each
    /// take 12 KiB once JSON has escaped them. The check costs a few additions; only a tick with
    /// very long strings is encoded to find its exact size.
    ///
    /// # Errors
    /// Fails with the size of the tick as JSON if it exceeds [`TICK_BYTES_MAX`].
    pub fn check_size(&self) -> Result<(), ValueError> {
        let text_bytes = self.sum_texts(|text| text.as_str().len(), Conditions::bytes);
        if FRAME_BYTES_MAX + ESCAPE_BYTES_MAX * text_bytes <= TICK_BYTES_MAX {
            return Ok(());
        }
        // JSON is the longest encoding of such a tick: MessagePack has no escapes, so it stays far
        // below the limit.
        let mut json = Vec::new();
        self.write_json(&mut json);
        match json.len() {
            0..=TICK_BYTES_MAX => Ok(()),
            more => Err(ValueError::Invalid(format!(
                "the tick takes {more} bytes as JSON, at most {TICK_BYTES_MAX} allowed"
            ))),
        }
    }

    /// Returns the bytes that the tick has allocated on the heap: strings too long to be stored
    /// inline, and the data of the rare kinds, which is boxed. For most ticks it is 0.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let boxed = match &self.data {
            TickData::Status(_) => size_of::<Status>(),
            TickData::Correction(_) => size_of::<Correction>(),
            TickData::CancelError(_) => size_of::<CancelError>(),
            _ => 0,
        };
        boxed + self.sum_texts(Text::heap_bytes, Conditions::heap_bytes)
    }

    #[inline]
    fn sum_texts(
        &self,
        of_text: impl Fn(&Text) -> usize,
        of_conditions: impl Fn(&Conditions) -> usize,
    ) -> usize {
        let mut texts = TextSum { of_text, of_conditions, sum: 0 };
        fields::write(self, &mut texts);
        texts.sum
    }
}

/// Sums a property of all strings of a tick: their length, or their bytes on the heap.
struct TextSum<T, C> {
    of_text: T,
    of_conditions: C,
    sum: usize,
}

impl<T: Fn(&Text) -> usize, C: Fn(&Conditions) -> usize> FieldWriter for TextSum<T, C> {
    fn symbol(&mut self, _key: &'static str, _value: &Symbol) {}

    fn seq(&mut self, _value: Seq) {}

    fn time(&mut self, _key: &'static str, _value: UnixNanos) {}

    fn uint(&mut self, _key: &'static str, _value: u64) {}

    fn price(&mut self, _key: &'static str, _value: Price) {}

    fn text(&mut self, _key: &'static str, value: &Text) {
        self.sum += (self.of_text)(value);
    }

    fn conditions(&mut self, _key: &'static str, value: &Conditions) {
        self.sum += (self.of_conditions)(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CONDITIONS_MAX, Correction, Encoding, TEXT_BYTES_MAX, TickData};

    /// Returns a correction, the kind of tick with the most fields, with the longest possible
    /// numbers and with `text` in every string.
    fn correction(text: &str) -> Tick {
        let conditions = || Conditions::new([text; CONDITIONS_MAX]).unwrap();
        let price: Price = "-3999999.123456789".parse().unwrap();
        let text = || Text::new(text).unwrap();
        Tick {
            symbol: Symbol::new("ABCDEFGHIJKLMNOPQRSTUVWX").unwrap(),
            seq: Seq(u64::MAX),
            time: UnixNanos::MAX,
            data: TickData::Correction(Box::new(Correction {
                exchange: text(),
                original_id: u64::MAX,
                original_price: price,
                original_size: u64::MAX,
                original_conditions: conditions(),
                corrected_id: u64::MAX,
                corrected_price: price,
                corrected_size: u64::MAX,
                corrected_conditions: conditions(),
                tape: text(),
            })),
        }
    }

    fn bytes(tick: &Tick, encoding: Encoding) -> usize {
        let mut out = Vec::new();
        encoding.write_tick(tick, &mut out);
        out.len()
    }

    #[test]
    fn largest_tick_without_escapes_fits_the_limit() {
        assert!(bytes(&correction(""), Encoding::Json) <= FRAME_BYTES_MAX);
        let plain = correction(&"x".repeat(TEXT_BYTES_MAX));
        assert_eq!(plain.check_size(), Ok(()));
        assert!(bytes(&plain, Encoding::Json) <= TICK_BYTES_MAX);
        assert!(bytes(&plain, Encoding::MsgpackArray) <= TICK_BYTES_MAX);
        assert!(bytes(&plain, Encoding::MsgpackMap) <= TICK_BYTES_MAX);
    }

    #[test]
    fn tick_that_json_escapes_make_too_large_is_rejected() {
        let escaped = correction(&"\0".repeat(TEXT_BYTES_MAX));
        assert!(bytes(&escaped, Encoding::Json) > TICK_BYTES_MAX);
        assert!(escaped.check_size().is_err());
    }
}

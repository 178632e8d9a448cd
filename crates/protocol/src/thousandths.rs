//! Positive numbers that are kept to three decimal places.

use serde::{Serialize, Serializer};

/// A positive number as a count of thousandths. On the wire it is a number; an integer if it is
/// whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Thousandths(pub(crate) u32);

impl Thousandths {
    /// Rounds `value` to thousandths; returns `None` unless it lies within `min..=max`.
    pub(crate) fn within(value: f64, min: Self, max: Self) -> Option<Self> {
        if !(min.as_f64()..=max.as_f64()).contains(&value) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within min and max, checked above"
        )]
        Some(Self((value * 1000.0).round() as u32))
    }

    pub(crate) const fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Serialize for Thousandths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1000 {
            0 => serializer.serialize_u32(self.0 / 1000),
            _ => serializer.serialize_f64(self.as_f64()),
        }
    }
}

//! Prices in fixed point, exact in every encoding.

use std::fmt;
use std::str::FromStr;

use crate::ValueError;
use crate::error::excerpt;

/// A price in fixed point, as a count of units of 1e-9; at most [`Price::MAX`] in magnitude.
///
/// JSON carries a price as its shortest exact decimal, MessagePack as a float64. Up to
/// [`Price::MAX`], neighbouring float64 values are less than 0.5e-9 apart, so a price survives the
/// conversion to float64 and back exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(i64);

impl Price {
    /// Number of units in a price of 1: 1e9.
    pub const SCALE: i64 = 1_000_000_000;
    /// The largest price, 4,000,000. The smallest is its negation.
    pub const MAX: Self = Self(4_000_000 * Self::SCALE);
    /// A price of 0. In a quote it means that there is no bid, or no ask.
    pub const ZERO: Self = Self(0);

    /// Creates a price from units of 1e-9. Returns `None` if it exceeds [`Price::MAX`] in
    /// magnitude.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Option<Self> {
        if nanos.unsigned_abs() <= Self::MAX.0.unsigned_abs() { Some(Self(nanos)) } else { None }
    }

    /// Returns the price nearest to a float. Returns `None` if the float is not finite or exceeds
    /// [`Price::MAX`] in magnitude.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked before the cast")]
    pub fn from_f64(value: f64) -> Option<Self> {
        let nanos = (value * 1e9).round();
        if nanos.abs() <= Self::MAX.0 as f64 { Some(Self(nanos as i64)) } else { None }
    }

    /// Returns the price nearest to a number that a peer sent, or the error to answer with.
    pub(crate) fn from_wire(value: f64) -> Result<Self, ValueError> {
        Self::from_f64(value).ok_or_else(|| Self::out_of_range(value))
    }

    fn out_of_range(value: impl fmt::Display) -> ValueError {
        let max = Self::MAX;
        ValueError::Invalid(format!("price {value}: expected -{max} to {max}"))
    }

    /// Returns the price in units of 1e-9.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Returns the float64 nearest to this price. [`Price::from_f64`] converts it back to the same
    /// price.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Appends the price as its shortest exact decimal, such as `126.55`, `126` or `0.0001`.
    pub fn write_decimal(self, out: &mut Vec<u8>) {
        if self.0 < 0 {
            out.push(b'-');
        }
        let magnitude = self.0.unsigned_abs();
        let scale = Self::SCALE.unsigned_abs();
        out.extend_from_slice(itoa::Buffer::new().format(magnitude / scale).as_bytes());
        let mut fraction = magnitude % scale;
        if fraction == 0 {
            return;
        }
        out.push(b'.');
        let mut unit = scale / 10;
        while fraction > 0 {
            out.push(b'0' + u8::try_from(fraction / unit).unwrap_or(9));
            fraction %= unit;
            unit /= 10;
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(20);
        self.write_decimal(&mut text);
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for Price {
    type Err = ValueError;

    /// Parses a plain decimal with at most nine fraction digits, such as `126.55`. Exponents and a
    /// leading `+` are not allowed.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let malformed = || {
            let given = excerpt(text);
            ValueError::Invalid(format!("price {given:?}: expected a decimal such as 126.55"))
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 7
            || fraction.len() > 9
            || !is_numeric(whole)
            || !is_numeric(fraction)
        {
            return Err(malformed());
        }
        let whole: i64 = whole.parse().map_err(|_| malformed())?;
        let mut nanos = 0;
        for digit in fraction.bytes().chain(std::iter::repeat(b'0')).take(9) {
            nanos = nanos * 10 + i64::from(digit - b'0');
        }
        let nanos = whole * Self::SCALE + nanos;
        Self::from_nanos(if negative { -nanos } else { nanos })
            .ok_or_else(|| Self::out_of_range(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_as_short_as_possible_and_exact() {
        for text in ["0", "126.55", "126", "0.000000001", "-3.5", "4000000", "3999999.999999999"] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), text);
        }
        assert_eq!("126.5500".parse::<Price>().unwrap().to_string(), "126.55");
    }

    #[test]
    fn malformed_and_too_large_prices_are_rejected() {
        for text in
            ["", ".", "1e5", "4000000.000000001", "1.0000000001", "NaN", "+1", "1.-5", "99999999"]
        {
            assert!(text.parse::<Price>().is_err(), "{text}");
        }
        assert_eq!(Price::from_f64(f64::NAN), None);
        assert_eq!(Price::from_f64(4_000_000.1), None);
    }

    #[test]
    fn prices_near_the_limits_survive_float64_exactly() {
        let top = Price::MAX.nanos();
        for base in [0, 1 << 30, 1 << 50, 1 << 51, top / 2, top - 20_000] {
            for step in 0..20_000 {
                let price = Price::from_nanos(base + step).unwrap();
                assert_eq!(Price::from_f64(price.as_f64()), Some(price));
            }
        }
    }
}
